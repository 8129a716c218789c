#include "RowSearches.h"

using namespace mlir;
using namespace tenon;

SmallVector<Value> tenon::findFirst(Location loc, Value rows, ElementKind kind,
                                    AffineExpr k, bool isLargest,
                                    Lowering &lowering) {
  Dims dims = lowering.dims(rows);
  dims[1] = k;
  LaunchBuilder launch =
      lowering.launch(loc, rows,
                      {Result{lowering.element(rows), dims},
                       Result{lowering.builder.getI64Type(), dims}});
  Value values = launch.destination(0), numbers = launch.destination(1);
  auto found =
      kernel::TopKOp::create(launch.builder(), loc, values.getType(),
                             numbers.getType(), launch.input(0), values,
                             numbers, isLargest, kind == ElementKind::Unsigned);
  return SmallVector<Value>(
      lowering.finish(launch, found.getResults()).getResults());
}

Value tenon::findTotals(Location loc, Value rows, TotalsForm form,
                        Lowering &lowering) {
  LaunchBuilder launch = lowering.launch(
      loc, rows, Result{lowering.element(rows), lowering.dims(rows)});
  Value totals = kernel::ScanOp::create(
      launch.builder(), loc, launch.destination().getType(), launch.input(0),
      launch.destination(), form.isProduct, form.isExclusive, form.isReverse);
  return lowering.finish(launch, totals).getResult(0);
}

Chosen::Chosen(Location loc, AffineExpr size, ArrayRef<Value> inputs,
               Condition isChosen, Lowering &lowering)
    : size(size) {
  Type i64 = lowering.builder.getI64Type();
  AffineExpr one = lowering.constant(1);
  LaunchBuilder launch =
      lowering.launch(loc, inputs, Result{i64, {one, size + 1, one}});
  Value end = launch.index(size);
  Value flags =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr none = code.constant(i64, 0);
        return code.choose(
            at[1] < code(end),
            [&] {
              return isChosen(code, launch, at[1])
                  .select(code.constant(i64, 1), none);
            },
            [&] { return none; });
      });
  flags = lowering.finish(launch, flags).getResult(0);
  TotalsForm form;
  form.isExclusive = true;
  counts = findTotals(loc, flags, form, lowering);
}

ScalarExpr Chosen::countBefore(ScalarCode &code, Value counts,
                               ScalarExpr number) {
  ScalarExpr zero = code.index(0);
  return code.read(counts, {zero, number, zero}).toIndex();
}

ScalarExpr Chosen::find(ScalarCode &code, Value counts, ScalarExpr size,
                        ScalarExpr number) {
  using Exprs = ScalarCode::Exprs;
  return code.loopWhile(
      {code.index(0), size},
      [&](ArrayRef<ScalarExpr> range) { return range[0] < range[1]; },
      [&](ArrayRef<ScalarExpr> range) {
        ScalarExpr middle = (range[0] + range[1]) / 2;
        ScalarExpr isBehind = countBefore(code, counts, middle + 1) > number;
        return Exprs{isBehind.select(range[0], middle + 1),
                     isBehind.select(middle, range[1])};
      })[0];
}

void Chosen::readCount(Value result, Lowering &lowering) const {
  lowering.readDims(result, counts, [&](LaunchBuilder &launch, unsigned) {
    ScalarCode code(launch.builder(), launch.loc());
    return Value(countBefore(code, launch.input(0), code(launch.index(size))));
  });
}
