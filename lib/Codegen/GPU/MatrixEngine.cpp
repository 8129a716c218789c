// mma.sync.m16n8k16: a warp sums a tile of rows and columns in fragments that
// its threads hold. Both tiles lie with k last in shared memory, so that a
// register of a fragment, two neighbours along k, is one load.

#include "TileEngine.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

static constexpr int64_t kRows = 16, kColumns = 8, kDepth = 16;
/// Elements between the end of a row and the next: rows fall into different
/// banks.
static constexpr int64_t kPadding = 8;

namespace {
class MatrixEngine : public TileEngine {
public:
  MatrixEngine(TileShape shape, Type stored)
      : TileEngine(shape, stored, Float32Type::get(stored.getContext())) {
    int64_t warps = shape.threads / ThreadBuilder::kWarp;
    warpColumns = shape.columns >= 64 && warps >= 4 ? 2 : 1;
    warpRows = warps / warpColumns;
    tilesDown = shape.rows / (warpRows * kRows);
    tilesAcross = shape.columns / (warpColumns * kColumns);
  }

  int64_t getSizeA() const override { return shape.rows * getRow(); }
  int64_t getSizeB() const override { return shape.columns * getRow(); }
  Value placeA(LoopBuilder &b, Value row, Value k) override {
    return b.add(b.mul(row, b.index(getRow())), k);
  }
  Value placeB(LoopBuilder &b, Value k, Value column) override {
    return placeA(b, column, k);
  }

  Values start(ThreadBuilder &b) override {
    return Values(tilesDown * tilesAcross * 4, b.constant(sum, 0));
  }
  Values multiply(ThreadBuilder &b, Value a, Value tileB, Values sums) override;
  void forSums(ThreadBuilder &b, ValueRange sums, Visit visit) override;

private:
  int64_t getRow() const { return shape.depth + kPadding; }

  /// The warp's first row and column, and the thread's place in a fragment: its
  /// group of four threads and its place among them.
  struct Place {
    Value row, column, group, member;
  };
  Place getPlace(ThreadBuilder &b);
  /// Two neighbours along k, as a register.
  Value readPair(ThreadBuilder &b, Value tile, Value row, Value k, int64_t down,
                 int64_t along);
  Values multiplyTile(ThreadBuilder &b, ArrayRef<Value> a, ArrayRef<Value> c,
                      ArrayRef<Value> sums);

  int64_t warpRows, warpColumns, tilesDown, tilesAcross;
};
} // namespace

MatrixEngine::Place MatrixEngine::getPlace(ThreadBuilder &b) {
  Value number = b.thread();
  Value warp = b.div(number, b.index(ThreadBuilder::kWarp));
  Value lane = b.rem(number, b.index(ThreadBuilder::kWarp));
  Value down = b.div(warp, b.index(warpColumns));
  Value across = b.rem(warp, b.index(warpColumns));
  return {b.mul(down, b.index(tilesDown * kRows)),
          b.mul(across, b.index(tilesAcross * kColumns)),
          b.div(lane, b.index(4)), b.rem(lane, b.index(4))};
}

Value MatrixEngine::readPair(ThreadBuilder &b, Value tile, Value row, Value k,
                             int64_t down, int64_t along) {
  Value at = placeA(b, b.add(row, b.index(down)), b.add(k, b.index(along)));
  Value pair = b.load(tile, at, 2);
  auto word = VectorType::get({1}, b.builder.getI32Type());
  Value cast = vector::BitCastOp::create(b.builder, b.loc, word, pair);
  return vector::ExtractOp::create(b.builder, b.loc, cast, 0);
}

SmallVector<Value> MatrixEngine::multiplyTile(ThreadBuilder &b,
                                              ArrayRef<Value> a,
                                              ArrayRef<Value> c,
                                              ArrayRef<Value> sums) {
  std::string type = stored.isF16() ? "f16" : "bf16";
  std::string text =
      "mma.sync.aligned.m16n8k16.row.col.f32." + type + "." + type +
      ".f32 {$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$0,$1,$2,$3};";
  Values operands(a);
  operands.append(c.begin(), c.end());
  operands.append(sums.begin(), sums.end());
  auto result = LLVM::LLVMStructType::getLiteral(b.builder.getContext(),
                                                 SmallVector<Type>(4, sum));
  auto call = LLVM::InlineAsmOp::create(
      b.builder, b.loc, result, operands, text,
      "=f,=f,=f,=f,r,r,r,r,r,r,0,1,2,3", /*has_side_effects=*/false,
      /*is_align_stack=*/false, LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr(), ArrayAttr());
  Values added;
  for (int64_t i = 0; i < 4; ++i)
    added.push_back(
        LLVM::ExtractValueOp::create(b.builder, b.loc, call.getRes(), i));
  return added;
}

SmallVector<Value> MatrixEngine::multiply(ThreadBuilder &b, Value a,
                                          Value tileB, Values sums) {
  Place at = getPlace(b);
  Value row = b.add(at.row, at.group), column = b.add(at.column, at.group);
  Value pair = b.mul(at.member, b.index(2));
  for (int64_t k = 0; k < shape.depth; k += kDepth) {
    SmallVector<Values> left(tilesDown), right(tilesAcross);
    for (int64_t i = 0; i < tilesDown; ++i)
      for (int64_t along : {int64_t(0), int64_t(8)})
        for (int64_t down : {int64_t(0), int64_t(8)})
          left[i].push_back(
              readPair(b, a, row, pair, i * kRows + down, k + along));
    for (int64_t j = 0; j < tilesAcross; ++j)
      for (int64_t along : {int64_t(0), int64_t(8)})
        right[j].push_back(
            readPair(b, tileB, column, pair, j * kColumns, k + along));
    for (int64_t i = 0; i < tilesDown; ++i)
      for (int64_t j = 0; j < tilesAcross; ++j) {
        int64_t first = (i * tilesAcross + j) * 4;
        Values added =
            multiplyTile(b, left[i], right[j], ArrayRef(sums).slice(first, 4));
        llvm::copy(added, sums.begin() + first);
      }
  }
  return sums;
}

void MatrixEngine::forSums(ThreadBuilder &b, ValueRange sums, Visit visit) {
  Place at = getPlace(b);
  Value row = b.add(at.row, at.group);
  Value column = b.add(at.column, b.mul(at.member, b.index(2)));
  for (int64_t i = 0; i < tilesDown; ++i)
    for (int64_t j = 0; j < tilesAcross; ++j)
      for (int64_t e = 0; e < 4; ++e)
        visit(b.add(row, b.index(i * kRows + e / 2 * 8)),
              b.add(column, b.index(j * kColumns + e % 2)),
              sums[(i * tilesAcross + j) * 4 + e]);
}

std::unique_ptr<TileEngine> tenon::createMatrixEngine(TileShape shape,
                                                      Type stored) {
  return std::make_unique<MatrixEngine>(shape, stored);
}
