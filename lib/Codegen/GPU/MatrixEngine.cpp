// mma.sync: a warp sums a tile of rows and columns in fragments that its
// threads hold. Both tiles lie with k last in shared memory, so that neighbours
// along k are one load.

#include "AmpereBuilder.h"
#include "TileEngine.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

using namespace mlir;
using namespace tenon;

static constexpr int64_t kRows = 16, kColumns = 8;

namespace {
/// What the forms have in common: a fragment of a has two rows of a thread,
/// eight apart, at each of two places along k; one of b has a column at both.
class MatrixEngine : public TileEngine {
public:
  /// `step`: the instruction's k; `padding`: elements between the end of a row
  /// and the next, which make rows fall into different banks.
  MatrixEngine(TileShape shape, Type factor, Type stored, int64_t step,
               int64_t padding)
      : TileEngine(shape, factor, stored,
                   Float32Type::get(factor.getContext())),
        step(step), padding(padding) {
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

protected:
  /// Appends the registers for the thread's place in row `at` of a tile;
  /// `member` is its number among the four threads of a row.
  virtual void read(AmpereBuilder &b, Value tile, Value at, Value member,
                    Values &registers) = 0;
  /// sums + a * b for the registers of two fragments.
  virtual Values add(AmpereBuilder &b, ArrayRef<Value> a, ArrayRef<Value> c,
                     ArrayRef<Value> sums) = 0;

private:
  int64_t getRow() const { return shape.depth + padding; }

  /// The warp's first row and column, and the thread's place in a fragment: its
  /// group of four threads and its place among them.
  struct Place {
    Value row, column, group, member;
  };
  Place getPlace(ThreadBuilder &b);

  int64_t step, padding;
  int64_t warpRows, warpColumns, tilesDown, tilesAcross;
};

/// m16n8k16 of f16 or bf16: a register holds two neighbours along k.
class HalfEngine final : public MatrixEngine {
public:
  HalfEngine(TileShape shape, Type half)
      : MatrixEngine(shape, half, half, 16, 8) {}

protected:
  void read(AmpereBuilder &b, Value tile, Value at, Value member,
            Values &registers) override {
    Value pair = b.load(tile, b.add(at, b.mul(member, b.index(2))), 2);
    auto word = VectorType::get({1}, b.builder.getI32Type());
    Value cast = vector::BitCastOp::create(b.builder, b.loc, word, pair);
    registers.push_back(vector::ExtractOp::create(b.builder, b.loc, cast, 0));
  }
  Values add(AmpereBuilder &b, ArrayRef<Value> a, ArrayRef<Value> c,
             ArrayRef<Value> sums) override {
    return b.multiply(a, c, sums, stored);
  }
};

/// m16n8k8 of TF32, rounded when it is stored, as the registers have it.
class TF32Engine final : public MatrixEngine {
public:
  TF32Engine(TileShape shape, Type f32)
      : MatrixEngine(shape, f32, IntegerType::get(f32.getContext(), 32), 8, 4) {
  }

  Value prepare(ThreadBuilder &b, Value element) override {
    return AmpereBuilder(b.builder, b.loc).toTF32(element);
  }

protected:
  void read(AmpereBuilder &b, Value tile, Value at, Value member,
            Values &registers) override {
    registers.push_back(b.load(tile, b.add(at, member)));
  }
  Values add(AmpereBuilder &b, ArrayRef<Value> a, ArrayRef<Value> c,
             ArrayRef<Value> sums) override {
    return b.multiplyTF32(a, c, sums);
  }
};

/// m16n8k16 of bf16, three times: an element is stored as two bf16 in a word,
/// what it is rounded to in the high half and what that leaves in the low one.
class SplitEngine final : public MatrixEngine {
public:
  SplitEngine(TileShape shape, Type f32)
      : MatrixEngine(shape, f32, IntegerType::get(f32.getContext(), 32), 16,
                     8) {}

