// Runs a kernel row by row: the loops that all its steps share become the grid.

#ifndef TENON_LIB_CODEGEN_CPU_ROWSCHEDULE_H
#define TENON_LIB_CODEGEN_CPU_ROWSCHEDULE_H

#include "CPUFrame.h"
#include "Window.h"
#include "tenon/Codegen/Program/Contraction.h"

namespace tenon {

/// A class of which an item does `size` elements: all its steps share it.
struct ItemBlock {
  int shared;
  int64_t size;
};

/// Decisions about a program: what the grid runs over, which steps share a
/// loop nest.
struct RowSchedule {
  explicit RowSchedule(KernelProgram &program);
  /// The schedule of a kernel around a contraction: an item is a block of it.
  RowSchedule(KernelProgram &program, const Contraction &contraction);
  /// The schedule around windows of a small image, the reduction of step
  /// `number`: an item is all of an image.
  RowSchedule(KernelProgram &program, const Window &window, unsigned number);

  /// A loop nest: steps over the same inner classes, outermost first. A
  /// reduction that cannot keep its sum in a register keeps it in memory.
  struct Group {
    llvm::SmallVector<unsigned> steps;
    llvm::SmallVector<int> order;
    bool sumsInMemory = false;
    bool isContraction = false;
    bool isUnrolled = false; // its reductions, the innermost loops
    bool isWindow = false;   // one reduction in vectors
  };

  bool isRow(int shared) const { return llvm::is_contained(rows, shared); }
  /// The loops of a step that are not rows.
  llvm::SmallVector<int> getInner(const Step &step) const;
  /// Whether nothing outside of its group reads the storage.
  bool isForwarded(int storage) const { return forwarded[storage]; }
  /// Where in `order` a reduction's sum begins.
  unsigned getDepth(const Step &step, const Group &group) const;

  KernelProgram &program;
  llvm::SmallVector<int> rows;
  llvm::SmallVector<ItemBlock> blocks;
  std::optional<Contraction> contraction;
  llvm::SmallVector<Group> groups;

  const ItemBlock *getBlock(int shared) const;
  /// What a step reduces by windows, or nothing.
  std::optional<Window> getWindow(unsigned number) const;
  /// Whether images are small, and each a row of an item.
  bool isFlat() const { return flatWindow.has_value(); }
  /// How many items there are.
  mlir::AffineExpr getGrid(mlir::MLIRContext *context) const;

private:
  void flatten();
  void chooseRows();
  void chooseWindowRows();
  void chooseChunk();
  void chooseGroups();
  bool joins(const Step &step, const Group &group) const;
  Group startGroup(unsigned index) const;
  /// Whether a reduction has few enough terms, a number that is known.
  bool canUnroll(const Step &step) const;
  int getUnitClass(const Step &step, int besides = -1) const;
  /// So few iterations that they are no loop of vectors.
  bool isShort(int shared) const;

  llvm::SmallVector<bool> forwarded;
  std::optional<std::pair<unsigned, Window>> flatWindow;
};

/// Adds loops over items [begin, end) to the frame; returns the grid.
mlir::AffineExpr emitRows(const RowSchedule &schedule, CPUFrame &frame);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_ROWSCHEDULE_H
