#include "SortEntries.h"

using namespace mlir;
using namespace tenon;

using P = arith::CmpIPredicate;

SortEntries::SortEntries(ThreadBuilder &b, kernel::TopKOp op)
    : b(b),
      element(
          cast<RankedTensorType>(op.getSource().getType()).getElementType()),
      width(element.getIntOrFloatBitWidth()), isLargest(op.getLargest()),
      isUnsigned(op.getIsUnsigned()) {
  bitsType = b.builder.getIntegerType(width);
}

SmallVector<Type, 2> SortEntries::getTypes() const {
  Type word = b.builder.getI64Type();
  if (width == 64)
    return {word, b.builder.getI32Type()};
  return {word};
}

Value SortEntries::integer(Type type, const APInt &value) {
  return arith::ConstantOp::create(b.builder, b.loc,
                                   b.builder.getIntegerAttr(type, value));
}

/// The bits as an unsigned number of the operator's order.
Value SortEntries::orderBits(Value bits) {
  OpBuilder &builder = b.builder;
  auto number = [&](const APInt &value) { return integer(bitsType, value); };
  auto compare = [&](P predicate, Value x, Value y) -> Value {
    return arith::CmpIOp::create(builder, b.loc, predicate, x, y);
  };
  auto select = [&](Value condition, Value x, Value y) -> Value {
    return arith::SelectOp::create(builder, b.loc, condition, x, y);
  };
  Value ones = number(APInt::getAllOnes(width)),
        sign = number(APInt::getSignMask(width)), ordered = bits;
  if (auto type = dyn_cast<FloatType>(element)) {
    Value size = arith::AndIOp::create(builder, b.loc, bits,
                                       number(APInt::getSignedMaxValue(width)));
    APInt infinity = APFloat::getInf(type.getFloatSemantics()).bitcastToAPInt();
    Value zero = number(APInt::getZero(width));
    bits = select(compare(P::eq, size, zero), zero, bits);
    // Of two negative numbers the larger bits are the smaller number's.
    Value flipped = arith::XOrIOp::create(builder, b.loc, bits, ones);
    Value raised = arith::OrIOp::create(builder, b.loc, bits, sign);
    ordered = select(compare(P::slt, bits, zero), flipped, raised);
    ordered = select(compare(P::ugt, size, number(infinity)), ones, ordered);
  } else if (!isUnsigned) {
    ordered = arith::XOrIOp::create(builder, b.loc, bits, sign);
  }
  if (isLargest)
    ordered = arith::XOrIOp::create(builder, b.loc, ordered, ones);
  return ordered;
}

SortEntries::Entry SortEntries::make(Value bits, Value place) {
  OpBuilder &builder = b.builder;
  Value ordered = orderBits(bits);
  Type word = builder.getI64Type();
  if (width == 64)
    return {ordered, arith::IndexCastOp::create(builder, b.loc,
                                                builder.getI32Type(), place)};
  Value high = arith::ExtUIOp::create(builder, b.loc, word, ordered);
  high =
      arith::ShLIOp::create(builder, b.loc, high, integer(word, APInt(64, 32)));
  Value low = arith::IndexCastOp::create(builder, b.loc, word, place);
  return {arith::OrIOp::create(builder, b.loc, high, low)};
}

SortEntries::Entry SortEntries::makeLast() {
  Entry last;
  for (Type type : getTypes())
    last.push_back(
        integer(type, APInt::getAllOnes(type.getIntOrFloatBitWidth())));
  return last;
}

Value SortEntries::isBefore(const Entry &a, const Entry &other) {
  auto compare = [&](P predicate, unsigned word) -> Value {
    return arith::CmpIOp::create(b.builder, b.loc, predicate, a[word],
                                 other[word]);
  };
  Value before = compare(P::ult, 0);
  if (a.size() == 1)
    return before;
  Value tied = arith::AndIOp::create(b.builder, b.loc, compare(P::eq, 0),
                                     compare(P::ult, 1));
  return arith::OrIOp::create(b.builder, b.loc, before, tied);
}

Value SortEntries::getPlace(const Entry &entry) {
  Value place = entry.back();
  if (entry.size() == 1)
    place = arith::TruncIOp::create(b.builder, b.loc, b.builder.getI32Type(),
                                    place);
  return arith::IndexCastUIOp::create(b.builder, b.loc,
                                      b.builder.getIndexType(), place);
}

SortEntries::Entry SortEntries::load(ArrayRef<Value> memory, Value at) {
  Entry entry;
  for (Value words : memory)
    entry.push_back(b.load(words, at));
  return entry;
}

void SortEntries::store(const Entry &entry, ArrayRef<Value> memory, Value at) {
  for (auto [word, words] : llvm::zip(entry, memory))
    b.store(word, words, at);
}

SortEntries::Entry SortEntries::select(Value condition, const Entry &a,
                                       const Entry &other) {
  Entry chosen;
  for (auto [x, y] : llvm::zip(a, other))
    chosen.push_back(
        arith::SelectOp::create(b.builder, b.loc, condition, x, y));
  return chosen;
}
