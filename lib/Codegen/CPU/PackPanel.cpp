#include "PackPanel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

/// More runs than these in a panel are copied by elements: each costs a mask.
static constexpr int64_t kMostRuns = 8;

/// The sum of the terms that `isWanted`.
static Value emitTerms(RowEmitter &rows, OpBuilder &builder,
                       const LinearAccess &access, ArrayRef<Value> loops,
                       llvm::function_ref<bool(int)> isWanted) {
  Location loc = rows.loc;
  Value total = arith::ConstantIndexOp::create(builder, loc, 0);
  for (const LinearAccess::Term &term : access.terms) {
    if (!isWanted(term.loop))
      continue;
    Value value = arith::MulIOp::create(
        builder, loc, rows.getIndex(builder, term.expr, loops),
        rows.frame.size(simplify(term.stride, 64)));
    total = arith::AddIOp::create(builder, loc, total, value);
  }
  return total;
}

Value tenon::emitOffset(RowEmitter &rows, OpBuilder &builder,
                        const LinearAccess &access, ArrayRef<Value> loops) {
  return emitTerms(rows, builder, access, loops, [](int) { return true; });
}

namespace {
class PanelPacker {
public:
  PanelPacker(RowEmitter &rows, OpBuilder &builder, const PanelSource &source,
              Value panel, Value runs, Value column, Value columns)
      : rows(rows), builder(builder), source(source), panel(panel), runs(runs),
        column(column), columns(columns), loc(rows.loc),
        loops(rows.getLoops(source.step)),
        view(viewElements(builder, loc, source.bytes, source.element)),
        n(source.contraction.n), k(source.contraction.k),
        width(source.format.panel) {}

  void pack() {
    AffineExpr one = getAffineConstantExpr(1, builder.getContext());
    base = terms([&](int loop) { return loop != n && loop != k; });
    if (source.access.getStride(n) == one)
      return packRows(index(1), [&](OpBuilder &, Value) {
        return std::pair(index(0), getColumnOffset(column));
      });
    if (source.access.getStride(k) == one && source.access.getStride(n))
      return packColumns();
    Value count = findRuns();
    Value isScattered = arith::CmpIOp::create(
        builder, loc, arith::CmpIPredicate::ugt, count, index(kMostRuns));
    auto choice = scf::IfOp::create(builder, loc, isScattered, true);
    OpBuilder outer = builder;
    builder = choice.getThenBodyBuilder();
    packElements();
    builder = choice.getElseBodyBuilder();
    packRows(count, [&](OpBuilder &, Value run) {
      Value first = loadIndex(run);
      return std::pair(first, loadIndex(add(first, index(width + 1))));
    });
    builder = outer;
  }

private:
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  }
  Value add(Value x, Value y) {
    return arith::AddIOp::create(builder, loc, x, y);
  }
  Value times(Value x, Value y) {
    return arith::MulIOp::create(builder, loc, x, y);
  }
  Value terms(llvm::function_ref<bool(int)> isWanted) {
    return emitTerms(rows, builder, source.access, loops, isWanted);
  }
  Value getColumnOffset(Value at) {
    loops[n] = at;
    return terms([&](int loop) { return loop == n; });
  }
  Value getDepthOffset(Value at) {
    loops[k] = at;
    return terms([&](int loop) { return loop == k; });
  }
  Value getDepth() { return rows.frame.size(source.step.extents[k]); }

  /// Runs `body` in a loop over [0, count) from here.
  scf::ForOp forEach(Value count, llvm::function_ref<void(Value)> body,
                     Value step = {}) {
    auto loop = scf::ForOp::create(builder, loc, index(0), count,
                                   step ? step : index(1));
    OpBuilder outer = builder;
    builder = OpBuilder::atBlockTerminator(loop.getBody());
    body(loop.getInductionVar());
    builder = outer;
    return loop;
  }

  Value loadIndex(Value at) {
    Value value = memref::LoadOp::create(builder, loc, runs, at);
    return arith::IndexCastOp::create(builder, loc, builder.getIndexType(),
                                      value);
  }
  void storeIndex(Value value, Value at) {
    Value wide =
        arith::IndexCastOp::create(builder, loc, builder.getI64Type(), value);
    memref::StoreOp::create(builder, loc, wide, runs, at);
  }

