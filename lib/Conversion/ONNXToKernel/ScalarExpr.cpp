#include "ScalarExpr.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/SmallVectorExtras.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

ScalarExpr ScalarExpr::like(double number) const {
  return ScalarCode(*builder, loc).constant(type(), number);
}

template <typename Op>
ScalarExpr ScalarExpr::unary() const {
  return {*builder, loc, Op::create(*builder, loc, value)};
}

template <typename FloatOp, typename IntOp>
ScalarExpr ScalarExpr::binary(ScalarExpr other) const {
  assert(type() == other.type() && "operands are of one type");
  if (isFloat())
    return {*builder, loc, FloatOp::create(*builder, loc, value, other.value)};
  return {*builder, loc, IntOp::create(*builder, loc, value, other.value)};
}

ScalarExpr ScalarExpr::to(Type target) const {
  Type from = type();
  if (from == target)
    return *this;
  OpBuilder &b = *builder;
  auto make = [&](Value made) { return ScalarExpr(b, loc, made); };
  if (isFloat() && isa<FloatType>(target)) {
    unsigned width = from.getIntOrFloatBitWidth();
    unsigned wanted = target.getIntOrFloatBitWidth();
    if (width == wanted) // f16 and bf16
      return to(b.getF32Type()).to(target);
    return width < wanted
               ? make(arith::ExtFOp::create(b, loc, target, value))
               : make(arith::TruncFOp::create(b, loc, target, value));
  }
  if (isFloat())
    return target.isIndex()
               ? to(b.getI64Type()).to(target)
               : make(arith::FPToSIOp::create(b, loc, target, value));
  if (isa<FloatType>(target)) {
    if (from.isIndex())
      return to(b.getI64Type()).to(target);
    if (from.isInteger(1))
      return make(arith::UIToFPOp::create(b, loc, target, value));
    return make(arith::SIToFPOp::create(b, loc, target, value));
  }
  if (from.isInteger(1))
    return target.isIndex()
               ? make(arith::IndexCastUIOp::create(b, loc, target, value))
               : make(arith::ExtUIOp::create(b, loc, target, value));
  if (from.isIndex() || target.isIndex())
    return make(arith::IndexCastOp::create(b, loc, target, value));
  if (from.getIntOrFloatBitWidth() < target.getIntOrFloatBitWidth())
    return make(arith::ExtSIOp::create(b, loc, target, value));
  return make(arith::TruncIOp::create(b, loc, target, value));
}

ScalarExpr ScalarExpr::operator+(ScalarExpr other) const {
  return binary<arith::AddFOp, arith::AddIOp>(other);
}
ScalarExpr ScalarExpr::operator-(ScalarExpr other) const {
  return binary<arith::SubFOp, arith::SubIOp>(other);
}
ScalarExpr ScalarExpr::operator*(ScalarExpr other) const {
  return binary<arith::MulFOp, arith::MulIOp>(other);
}
ScalarExpr ScalarExpr::operator/(ScalarExpr other) const {
  return binary<arith::DivFOp, arith::DivSIOp>(other);
}
ScalarExpr ScalarExpr::operator%(ScalarExpr other) const {
  return binary<arith::RemFOp, arith::RemSIOp>(other);
}
ScalarExpr ScalarExpr::operator&(ScalarExpr other) const {
  return {*builder, loc,
          arith::AndIOp::create(*builder, loc, value, other.value)};
}
ScalarExpr ScalarExpr::operator|(ScalarExpr other) const {
  return {*builder, loc,
          arith::OrIOp::create(*builder, loc, value, other.value)};
}
ScalarExpr ScalarExpr::operator!() const {
  Value yes = ScalarCode(*builder, loc).truth(true);
  return {*builder, loc, arith::XOrIOp::create(*builder, loc, value, yes)};
}

static Value compare(OpBuilder &builder, Location loc, Value a, Value b,
                     arith::CmpFPredicate floats,
                     arith::CmpIPredicate integers) {
  assert(a.getType() == b.getType() && "operands are of one type");
  if (isa<FloatType>(a.getType()))
    return arith::CmpFOp::create(builder, loc, floats, a, b);
  return arith::CmpIOp::create(builder, loc, integers, a, b);
}

ScalarExpr ScalarExpr::operator<(ScalarExpr other) const {
  return {*builder, loc,
          compare(*builder, loc, value, other, arith::CmpFPredicate::OLT,
                  arith::CmpIPredicate::slt)};
}
ScalarExpr ScalarExpr::operator<=(ScalarExpr other) const {
  return {*builder, loc,
          compare(*builder, loc, value, other, arith::CmpFPredicate::OLE,
                  arith::CmpIPredicate::sle)};
}
ScalarExpr ScalarExpr::operator==(ScalarExpr other) const {
  return {*builder, loc,
          compare(*builder, loc, value, other, arith::CmpFPredicate::OEQ,
                  arith::CmpIPredicate::eq)};
}
ScalarExpr ScalarExpr::operator!=(ScalarExpr other) const {
  return {*builder, loc,
          compare(*builder, loc, value, other, arith::CmpFPredicate::UNE,
                  arith::CmpIPredicate::ne)};
}

