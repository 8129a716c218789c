// MatMul and Gemm: a contraction over batch dimensions, rows, columns and the
// summed dimension. Weights keep one matrix shape, so that rows of all batches
// go through one kernel.

#include "Attributes.h"
#include "LineMatrix.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace tenon;

Type tenon::getAccumulatorType(Type element) {
  if (isa<FloatType>(element) && element.getIntOrFloatBitWidth() < 32)
    return Float32Type::get(element.getContext());
  if (element.isInteger() && element.getIntOrFloatBitWidth() < 32)
    return IntegerType::get(element.getContext(), 32);
  return element;
}

Value tenon::multiplyAdd(OpBuilder &builder, Location loc, Value a, Value b,
                         Value sum) {
  Type type = sum.getType();
  if (isa<FloatType>(type)) {
    Value product =
        arith::MulFOp::create(builder, loc, convertFloat(builder, loc, a, type),
                              convertFloat(builder, loc, b, type));
    return arith::AddFOp::create(builder, loc, sum, product);
  }
  auto widen = [&](Value x) -> Value {
    return x.getType() == type ? x
                               : arith::ExtSIOp::create(builder, loc, type, x);
  };
  Value product = arith::MulIOp::create(builder, loc, widen(a), widen(b));
  return arith::AddIOp::create(builder, loc, sum, product);
}

Value tenon::convertFloat(OpBuilder &builder, Location loc, Value value,
                          Type type) {
  unsigned from = value.getType().getIntOrFloatBitWidth();
  unsigned to = type.getIntOrFloatBitWidth();
  if (from < to)
    return arith::ExtFOp::create(builder, loc, type, value);
  if (from > to)
    return arith::TruncFOp::create(builder, loc, type, value);
  return value;
}

/// Where an operand of a contraction is read.
struct ContractionMaps {
  AffineMap a, b, result;
};

/// One launch: result = sum over the last iteration dimension of a * b.
static Value contract(Operation *op, Value a, Value b,
                      ArrayRef<AffineExpr> dims, ContractionMaps maps,
                      Lowering &lowering) {
  Location loc = op->getLoc();
  Type sumType = getAccumulatorType(lowering.element(a));
  Type element = isa<FloatType>(sumType) ? lowering.element(a) : sumType;
  LaunchBuilder launch =
      lowering.launch(loc, {a, b}, Result{element, Dims(dims)});
  OpBuilder &builder = launch.builder();
  Value target =
      sumType == element ? launch.destination() : launch.empty(dims, sumType);
  Value zero =
      arith::ConstantOp::create(builder, loc, builder.getZeroAttr(sumType));
  Value sum =
      launch.generic({{launch.input(0), maps.a}, {launch.input(1), maps.b}},
                     {launch.filled(zero, target), maps.result},
                     [](OpBuilder &nested, Location loc, ValueRange v) {
                       return multiplyAdd(nested, loc, v[0], v[1], v[2]);
                     });
  if (sumType != element) {
    AffineMap identity = builder.getMultiDimIdentityMap(dims.size());
    sum = launch.generic(
        {{sum, identity}}, {launch.destination(), identity},
        [&](OpBuilder &nested, Location loc, ValueRange v) -> Value {
          return arith::TruncFOp::create(nested, loc, element, v[0]);
        });
  }
  return lowering.finish(launch, sum).getResult(0);
}

/// rows x k times k x columns, or columns x k if `bIsTransposed`.
static Value contractMatrices(Operation *op, Value a, Value b,
                              bool aIsTransposed, bool bIsTransposed,
                              ArrayRef<AffineExpr> dims, Lowering &lowering) {
  MLIRContext *context = op->getContext();
  AffineExpr m, n, k;
  bindDims(context, m, n, k);
  auto pair = [&](AffineExpr x, AffineExpr y) {
    return AffineMap::get(3, 0, {x, y}, context);
  };
  return contract(op, a, b, dims,
                  {aIsTransposed ? pair(k, m) : pair(m, k),
                   bIsTransposed ? pair(n, k) : pair(k, n), pair(m, n)},
                  lowering);
}

/// a times a stored weight of small integers whose axis `summed` is summed
/// over; null if b is none that a kernel multiplies by.
static Value multiplyByStored(Operation *op, Value a, Value b, unsigned summed,
                              Lowering &lowering) {
  if (!isa<Float32Type, Float16Type, BFloat16Type>(lowering.element(a)))
    return nullptr;
  std::optional<LineMatrix> lines = findLines(b, summed, lowering);
  if (!lines || !lines->isMultiplied())
    return nullptr;
  return multiplyByLines(op, a, *lines, nullptr, lowering);
}

/// b is one matrix: all rows of a form one matrix too.
static Value multiplyByMatrix(Operation *op, Value a, Value b,
                              Lowering &lowering) {
  Dims aDims = lowering.dims(a), result = lowering.dims(op->getResult(0));
  Value source = lowering.transposedSource(b);
  AffineExpr rows = lowering.product(ArrayRef(aDims).drop_back());
  AffineExpr columns = lowering.dims(b)[1];
  Value flat = lowering.view(op->getLoc(), a, {rows, aDims.back()});
  if (Value product = multiplyByStored(op, flat, source ? source : b,
                                       source ? 1 : 0, lowering))
    return lowering.view(op->getLoc(), product, result);
  Value product = contractMatrices(op, flat, source ? source : b, false,
                                   bool(source), {rows, columns}, lowering);
  return lowering.view(op->getLoc(), product, result);
}

