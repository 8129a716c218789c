// A thread sums a square of elements: it reads a few of a column of a and of a
// row of b for each k, and multiplies each with each.

#include "TileEngine.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

/// Elements that a thread reads at once; those of the next threads follow.
static constexpr int64_t kRun = 4;

namespace {
class ArithmeticEngine : public TileEngine {
public:
  ArithmeticEngine(TileShape shape, Type sum)
      : TileEngine(shape, sum, sum, sum) {
    // As many threads lie along the rows as along the columns.
    int64_t along = 1;
    while (along * along < int64_t(shape.threads))
      along *= 2;
    threadColumns = along;
    threadRows = int64_t(shape.threads) / along;
    rowsOfThread = shape.rows / threadRows;
    columnsOfThread = shape.columns / threadColumns;
  }

  int64_t getSizeA() const override { return shape.depth * getRow(shape.rows); }
  int64_t getSizeB() const override {
    return shape.depth * getRow(shape.columns);
  }
  Value placeA(LoopBuilder &b, Value row, Value k) override {
    return b.add(b.mul(k, b.index(getRow(shape.rows))), row);
  }
  Value placeB(LoopBuilder &b, Value k, Value column) override {
    return b.add(b.mul(k, b.index(getRow(shape.columns))), column);
  }

  Values start(ThreadBuilder &b) override {
    return Values(rowsOfThread * columnsOfThread, b.constant(sum, 0));
  }

  Values multiply(ThreadBuilder &b, Value a, Value tileB,
                  Values sums) override {
    auto [row, column] = getFirst(b);
    for (int64_t k = 0; k < shape.depth; ++k) {
      Values x = read(b, a, row, k, shape.rows, rowsOfThread, threadRows);
      Values y = read(b, tileB, column, k, shape.columns, columnsOfThread,
                      threadColumns);
      for (int64_t i = 0; i < rowsOfThread; ++i)
        for (int64_t j = 0; j < columnsOfThread; ++j) {
          Value product = arith::MulFOp::create(b.builder, b.loc, x[i], y[j]);
          Value &into = sums[i * columnsOfThread + j];
          into = arith::AddFOp::create(b.builder, b.loc, into, product);
        }
    }
    return sums;
  }

  void forSums(ThreadBuilder &b, ValueRange sums, Visit visit) override {
    auto [row, column] = getFirst(b);
    for (int64_t i = 0; i < rowsOfThread; ++i)
      for (int64_t j = 0; j < columnsOfThread; ++j)
        visit(b.add(row, b.index(getPlace(i, threadRows))),
              b.add(column, b.index(getPlace(j, threadColumns))),
              sums[i * columnsOfThread + j]);
  }

private:
  /// Rows are 16 bytes apart in banks.
  static int64_t getRow(int64_t size) { return size + kRun; }
  /// Element `number` of a thread, counted from its first.
  static int64_t getPlace(int64_t number, int64_t threads) {
    return number / kRun * kRun * threads + number % kRun;
  }

  std::pair<Value, Value> getFirst(ThreadBuilder &b) {
    Value number = b.thread();
    Value column = b.rem(number, b.index(threadColumns));
    Value row = b.div(number, b.index(threadColumns));
    return {b.mul(row, b.index(kRun)), b.mul(column, b.index(kRun))};
  }

  Values read(ThreadBuilder &b, Value tile, Value first, int64_t k,
              int64_t size, int64_t count, int64_t threads) {
    Values elements;
    for (int64_t i = 0; i < count; i += kRun) {
      Value at = b.add(first, b.index(k * getRow(size) + getPlace(i, threads)));
      Value run = b.load(tile, at, kRun);
      for (int64_t e = 0; e < kRun; ++e)
        elements.push_back(vector::ExtractOp::create(b.builder, b.loc, run, e));
    }
    return elements;
  }

  int64_t threadRows, threadColumns, rowsOfThread, columnsOfThread;
};
} // namespace

std::unique_ptr<TileEngine> tenon::createArithmeticEngine(TileShape shape,
                                                          Type sum) {
  return std::make_unique<ArithmeticEngine>(shape, sum);
}
