// Det: elimination with the largest pivot, then the product of the diagonal.

#include "LoweringTables.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

namespace {
/// Elimination in one matrix of a batch, which `state` holds.
struct Elimination {
  ScalarCode &code;
  ScalarExpr batch, size;

  ScalarExpr get(ScalarExpr state, ScalarExpr row, ScalarExpr column) {
    return code.read(state, {batch, row, column});
  }
  ScalarExpr set(ScalarExpr state, ScalarExpr row, ScalarExpr column,
                 ScalarExpr element) {
    return code(tensor::InsertOp::create(code.builder, code.loc, element, state,
                                         ValueRange{batch, row, column}));
  }
  ScalarExpr findPivot(ScalarExpr state, ScalarExpr k);
  ScalarExpr exchange(ScalarExpr state, ScalarExpr k, ScalarExpr pivot);
  ScalarExpr eliminate(ScalarExpr state, ScalarExpr k);
};
} // namespace

/// The row from `k` on whose element in column k is the largest.
ScalarExpr Elimination::findPivot(ScalarExpr state, ScalarExpr k) {
  return code.loop(k + 1.0, size, {k, get(state, k, k).abs()},
                   [&](ScalarExpr i, ArrayRef<ScalarExpr> best) {
                     ScalarExpr x = get(state, i, k).abs();
                     ScalarExpr isLarger = x > best[1];
                     return Exprs{isLarger.select(i, best[0]),
                                  isLarger.select(x, best[1])};
                   })[0];
}

/// Exchanges two rows and negates one, which keeps the determinant.
ScalarExpr Elimination::exchange(ScalarExpr state, ScalarExpr k,
                                 ScalarExpr pivot) {
  ScalarExpr stays = pivot == k;
  return code.loop(
      code.index(0), size, state, [&](ScalarExpr j, ArrayRef<ScalarExpr> now) {
        ScalarExpr upper = get(now[0], k, j);
        ScalarExpr lower = get(now[0], pivot, j);
        ScalarExpr next = set(now[0], pivot, j, stays.select(upper, -upper));
        return Exprs{set(next, k, j, lower)};
      })[0];
}

/// Makes column k zero below row k.
ScalarExpr Elimination::eliminate(ScalarExpr state, ScalarExpr k) {
  auto subtract = [&](ScalarExpr now, ScalarExpr i) {
    ScalarExpr pivot = get(now, k, k), zero = pivot.like(0);
    ScalarExpr isZero = pivot == 0;
    ScalarExpr factor = isZero.select(
        zero, get(now, i, k) / isZero.select(pivot.like(1), pivot));
    return code.loop(k, size, now, [&](ScalarExpr j, ArrayRef<ScalarExpr> row) {
      ScalarExpr rest = get(row[0], i, j) - factor * get(row[0], k, j);
      return Exprs{set(row[0], i, j, rest)};
    })[0];
  };
  return code.loop(k + 1.0, size, state,
                   [&](ScalarExpr i, ArrayRef<ScalarExpr> now) {
                     return Exprs{subtract(now[0], i)};
                   })[0];
}

/// The matrices as upper triangles of the same determinants.
static Value triangulate(Location loc, Value matrices, Type real,
                         Lowering &lowering) {
  Dims dims = lowering.dims(matrices);
  LaunchBuilder launch = lowering.launch(loc, matrices, Result{real, dims});
  ScalarCode code(launch.builder(), loc);
  AffineMap identity = code.builder.getMultiDimIdentityMap(3);
  ScalarExpr copy = code(launch.generic(
      {{launch.input(0), identity}}, {launch.destination(), identity},
      [&](OpBuilder &nested, Location at, ValueRange v) {
        return convertFloat(nested, at, v[0], real);
      }));
  ScalarExpr size = code(launch.index(dims[1]));
  Exprs done = code.loop(
      code.index(0), code(launch.index(dims[0])), copy,
      [&](ScalarExpr batch, ArrayRef<ScalarExpr> all) {
        return code.loop(code.index(0), size, all,
                         [&](ScalarExpr k, ArrayRef<ScalarExpr> state) {
                           Elimination step{code, batch, size};
                           ScalarExpr pivot = step.findPivot(state[0], k);
                           ScalarExpr ready = step.exchange(state[0], k, pivot);
                           return Exprs{step.eliminate(ready, k)};
                         });
      });
  return lowering.finish(launch, Value(done[0])).getResult(0);
}

static LogicalResult lowerDet(Operation *op, Lowering &lowering) {
  Value data = op->getOperand(0), result = op->getResult(0);
  Location loc = op->getLoc();
  Type element = lowering.element(data), real = getAccumulatorType(element);
  Dims dims = lowering.dims(data), out = lowering.dims(result);
  Dims flat = {lowering.product(out), dims.back(), dims.back()};
  Value triangles =
      triangulate(loc, lowering.view(loc, data, flat), real, lowering);
  LaunchBuilder launch =
      lowering.launch(loc, triangles, Result{element, {flat[0]}});
  Value size = launch.index(dims.back());
  Value products =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        return code.loop(code.index(0), code(size), code.constant(real, 1),
                         [&](ScalarExpr k, ArrayRef<ScalarExpr> product) {
                           return Exprs{product[0] * code.read(launch.input(0),
                                                               {at[0], k, k})};
                         })[0];
      });
  Value determinants = lowering.finish(launch, products).getResult(0);
  lowering.replace(op, lowering.view(loc, determinants, out));
  return success();
}

void tenon::addDeterminantLowerings(LoweringTable &table) {
  table["onnx.Det"] = lowerDet;
}