Value tenon::multiplyMatrices(Operation *op, Value a, Value b,
                              Lowering &lowering) {
  Location loc = op->getLoc();
  MLIRContext *context = op->getContext();
  Dims aDims = lowering.dims(a), bDims = lowering.dims(b);
  AffineExpr one = lowering.constant(1);
  if (aDims.size() == 1) {
    a = lowering.view(loc, a, {one, aDims[0]});
    aDims.insert(aDims.begin(), one);
  }
  if (bDims.size() == 1) {
    b = lowering.view(loc, b, {bDims[0], one});
    bDims.push_back(one);
  }
  if (bDims.size() == 2)
    return multiplyByMatrix(op, a, b, lowering);

  unsigned batch = std::max(aDims.size(), bDims.size()) - 2;
  Dims result = lowering.dims(op->getResult(0));
  for (auto [operand, operandDims] :
       {std::pair(&a, &aDims), std::pair(&b, &bDims)}) {
    Dims to(ArrayRef(result).take_front(batch));
    llvm::append_range(to, ArrayRef(*operandDims).take_back(2));
    *operand = lowering.broadcast(loc, *operand, to);
    *operandDims = lowering.dims(*operand);
  }
  AffineExpr m = getAffineDimExpr(batch, context);
  AffineExpr n = getAffineDimExpr(batch + 1, context);
  AffineExpr k = getAffineDimExpr(batch + 2, context);
  Dims dims;
  SmallVector<AffineExpr> aExprs, bExprs, resultExprs;
  auto pick = [&](ArrayRef<AffineExpr> from, unsigned position,
                  SmallVector<AffineExpr> &exprs) -> AffineExpr {
    int64_t index = int64_t(position) - int64_t(batch + 2 - from.size());
    if (index < 0)
      return one;
    AffineExpr dim = from[index];
    exprs.push_back(dim == one ? getAffineConstantExpr(0, context)
                               : getAffineDimExpr(position, context));
    return dim;
  };
  for (unsigned position = 0; position < batch; ++position) {
    AffineExpr left = pick(aDims, position, aExprs);
    AffineExpr right = pick(bDims, position, bExprs);
    dims.push_back(left == one ? right : left);
    resultExprs.push_back(getAffineDimExpr(position, context));
  }
  dims.append({aDims[aDims.size() - 2], bDims.back()});
  aExprs.append({m, k});
  bExprs.append({k, n});
  resultExprs.append({m, n});
  auto map = [&](ArrayRef<AffineExpr> exprs) {
    return AffineMap::get(batch + 3, 0, exprs, context);
  };
  Value product = contract(
      op, a, b, dims, {map(aExprs), map(bExprs), map(resultExprs)}, lowering);
  return lowering.view(loc, product, lowering.dims(op->getResult(0)));
}

static LogicalResult lowerMatMul(Operation *op, Lowering &lowering) {
  lowering.replace(
      op, multiplyMatrices(op, op->getOperand(0), op->getOperand(1), lowering));
  return success();
}

/// alpha * product + beta * c, c broadcast.
static Value scaleAndAdd(Operation *op, Value product, Value c,
                         Lowering &lowering) {
  Location loc = op->getLoc();
  double alpha = getFloat(op, "alpha", 1.0), beta = getFloat(op, "beta", 1.0);
  Dims dims = lowering.dims(product);
  Type element = lowering.element(product);
  SmallVector<Value> inputs = {product};
  if (c)
    c = lowering.broadcast(loc, c, dims);
  if (c)
    inputs.push_back(c);
  LaunchBuilder launch = lowering.launch(loc, inputs, Result{element, dims});
  OpBuilder &builder = launch.builder();
  AffineMap identity = builder.getMultiDimIdentityMap(2);
  SmallVector<LaunchBuilder::Access> accesses = {{launch.input(0), identity}};
  if (c)
    accesses.push_back(
        {launch.input(1),
         getBroadcastMap(op->getContext(), lowering.dims(c), dims)});
  auto emit = [&](OpBuilder &nested, Location loc, ValueRange v) {
    ScalarContext s{nested, loc, op, ElementKind::Float, ElementKind::Float,
                    element};
    auto times = [&](Value x, double factor) -> Value {
      if (factor == 1.0)
        return x;
      return findScalarEmitter("Mul")(s, {x, s.like(x, factor)});
    };
    Value result = times(v[0], alpha);
    return c ? findScalarEmitter("Add")(s, {result, times(v[1], beta)})
             : result;
  };
  Value sum = launch.generic(accesses, {launch.destination(), identity}, emit);
  return lowering.finish(launch, sum).getResult(0);
}

static LogicalResult lowerGemm(Operation *op, Lowering &lowering) {
  auto gemm = cast<onnx::GemmOp>(op);
  bool aIsTransposed = getFlag(op, "transA"),
       bIsTransposed = getFlag(op, "transB");
  Value product;
  if (!aIsTransposed)
    product =
        multiplyByStored(op, gemm.getA(), gemm.getB(), bIsTransposed, lowering);
  if (!product)
    product = contractMatrices(op, gemm.getA(), gemm.getB(), aIsTransposed,
                               bIsTransposed, lowering.dims(op->getResult(0)),
                               lowering);
  if (gemm.getC() || getFloat(op, "alpha", 1.0) != 1.0)
    product = scaleAndAdd(op, product, gemm.getC(), lowering);
  lowering.replace(op, product);
  return success();
}

void tenon::addContractionLowerings(LoweringTable &table) {
  table["onnx.MatMul"] = lowerMatMul;
  table["onnx.Gemm"] = lowerGemm;
}
