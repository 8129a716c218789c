// What the shapes leave to the run: symbols read from values, sizes to check,
// and dimensions that turn out to be 1.

#include "Positions.h"

#include "dialects/Plan/PlanDialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace tenon;

SmallVector<const Symbol *> Lowering::foundDims(Value result) const {
  SmallVector<const Symbol *> found;
  for (const Symbol &symbol : shapes.getSymbols())
    if (symbol.kind == Symbol::Kind::Data && symbol.isDimension &&
        symbol.value == result)
      found.push_back(&symbol);
  return found;
}

void Lowering::readDims(Value result, ArrayRef<Value> inputs, DimBody emit) {
  SmallVector<const Symbol *> found = foundDims(result);
  if (found.empty())
    return;
  Location loc = result.getLoc();
  Type i64 = builder.getI64Type();
  LaunchBuilder launch =
      this->launch(loc, inputs, Result{i64, {constant(int64_t(found.size()))}});
  IndexMath math{launch.builder(), loc};
  Value sizes = launch.destination();
  for (auto [place, symbol] : llvm::enumerate(found))
    sizes = tensor::InsertOp::create(
        launch.builder(), loc, math.toInteger(emit(launch, symbol->index), i64),
        sizes, math.constant(place));
  Value tensor = finish(launch, sizes).getResult(0);
  const Symbol *first = shapes.getSymbols().data();
  for (auto [place, symbol] : llvm::enumerate(found))
    readSymbol(getAffineSymbolExpr(symbol - first, builder.getContext()),
               tensor, place);
}

void Lowering::check(Location loc, AffineExpr a, AffineExpr b) {
  if (a != b)
    plan::CheckOp::create(
        builder, loc,
        AffineMap::get(0, getNumSymbols(), {a, b}, builder.getContext()),
        plan::SizeRelation::Equal);
}

static plan::SizeRelation getRelation(const SizeFact &fact) {
  switch (fact.relation) {
  case SizeFact::Relation::Equal:
    return plan::SizeRelation::Equal;
  case SizeFact::Relation::Broadcasts:
    return plan::SizeRelation::Broadcasts;
  case SizeFact::Relation::AtLeast:
    return plan::SizeRelation::AtLeast;
  }
  llvm_unreachable("a relation of sizes");
}

void Lowering::checkFacts(Operation *op) {
  for (const SizeFact &fact : shapes.getFacts())
    if (fact.op == op)
      pending.push_back(fact);
  checkPending();
}

void Lowering::checkPending() {
  llvm::erase_if(pending, [&](const SizeFact &fact) {
    if (!findUnread(fact.a).empty() || !findUnread(fact.b).empty())
      return false;
    AffineMap sizes = AffineMap::get(0, getNumSymbols(), {fact.a, fact.b},
                                     builder.getContext());
    plan::CheckOp::create(builder, fact.op->getLoc(), sizes, getRelation(fact));
    return true;
  });
}

Value Lowering::broadcast(Location loc, Value value, ArrayRef<AffineExpr> to) {
  Dims from = dims(value), target = from;
  ArrayRef<AffineExpr> aligned = to.take_back(from.size());
  for (auto [size, wanted] : llvm::zip(target, aligned))
    if (size != constant(1))
      size = wanted;
  if (target == from)
    return value;
  LaunchBuilder launch =
      this->launch(loc, value, Result{element(value), target});
  SmallVector<Value> steps; // 0 on an axis of size 1
  IndexMath outer{launch.builder(), loc};
  for (auto [size, wanted] : llvm::zip(from, target)) {
    Value one = outer.constant(1);
    steps.push_back(size == wanted
                        ? one
                        : outer.select(outer.compare(arith::CmpIPredicate::eq,
                                                     launch.index(size), one),
                                       outer.constant(0), one));
  }
  Value repeated = fillByPosition(
      launch,
      [&](OpBuilder &nested, Location loc, ValueRange position) -> Value {
        IndexMath math{nested, loc};
        SmallVector<Value> source;
        for (auto [place, step] : llvm::zip(position, steps))
          source.push_back(math.mul(place, step));
        return math.extract(launch.input(0), source);
      });
  Value result = finish(launch, repeated).getResult(0);
  if (kind(value) == ElementKind::Unsigned)
    markUnsigned(result);
  return result;
}