ScalarExpr ScalarExpr::select(ScalarExpr yes, ScalarExpr no) const {
  return {*builder, loc,
          arith::SelectOp::create(*builder, loc, value, yes.value, no.value)};
}

ScalarExpr ScalarExpr::min(ScalarExpr other) const {
  return binary<arith::MinimumFOp, arith::MinSIOp>(other);
}
ScalarExpr ScalarExpr::max(ScalarExpr other) const {
  return binary<arith::MaximumFOp, arith::MaxSIOp>(other);
}
ScalarExpr ScalarExpr::clamp(ScalarExpr low, ScalarExpr high) const {
  ScalarExpr raised = (*this > low).select(*this, low);
  return (raised < high).select(raised, high);
}
ScalarExpr ScalarExpr::abs() const {
  return isFloat() ? unary<math::AbsFOp>() : unary<math::AbsIOp>();
}
ScalarExpr ScalarExpr::floor() const { return unary<math::FloorOp>(); }
ScalarExpr ScalarExpr::ceil() const { return unary<math::CeilOp>(); }
ScalarExpr ScalarExpr::roundEven() const { return unary<math::RoundEvenOp>(); }
ScalarExpr ScalarExpr::sqrt() const { return unary<math::SqrtOp>(); }
ScalarExpr ScalarExpr::exp() const { return unary<math::ExpOp>(); }
ScalarExpr ScalarExpr::sin() const { return unary<math::SinOp>(); }
ScalarExpr ScalarExpr::cos() const { return unary<math::CosOp>(); }
ScalarExpr ScalarExpr::tanh() const { return unary<math::TanhOp>(); }
ScalarExpr ScalarExpr::pow(ScalarExpr exponent) const {
  return {*builder, loc,
          math::PowFOp::create(*builder, loc, value, exponent.value)};
}

ScalarExpr ScalarCode::constant(Type type, double number) {
  TypedAttr attr =
      isa<FloatType>(type)
          ? TypedAttr(builder.getFloatAttr(type, number))
          : TypedAttr(builder.getIntegerAttr(type, int64_t(number)));
  return {builder, loc, arith::ConstantOp::create(builder, loc, attr)};
}

ScalarExpr ScalarCode::truth(bool value) {
  return {builder, loc,
          arith::ConstantOp::create(builder, loc, builder.getBoolAttr(value))};
}

ScalarExpr ScalarCode::read(Value tensor, ArrayRef<ScalarExpr> at) {
  SmallVector<Value> position(at.begin(), at.end());
  return {builder, loc,
          tensor::ExtractOp::create(builder, loc, tensor, position)};
}

static SmallVector<Value> getValues(ArrayRef<ScalarExpr> exprs) {
  return SmallVector<Value>(exprs.begin(), exprs.end());
}

static Exprs wrap(ScalarCode &code, ValueRange values) {
  Exprs exprs;
  for (Value value : values)
    exprs.push_back(code(value));
  return exprs;
}

Exprs ScalarCode::loop(
    ScalarExpr low, ScalarExpr high, ArrayRef<ScalarExpr> state,
    function_ref<Exprs(ScalarExpr, ArrayRef<ScalarExpr>)> body) {
  auto loop =
      scf::ForOp::create(builder, loc, low, high, index(1), getValues(state));
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(loop.getBody());
  Exprs next = body((*this)(loop.getInductionVar()),
                    wrap(*this, loop.getRegionIterArgs()));
  scf::YieldOp::create(builder, loc, getValues(next));
  return wrap(*this, loop.getResults());
}

Exprs ScalarCode::loopWhile(
    ArrayRef<ScalarExpr> state,
    function_ref<ScalarExpr(ArrayRef<ScalarExpr>)> holds,
    function_ref<Exprs(ArrayRef<ScalarExpr>)> body) {
  SmallVector<Value> start = getValues(state);
  SmallVector<Type> types(ValueRange(start).getTypes());
  SmallVector<Location> locations(types.size(), loc);
  auto loop = scf::WhileOp::create(builder, loc, types, start);
  OpBuilder::InsertionGuard guard(builder);
  Block *before = builder.createBlock(&loop.getBefore(), {}, types, locations);
  ScalarExpr goesOn = holds(wrap(*this, before->getArguments()));
  scf::ConditionOp::create(builder, loc, goesOn, before->getArguments());
  Block *after = builder.createBlock(&loop.getAfter(), {}, types, locations);
  Exprs next = body(wrap(*this, after->getArguments()));
  scf::YieldOp::create(builder, loc, getValues(next));
  return wrap(*this, loop.getResults());
}

