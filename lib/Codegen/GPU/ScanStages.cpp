// Running sums and products. Blocks take parts of rows: what earlier parts come
// to, then what a thread's neighbours hold, then its own elements.

#include "ScanStages.h"
#include "ContractionStages.h"
#include "RowTensor.h"

using namespace mlir;
using namespace tenon;
using kernel::ScanOp;

/// Elements of a thread, which lie side by side, and threads of a block.
static constexpr int64_t kElements = 8, kMostScanning = 512;

namespace {
class ScanEmitter {
public:
  ScanEmitter(ScanOp op, kernel::FuncOp kernel, KernelFrame &frame)
      : op(op), frame(frame), b(frame.builder(), frame.loc()),
        element(
            cast<RankedTensorType>(op.getSource().getType()).getElementType()),
        source(op.getSource(), element, kernel, frame),
        result(op.getDestination(), element, kernel, frame) {
    bool isSmall = element.getIntOrFloatBitWidth() < 32;
    if (isa<FloatType>(element))
      type = isSmall ? Type(b.builder.getF32Type()) : element;
    else
      type = isSmall ? Type(b.builder.getI32Type()) : element;
    auto size = dyn_cast<AffineConstantExpr>(source.length);
    if (size)
      threads = std::clamp<int64_t>(
          llvm::PowerOf2Ceil(llvm::divideCeil(size.getValue(), kElements)),
          ThreadBuilder::kWarp, kMostScanning);
    isOnePart = size && size.getValue() <= threads * kElements;
    parts = source.length.ceilDiv(threads * kElements);
    if (!isOnePart)
      totals = frame.allocate({source.rows * parts}, type);
  }

  bool scansWhole() const { return isOnePart; }
  unsigned getThreads() const { return threads; }
  /// Adds the code that combines each part; the number of blocks.
  AffineExpr emitTotals();
  /// Adds the code that makes the results; the number of blocks.
  AffineExpr emitResults();

private:
  void enterBlock();
  SmallVector<Value> loadOwn();
  Value combine(Value x, Value y);
  Value convert(Value value, Type to);
  Value getNeutral();
  Value getPlace(int64_t number) { return b.add(first, b.index(number)); }
  Value offset(RowTensor &tensor, Value place);
  Value isInside(Value place) {
    return b.isLess(place, frame.size(source.length));
  }

  ScanOp op;
  KernelFrame &frame;
  ThreadBuilder b;
  Type element, type; // the latter of sums
  RowTensor source, result;
  int64_t threads = kMostScanning;
  bool isOnePart;
  AffineExpr parts; // of a row
  Value totals, row, part, first;
};
} // namespace

Value ScanEmitter::combine(Value x, Value y) {
  OpBuilder &builder = b.builder;
  if (isa<FloatType>(type))
    return op.getProduct() ? Value(arith::MulFOp::create(builder, b.loc, x, y))
                           : Value(arith::AddFOp::create(builder, b.loc, x, y));
  return op.getProduct() ? b.mul(x, y) : b.add(x, y);
}

/// An element as a sum, or a sum as an element.
Value ScanEmitter::convert(Value value, Type to) {
  if (isa<FloatType>(to))
    return b.convert(value, to);
  if (type == element)
    return value;
  if (to == type)
    return arith::ExtSIOp::create(b.builder, b.loc, to, value);
  return arith::TruncIOp::create(b.builder, b.loc, to, value);
}

Value ScanEmitter::getNeutral() {
  int64_t neutral = op.getProduct() ? 1 : 0;
  if (isa<FloatType>(type))
    return b.constant(type, neutral);
  return arith::ConstantOp::create(b.builder, b.loc,
                                   b.builder.getIntegerAttr(type, neutral));
}

Value ScanEmitter::offset(RowTensor &tensor, Value place) {
  if (op.getReverse())
    place = b.sub(b.sub(frame.size(tensor.length), b.index(1)), place);
  return tensor.offset(b, row, place);
}

void ScanEmitter::enterBlock() {
  row = frame.begin();
  part = b.take(row, frame.size(parts));
  first = b.mul(b.add(b.mul(part, b.index(threads)), b.thread()),
                b.index(kElements));
}

SmallVector<Value> ScanEmitter::loadOwn() {
  Value last = b.sub(frame.size(source.length), b.index(1));
  SmallVector<Value> own;
  for (int64_t number = 0; number < kElements; ++number) {
    Value place = getPlace(number);
    Value at = offset(source, b.min(place, last));
    own.push_back(arith::SelectOp::create(
        b.builder, b.loc, isInside(place),
        convert(b.load(source.memory, at), type), getNeutral()));
  }
  return own;
}

AffineExpr ScanEmitter::emitTotals() {
  enterBlock();
  Value total = getNeutral();
  for (Value value : loadOwn())
    total = combine(total, value);
  total =
      b.scanBlock(total, getNeutral(), threads,
                  [&](OpBuilder &, Value x, Value y) { return combine(x, y); })
          .second;
  b.ifElse(b.isLess(b.thread(), b.index(1)), [&] {
    b.store(total, totals, b.add(b.mul(row, frame.size(parts)), part));
  });
  return source.rows * parts;
}

AffineExpr ScanEmitter::emitResults() {
  enterBlock();
  auto join = [&](OpBuilder &, Value x, Value y) { return combine(x, y); };
  Value before = getNeutral();
  if (!isOnePart) {
    Value begin = b.mul(row, frame.size(parts));
    before = b.fold(b.thread(), part, threads, {before},
                    [&](Value other, ValueRange so) {
                      Value total = b.load(totals, b.add(begin, other));
                      return SmallVector<Value>{combine(so[0], total)};
                    })[0];
    before = b.reduceBlock(before, getNeutral(), threads, join);
  }
  SmallVector<Value> own = loadOwn();
  Value sum = own[0];
  for (Value value : ArrayRef(own).drop_front())
    sum = combine(sum, value);
  Value running =
      combine(before, b.scanBlock(sum, getNeutral(), threads, join).first);
  for (auto [number, value] : llvm::enumerate(own)) {
    Value next = combine(running, value);
    Value shown = convert(op.getExclusive() ? running : next, element);
    Value place = getPlace(number);
    b.ifElse(isInside(place),
             [&] { b.store(shown, result.memory, offset(result, place)); });
    running = next;
  }
  return source.rows * parts;
}

StagedKernel tenon::lowerScan(ScanOp op, kernel::FuncOp kernel,
                              ModuleOp module) {
  StagedKernel staged;
  auto add = [&](bool isLast) {
    KernelFrame frame(kernel, module,
                      getStageName(kernel, staged.stages.size()));
    ScanEmitter emitter(op, kernel, frame);
    if (!isLast && emitter.scansWhole())
      return frame.getFunction().erase();
    LoweredKernel lowered =
        frame.finish(isLast ? emitter.emitResults() : emitter.emitTotals());
    staged.stages.push_back({lowered.body, lowered.grid, emitter.getThreads()});
    staged.workspace = lowered.workspace;
  };
  add(/*isLast=*/false);
  add(/*isLast=*/true);
  return staged;
}
