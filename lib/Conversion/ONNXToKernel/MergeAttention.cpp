#include "MergeAttention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace tenon;

namespace {
/// With weight_p = exp(lse_p - max lse): result = sum of weight_p * part_p over
/// sum of weight_p. Loops are (batch, head, token[, feature], part).
class Merge {
public:
  Merge(LaunchBuilder &launch, AffineMap map, bool emptyIsNaN)
      : launch(launch), context(map.getContext()), resultMap(map),
        emptyIsNaN(emptyIsNaN), parts(launch.input(0)), lses(launch.input(1)),
        sumType(cast<RankedTensorType>(lses.getType()).getElementType()) {}

  SmallVector<Value> emit(ArrayRef<Result> results, ArrayRef<AffineExpr> rows,
                          ArrayRef<AffineExpr> partsOfRows,
                          ArrayRef<AffineExpr> sums);

private:
  AffineMap mapOf(unsigned loops, ArrayRef<unsigned> dims) {
    SmallVector<AffineExpr> exprs;
    for (unsigned dim : dims)
      exprs.push_back(getAffineDimExpr(dim, context));
    return AffineMap::get(loops, 0, exprs, context);
  }
  Value number(OpBuilder &builder, Location loc, double value) {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getFloatAttr(sumType, value));
  }
  Value filled(double value, ArrayRef<AffineExpr> dims) {
    return launch.filled(number(launch.builder(), launch.loc(), value),
                         launch.empty(dims, sumType));
  }
  Value isLowest(OpBuilder &builder, Location loc, Value value) {
    Value lowest =
        number(builder, loc, -std::numeric_limits<double>::infinity());
    return arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OEQ, value,
                                 lowest);
  }
  Value getMaxima(ArrayRef<AffineExpr> rows);
  Value getWeights(Value maxima, ArrayRef<AffineExpr> partsOfRows);
  Value getTotals(Value weights, ArrayRef<AffineExpr> rows);
  Value getSums(Value weights, ArrayRef<AffineExpr> dims);
  Value divide(Value sums, Value totals);
  Value getLogSum(Value maxima, Value totals);

  LaunchBuilder &launch;
  MLIRContext *context;
  AffineMap resultMap;
  bool emptyIsNaN;
  Value parts, lses;
  Type sumType;
};
} // namespace

Value Merge::getMaxima(ArrayRef<AffineExpr> rows) {
  Value start = filled(-std::numeric_limits<double>::infinity(), rows);
  return launch.generic({{lses, mapOf(4, {3, 0, 1, 2})}},
                        {start, mapOf(4, {0, 1, 2})},
                        [](OpBuilder &b, Location loc, ValueRange v) -> Value {
                          return arith::MaximumFOp::create(b, loc, v[1], v[0]);
                        });
}

/// A row without keys in any part has weights of exp(-inf), not of NaN.
Value Merge::getWeights(Value maxima, ArrayRef<AffineExpr> partsOfRows) {
  return launch.generic(
      {{lses, mapOf(4, {3, 0, 1, 2})}, {maxima, mapOf(4, {0, 1, 2})}},
      {launch.empty(partsOfRows, sumType), mapOf(4, {3, 0, 1, 2})},
      [&](OpBuilder &b, Location loc, ValueRange v) -> Value {
        Value shift = arith::SelectOp::create(b, loc, isLowest(b, loc, v[1]),
                                              number(b, loc, 0), v[1]);
        Value rest = arith::SubFOp::create(b, loc, v[0], shift);
        return math::ExpOp::create(b, loc, rest);
      });
}

Value Merge::getTotals(Value weights, ArrayRef<AffineExpr> rows) {
  return launch.generic({{weights, mapOf(4, {3, 0, 1, 2})}},
                        {filled(0, rows), mapOf(4, {0, 1, 2})},
                        [](OpBuilder &b, Location loc, ValueRange v) -> Value {
                          return arith::AddFOp::create(b, loc, v[1], v[0]);
                        });
}

/// `resultMap` over loops (batch, head, token, feature, part), the part first
/// where `leads`.
static AffineMap withParts(AffineMap map, bool leads) {
  SmallVector<AffineExpr> exprs(map.getResults());
  if (leads)
    exprs.insert(exprs.begin(), getAffineDimExpr(4, map.getContext()));
  return AffineMap::get(5, 0, exprs, map.getContext());
}

Value Merge::getSums(Value weights, ArrayRef<AffineExpr> dims) {
  return launch.generic(
      {{parts, withParts(resultMap, true)}, {weights, mapOf(5, {4, 0, 1, 2})}},
      {filled(0, dims), withParts(resultMap, false)},
      [](OpBuilder &b, Location loc, ValueRange v) -> Value {
        Value product = arith::MulFOp::create(b, loc, v[0], v[1]);
        return arith::AddFOp::create(b, loc, v[2], product);
      });
}

Value Merge::divide(Value sums, Value totals) {
  Value target = launch.destination(0);
  Type element = cast<RankedTensorType>(target.getType()).getElementType();
  return launch.generic(
      {{sums, resultMap}, {totals, mapOf(4, {0, 1, 2})}}, {target, resultMap},
      [&](OpBuilder &b, Location loc, ValueRange v) {
        Value zero = number(b, loc, 0);
        Value quotient = arith::DivFOp::create(b, loc, v[0], v[1]);
        if (!emptyIsNaN) {
          Value isEmpty = arith::CmpFOp::create(
              b, loc, arith::CmpFPredicate::OEQ, v[1], zero);
          quotient = arith::SelectOp::create(b, loc, isEmpty, zero, quotient);
        }
        return convertFloat(b, loc, quotient, element);
      });
}

Value Merge::getLogSum(Value maxima, Value totals) {
  Value target = launch.destination(1);
  Type element = cast<RankedTensorType>(target.getType()).getElementType();
  AffineMap rows = mapOf(3, {0, 1, 2});
  return launch.generic({{maxima, rows}, {totals, rows}}, {target, rows},
                        [&](OpBuilder &b, Location loc, ValueRange v) {
                          Value log = math::LogOp::create(b, loc, v[1]);
                          Value sum = arith::AddFOp::create(b, loc, v[0], log);
                          return convertFloat(b, loc, sum, element);
                        });
}

SmallVector<Value> Merge::emit(ArrayRef<Result> results,
                               ArrayRef<AffineExpr> rows,
                               ArrayRef<AffineExpr> partsOfRows,
                               ArrayRef<AffineExpr> sums) {
  Value maxima = getMaxima(rows);
  Value weights = getWeights(maxima, partsOfRows);
  Value totals = getTotals(weights, rows);
  SmallVector<Value> values = {divide(getSums(weights, sums), totals)};
  if (results.size() > 1)
    values.push_back(getLogSum(maxima, totals));
  return values;
}

kernel::LaunchOp tenon::mergeAttention(onnx::TenonAttentionOp op,
                                       kernel::LaunchOp partial, AffineMap map,
                                       ArrayRef<Result> results,
                                       Lowering &lowering) {
  Value parts = partial.getResult(0), lses = partial.getResult(1);
  LaunchBuilder launch = lowering.launch(op.getLoc(), {parts, lses}, results);
  Dims partsOfRows = lowering.dims(lses);
  SmallVector<Value> values =
      Merge(launch, map, op.getEmptyRowIsNan() != 0)
          .emit(results, ArrayRef(partsOfRows).drop_front(), partsOfRows,
                results[0].dims);
  return lowering.finish(launch, values);
}