  Value prepare(ThreadBuilder &b, Value element) override;

protected:
  /// The high halves of two neighbours along k, then the low ones.
  void read(AmpereBuilder &b, Value tile, Value at, Value member,
            Values &registers) override {
    Value pair = b.load(tile, b.add(at, b.mul(member, b.index(2))), 2);
    Value first = vector::ExtractOp::create(b.builder, b.loc, pair, 0);
    Value second = vector::ExtractOp::create(b.builder, b.loc, pair, 1);
    registers.push_back(b.joinHalves(first, second, /*high=*/true));
    registers.push_back(b.joinHalves(first, second, /*high=*/false));
  }
  Values add(AmpereBuilder &b, ArrayRef<Value> a, ArrayRef<Value> c,
             ArrayRef<Value> sums) override;
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

SmallVector<Value> MatrixEngine::multiply(ThreadBuilder &threads, Value a,
                                          Value tileB, Values sums) {
  AmpereBuilder b(threads.builder, threads.loc);
  Place at = getPlace(b);
  Value row = b.add(at.row, at.group), column = b.add(at.column, at.group);
  auto readAt = [&](Value tile, Value line, int64_t down, int64_t k,
                    Values &registers) {
    Value first = placeA(b, b.add(line, b.index(down)), b.index(k));
    read(b, tile, first, at.member, registers);
  };
  for (int64_t k = 0; k < shape.depth; k += step) {
    SmallVector<Values> left(tilesDown), right(tilesAcross);
    for (int64_t i = 0; i < tilesDown; ++i)
      for (int64_t along : {int64_t(0), step / 2})
        for (int64_t down : {int64_t(0), int64_t(8)})
          readAt(a, row, i * kRows + down, k + along, left[i]);
    for (int64_t j = 0; j < tilesAcross; ++j)
      for (int64_t along : {int64_t(0), step / 2})
        readAt(tileB, column, j * kColumns, k + along, right[j]);
    for (int64_t i = 0; i < tilesDown; ++i)
      for (int64_t j = 0; j < tilesAcross; ++j) {
        int64_t first = (i * tilesAcross + j) * 4;
        Values added =
            add(b, left[i], right[j], ArrayRef(sums).slice(first, 4));
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

Value SplitEngine::prepare(ThreadBuilder &threads, Value element) {
  AmpereBuilder b(threads.builder, threads.loc);
  Type half = BFloat16Type::get(factor.getContext());
  Value high = arith::BitcastOp::create(
      b.builder, b.loc, factor, b.pack(b.constant(factor, 0), element, half));
  Value rest = arith::SubFOp::create(b.builder, b.loc, element, high);
  // An infinity leaves none, and not NaN.
  Value largest = b.constant(factor, std::numeric_limits<float>::max());
  Value low = b.constant(factor, std::numeric_limits<float>::lowest());
  Value isFinite = arith::AndIOp::create(
      b.builder, b.loc,
      arith::CmpFOp::create(b.builder, b.loc, arith::CmpFPredicate::OLE, high,
                            largest),
      arith::CmpFOp::create(b.builder, b.loc, arith::CmpFPredicate::OGE, high,
                            low));
  rest = arith::SelectOp::create(b.builder, b.loc, isFinite, rest,
                                 b.constant(factor, 0));
  return b.pack(rest, element, half);
}

SmallVector<Value> SplitEngine::add(AmpereBuilder &b, ArrayRef<Value> a,
                                    ArrayRef<Value> c, ArrayRef<Value> sums) {
  auto takeHalf = [](ArrayRef<Value> registers, unsigned which) {
    Values half;
    for (unsigned i = which; i < registers.size(); i += 2)
      half.push_back(registers[i]);
    return half;
  };
  Type half = BFloat16Type::get(factor.getContext());
  Values highA = takeHalf(a, 0), lowA = takeHalf(a, 1);
  Values highC = takeHalf(c, 0), lowC = takeHalf(c, 1);
  // The small products first: the sum grows last.
  Values added = b.multiply(lowA, highC, sums, half);
  added = b.multiply(highA, lowC, added, half);
  return b.multiply(highA, highC, added, half);
}

std::unique_ptr<TileEngine> tenon::createMatrixEngine(TileShape shape,
                                                      Type factor) {
  return std::make_unique<HalfEngine>(shape, factor);
}

std::unique_ptr<TileEngine> tenon::createTF32Engine(TileShape shape, Type f32) {
  return std::make_unique<TF32Engine>(shape, f32);
}

std::unique_ptr<TileEngine> tenon::createSplitEngine(TileShape shape,
                                                     Type f32) {
  return std::make_unique<SplitEngine>(shape, f32);
}