Exprs ScalarCode::chooseAll(ScalarExpr condition, function_ref<Exprs()> yes,
                            function_ref<Exprs()> no) {
  SmallVector<Type> types;
  auto branch = scf::IfOp::create(builder, loc, TypeRange(), condition,
                                  /*addThenBlock=*/true,
                                  /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(builder);
  for (auto [region, emit] : {std::pair(&branch.getThenRegion(), yes),
                              std::pair(&branch.getElseRegion(), no)}) {
    builder.setInsertionPointToEnd(&region->front());
    SmallVector<Value> values = getValues(emit());
    types.assign(ValueRange(values).getTypes().begin(),
                 ValueRange(values).getTypes().end());
    scf::YieldOp::create(builder, loc, values);
  }
  builder.setInsertionPointAfter(branch);
  auto typed = scf::IfOp::create(builder, loc, types, condition,
                                 /*addThenBlock=*/false,
                                 /*addElseBlock=*/false);
  typed.getThenRegion().takeBody(branch.getThenRegion());
  typed.getElseRegion().takeBody(branch.getElseRegion());
  branch.erase();
  return wrap(*this, typed.getResults());
}

ScalarExpr ScalarCode::choose(ScalarExpr condition,
                              function_ref<ScalarExpr()> yes,
                              function_ref<ScalarExpr()> no) {
  return chooseAll(
      condition, [&] { return Exprs{yes()}; }, [&] { return Exprs{no()}; })[0];
}

ScalarExpr tenon::toReal(ScalarCode &code, Value number, ElementKind kind,
                         Type real) {
  if (kind == ElementKind::Unsigned)
    return code(arith::UIToFPOp::create(code.builder, code.loc, real, number));
  return code(number).to(real);
}

ScalarExpr tenon::fromReal(ScalarCode &code, ScalarExpr number, Type type,
                           ElementKind kind) {
  if (isa<FloatType>(type))
    return number.to(type);
  bool isSigned = kind == ElementKind::Signed;
  unsigned width = type.getIntOrFloatBitWidth();
  double low = isSigned ? -std::ldexp(1.0, width - 1) : 0;
  double high = std::ldexp(1.0, isSigned ? width - 1 : width) - 1;
  ScalarExpr whole = number.roundEven();
  if (width >= number.type().getIntOrFloatBitWidth()) // high is no float
    high = std::nextafter(high, 0);
  ScalarExpr bounded = whole.clamp(whole.like(low), whole.like(high));
  if (isSigned || width < 32)
    return bounded.to(code.builder.getIntegerType(width < 32 ? 32 : 64))
        .to(type);
  return code(arith::FPToUIOp::create(code.builder, code.loc, type, bounded));
}

Value tenon::mapPositions(
    LaunchBuilder &launch,
    function_ref<ScalarExpr(ScalarCode &, ArrayRef<ScalarExpr>)> emit) {
  auto type = cast<RankedTensorType>(launch.destination().getType());
  AffineMap identity = launch.builder().getMultiDimIdentityMap(type.getRank());
  return launch.generic(
      {}, {launch.destination(), identity},
      [&](OpBuilder &nested, Location loc, ValueRange) -> Value {
        ScalarCode code(nested, loc);
        Exprs position;
        for (int64_t axis = 0; axis < type.getRank(); ++axis)
          position.push_back(code(linalg::IndexOp::create(nested, loc, axis)));
        return emit(code, position).to(type.getElementType());
      });
}

Value tenon::scatter(
    LaunchBuilder &launch, Value count, Value target,
    function_ref<std::pair<ScalarExpr, ScalarExpr>(ScalarCode &, ScalarExpr)>
        emit) {
  OpBuilder &builder = launch.builder();
  Location loc = launch.loc();
  ScalarCode code(builder, loc);
  auto loop = scf::ForOp::create(builder, loc, code.index(0), count,
                                 code.index(1), target);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(loop.getBody());
  auto [place, element] = emit(code, code(loop.getInductionVar()));
  Value next = tensor::InsertOp::create(builder, loc, element,
                                        loop.getRegionIterArg(0), Value(place));
  scf::YieldOp::create(builder, loc, next);
  return loop.getResult(0);
}

Value tenon::extend(Location loc, Value tensor, ArrayRef<AffineExpr> dims,
                    double filler, Lowering &lowering) {
  Dims from = lowering.dims(tensor);
  if (llvm::equal(from, dims))
    return tensor;
  LaunchBuilder launch = lowering.launch(
      loc, tensor, Result{lowering.element(tensor), Dims(dims)});
  SmallVector<Value> sizes;
  for (AffineExpr size : from)
    sizes.push_back(launch.index(size));
  Value result =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr inside = code.truth(true);
        Exprs source;
        for (auto [i, size] : llvm::zip(at, sizes)) {
          ScalarExpr fits = i < code(size);
          inside = inside & fits;
          source.push_back(fits.select(i, code.index(0)));
        }
        ScalarExpr element = code.read(launch.input(0), source);
        return inside.select(element, element.like(filler));
      });
  return lowering.finish(launch, result).getResult(0);
}