  /// The first column of each run of columns that lie together is runs[i],
  /// runs[count] is `columns`; column j's offset is runs[width + 1 + j].
  Value findRuns() {
    auto loop = scf::ForOp::create(builder, loc, index(0), columns, index(1),
                                   ValueRange{index(0), index(-1)});
    OpBuilder outer = builder;
    builder = OpBuilder::atBlockEnd(loop.getBody());
    Value j = loop.getInductionVar();
    Value count = loop.getRegionIterArgs()[0];
    Value offset = getColumnOffset(add(column, j));
    storeIndex(offset, add(j, index(width + 1)));
    Value breaks = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ne,
                                         offset, loop.getRegionIterArgs()[1]);
    Value isFirst = arith::CmpIOp::create(
        builder, loc, arith::CmpIPredicate::eq, j, index(0));
    Value begins = arith::OrIOp::create(builder, loc, breaks, isFirst);
    auto guard = scf::IfOp::create(builder, loc, begins, false);
    OpBuilder inner = builder;
    builder = guard.getThenBodyBuilder();
    storeIndex(j, count);
    builder = inner;
    Value more = arith::SelectOp::create(builder, loc, begins,
                                         add(count, index(1)), count);
    scf::YieldOp::create(builder, loc, ValueRange{more, add(offset, index(1))});
    builder = outer;
    storeIndex(columns, loop.getResult(0));
    return loop.getResult(0);
  }

  using GetRun =
      llvm::function_ref<std::pair<Value, Value>(OpBuilder &, Value)>;

  /// Copies run by run, for each k. Vectors are stored whole: what a run's last
  /// one holds too much is overwritten by the next run.
  void packRows(Value count, GetRun getRun) {
    auto type = VectorType::get({source.format.lanes}, source.format.sum);
    auto maskType = VectorType::get({source.format.lanes}, builder.getI1Type());
    bool isOneRun = matchesOne(count);
    forEach(getDepth(), [&](Value at) {
      Value from = add(base, getDepthOffset(at));
      Value row = times(at, index(width));
      forEach(count, [&](Value run) {
        auto [first, offset] = getRun(builder, run);
        Value last = isOneRun ? columns : loadIndex(add(run, index(1)));
        Value length = arith::SubIOp::create(builder, loc, last, first);
        Value start = add(from, offset), to = add(row, first);
        forEach(
            length,
            [&](Value v) {
              Value left = arith::SubIOp::create(builder, loc, length, v);
              Value mask = vector::CreateMaskOp::create(builder, loc, maskType,
                                                        ValueRange{left});
              Value vector =
                  loadVector(builder, loc, view, add(start, v), type, mask);
              vector::StoreOp::create(builder, loc, vector, panel, add(to, v));
            },
            index(source.format.lanes));
      });
    });
  }

  static bool matchesOne(Value count) {
    auto constant = count.getDefiningOp<arith::ConstantIndexOp>();
    return constant && constant.value() == 1;
  }

  void copyElement(Value from, Value to) {
    Value element = memref::LoadOp::create(builder, loc, view, from);
    if (element.getType() != source.format.sum)
      element = arith::ExtFOp::create(builder, loc, source.format.sum, element);
    memref::StoreOp::create(builder, loc, element, panel, to);
  }

  /// Copies column by column, for each k.
  void packElements() {
    forEach(getDepth(), [&](Value at) {
      Value from = add(base, getDepthOffset(at));
      Value row = times(at, index(width));
      forEach(columns, [&](Value j) {
        copyElement(add(from, loadIndex(add(j, index(width + 1)))),
                    add(row, j));
      });
    });
  }

  /// Columns lie along k.
  void packColumns() {
    Value stride = rows.frame.size(simplify(source.access.getStride(n), 64));
    Value from = add(base, getColumnOffset(column));
    forEach(columns, [&](Value j) {
      Value start = add(from, times(j, stride));
      forEach(getDepth(), [&](Value at) {
        copyElement(add(start, at), add(times(at, index(width)), j));
      });
    });
  }

  RowEmitter &rows;
  OpBuilder builder;
  const PanelSource &source;
  Value panel, runs, column, columns;
  Location loc;
  SmallVector<Value> loops;
  Value view, base;
  int n, k;
  int64_t width;
};
} // namespace

void tenon::packPanel(RowEmitter &rows, OpBuilder &builder,
                      const PanelSource &source, Value panel, Value runs,
                      Value column, Value columns) {
  PanelPacker(rows, builder, source, panel, runs, column, columns).pack();
}
