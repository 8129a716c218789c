// Attention on wgmma: one thread copies queries, keys and values by tensor
// maps; one or two warpgroups have rows of one key head, whose scores and
// weights stay in registers.

#ifndef TENON_LIB_CODEGEN_GPU_HOPPERATTENTION_H
#define TENON_LIB_CODEGEN_GPU_HOPPERATTENTION_H

#include "AttentionRows.h"
#include "AttentionSchedule.h"

#include "tenon/Codegen/GPU/LowerKernel.h"

namespace tenon {

/// An item is a tile of rows and a part of the keys. Rows are queries of the
/// heads of one key head, the heads of a query side by side.
class HopperAttention : public AttentionRows {
public:
  HopperAttention(kernel::AttentionOp op, kernel::FuncOp kernel,
                  KernelFrame &frame, const AttentionForm &form);

  /// Whether it takes the operands in tiles of so many rows.
  static bool matches(const AttentionRows &operands, int64_t rows);
  /// Whether it takes them, and tiles fit shared memory.
  bool matches() const { return stages > 0 && matches(*this, getRows()); }
  /// Adds the code of block number `begin`; the number of blocks.
  mlir::AffineExpr emit();
  unsigned getThreads() const;
  unsigned getSharedBytes() const;
  std::vector<TensorMapUse> getMaps();

private:
  /// Where barriers lie among the others: those of keys, then of values.
  enum Barrier { IsFull, IsEmpty };

  // HopperAttention.cpp: shapes, items, copies.
  void initBarriers();
  void setRegisters(bool isConsumer);
  void enterItem(mlir::Value item);
  mlir::Value hide(mlir::Value number);
  Row getRow(mlir::Value number);
  /// Runs `body` for each item of the block with its round and the tiles of
  /// keys so far, both i32.
  void
  forItems(llvm::function_ref<void(mlir::Value round, mlir::Value done)> body);
  void produce();
  void copyQuery(mlir::Value round);
  void copyTile(const HeadsTensor &tensor, mlir::Value map, mlir::Value first,
                mlir::Value number);
  llvm::SmallVector<mlir::Value> getPlace(const HeadsTensor &tensor,
                                          llvm::SmallVector<mlir::Value> place);
  TensorMapUse getMap(mlir::Value buffer, const HeadsTensor &tensor,
                      llvm::ArrayRef<unsigned> axes);

  // HopperAttentionTile.cpp: products and what lies between them.
  void consume(mlir::Value consumer);
  void enterRows(mlir::Value consumer);
  void enterRowsAgain(mlir::Value consumer);
  void findRows(mlir::Value consumer);
  Columns getSeenOf(mlir::Value tile);
  State emitSeen(mlir::Value consumer, mlir::Value done);
  State emitKeys(mlir::Value consumer, mlir::Value done);
  /// Whether memory of the keys goes on behind those that are seen.
  bool hasUnseen() const;
  void clearUnseen(mlir::Value consumer, mlir::Value number);
  void takeTurn(mlir::Value consumer);
  void passTurn(mlir::Value consumer);
  mlir::Value multiplyKeys(mlir::Value consumer, mlir::Value number);
  mlir::Value addValues(const Values &weights, mlir::Value sums,
                        mlir::Value number);
  Values packWeights(const Values &scores);
  /// One more tile: products of its keys run beside those of the values before.
  Values emitTile(mlir::Value consumer, mlir::Value done, mlir::Value tile,
                  mlir::ValueRange carried, bool mayHide);
  mlir::Value getFirstKey(mlir::Value tile);

  mlir::Value getTile(const HeadsTensor &tensor, mlir::Value number);
  mlir::Value getBarrier(const HeadsTensor &tensor, mlir::Value number,
                         Barrier which);
  mlir::Value getQueryBarrier(Barrier which);
  /// The parity of the phase that tile `number` completes.
  mlir::Value getPhase(mlir::Value number);
  mlir::Value flipped(mlir::Value phase);
  void release(mlir::Value barrier) { b.arriveIf(isZero(lane), barrier); }

  int64_t getChunks(const HeadsTensor &tensor) const;
  int64_t getTileBytes(const HeadsTensor &tensor) const;
  int64_t getQueryBytes() const;
  int64_t getBarrierPlace() const;
  /// A number of items or the like, which 32 bits hold.
  mlir::Value count(mlir::AffineExpr expr) { return b.narrow(size(expr)); }
  int64_t getRows() const { return form.rows; }
  int64_t getConsumers() const {
    return llvm::divideCeil(getRows(), kRowsOfGroup);
  }
  int64_t getTokens() const { return getRows() / groupSize; }
  mlir::AffineExpr getRowTiles() const {
    return query.sizes[2].ceilDiv(getTokens());
  }
  mlir::AffineExpr getItems() const {
    return query.sizes[0] * heads * getRowTiles() * splits;
  }
  mlir::AffineExpr getBlocks() const;
  bool areItemsKnown() const {
    return llvm::isa<mlir::AffineConstantExpr>(simplify(getItems()));
  }
  bool areKeysKnown() const {
    return llvm::isa<mlir::AffineConstantExpr>(simplify(keys));
  }

  static constexpr int64_t kRowsOfGroup = 64;

  const AttentionForm &form;
  int64_t groupSize; // query heads of a key head; 0 if not known
  const int64_t keysOfTile;
  int64_t stages;
  llvm::StringRef name; // PTX's, of the elements
  mlir::Value queryMap, keyMap, valueMap, shared;
  // Of the item, i32.
  mlir::Value firstToken, begin, end, tiles;
  Columns seen; // of the block's keys
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_HOPPERATTENTION_H
