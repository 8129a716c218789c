#include "EmitTail.h"

#include "tenon/Codegen/Program/LoopBuilder.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

/// Sums in flight that hide the latency of a multiply-add.
static constexpr int64_t kRowsAtOnce = 8;

int64_t tenon::getMostTailColumns(const TileFormat &format) {
  return format.lanes / 4;
}

namespace {
class TailEmitter {
public:
  TailEmitter(func::FuncOp function, const TileFormat &format)
      : format(format), function(function), loc(function.getLoc()),
        type(VectorType::get({format.lanes}, format.sum)),
        builder(OpBuilder::atBlockEnd(function.addEntryBlock())),
        loops(builder, loc) {
    a = viewElements(builder, loc, argument(0), format.a);
    b = viewElements(builder, loc, argument(4), format.sum);
    c = viewElements(builder, loc, argument(7), format.sum);
  }

  void emit() {
    Value rows = argument(3);
    Value whole = loops.sub(rows, loops.rem(rows, loops.index(kRowsAtOnce)));
    loops.forEach(loops.index(0), whole, kRowsAtOnce,
                  [&](Value row) { emitRows(row, kRowsAtOnce); });
    loops.forEach(whole, rows, 1, [&](Value row) { emitRows(row, 1); });
    func::ReturnOp::create(builder, loc);
  }

private:
  using Values = SmallVector<Value>;

  Value argument(unsigned i) { return function.getArgument(i); }

  /// The sums after the products of `lanes` of k; with a mask, of fewer.
  Values accumulate(ArrayRef<Value> starts, Value k, ValueRange sums,
                    Value mask) {
    Value column =
        loadVector(builder, loc, b, loops.add(argument(5), k), type, mask);
    Values next;
    for (auto [start, sum] : llvm::zip(starts, sums)) {
      Value row = loadVector(builder, loc, a, loops.add(start, k), type, mask);
      next.push_back(vector::FMAOp::create(builder, loc, row, column, sum));
    }
    return next;
  }

  void emitRows(Value row, int64_t count) {
    Value depth = argument(6), lanes = loops.index(format.lanes);
    Values starts, sums(count, loops.constant(type, 0));
    for (int64_t i = 0; i < count; ++i)
      starts.push_back(loops.add(
          argument(1), loops.mul(loops.add(row, loops.index(i)), argument(2))));
    Value whole = loops.sub(depth, loops.rem(depth, lanes));
    sums = loops.fold(loops.index(0), whole, format.lanes, sums,
                      [&](Value k, ValueRange running) {
                        return accumulate(starts, k, running, Value());
                      });
    sums = loops.fold(
        whole, depth, format.lanes, sums, [&](Value k, ValueRange running) {
          Value mask = vector::CreateMaskOp::create(
              builder, loc,
              VectorType::get({format.lanes}, builder.getI1Type()),
              ValueRange{loops.sub(depth, k)});
          return accumulate(starts, k, running, mask);
        });
    for (int64_t i = 0; i < count; ++i)
      store(sums[i], loops.add(row, loops.index(i)));
  }

  void store(Value lanes, Value row) {
    Value at = loops.add(argument(8), loops.mul(row, argument(9)));
    Value sum =
        vector::ReductionOp::create(builder, loc, vector::CombiningKind::ADD,
                                    lanes, arith::FastMathFlags::reassoc);
    if (format.adds)
      sum = arith::AddFOp::create(builder, loc, loops.load(c, at), sum);
    loops.store(sum, c, at);
  }

  const TileFormat &format;
  func::FuncOp function;
  Location loc;
  VectorType type;
  OpBuilder builder;
  LoopBuilder loops;
  Value a, b, c;
};
} // namespace

func::FuncOp tenon::emitTail(ModuleOp module, Location loc, StringRef name,
                             const TileFormat &format) {
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  Type bytes = MemRefType::get({1}, builder.getI8Type());
  Type index = builder.getIndexType();
  auto function = func::FuncOp::create(
      builder, loc, (name + ".tail").str(),
      builder.getFunctionType({bytes, index, index, index, bytes, index, index,
                               bytes, index, index},
                              {}));
  function.setPrivate();
  function->setAttr("passthrough",
                    builder.getArrayAttr({builder.getStringAttr("noinline")}));
  TailEmitter(function, format).emit();
  return function;
}
