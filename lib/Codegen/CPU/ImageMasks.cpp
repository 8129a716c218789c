#include "ImageMasks.h"

#include "AccessOffset.h"
#include "LaneMask.h"
#include "tenon/Codegen/Program/LoopBuilder.h"

using namespace mlir;
using namespace tenon;

ImageMasks::ImageMasks(RowEmitter &rows, OpBuilder &before, const Step &step,
                       const Window &window, int64_t lanes)
    : rows(rows), step(step), window(window),
      read(step.reads[window.image->read]),
      access(*LinearAccess::get(rows.program, read)), lanes(lanes),
      word(getMaskWord(before, lanes)),
      vectors(llvm::divideCeil(FlatImage::kMostPositions, lanes)) {
  auto constant = [&](int64_t value) {
    return getAffineConstantExpr(value, before.getContext());
  };
  auto i32 = before.getI32Type();
  ys = rows.frame.allocate({constant(vectors * lanes)}, i32);
  xs = rows.frame.allocate({constant(vectors * lanes)}, i32);
  masks =
      rows.frame.allocate({constant(Window::countTerms(step) * vectors)}, word);
  tabulatePositions(before);
  tabulateMasks(before);
}

/// Lanes behind the last position are far outside.
void ImageMasks::tabulatePositions(OpBuilder &before) const {
  LoopBuilder b(before, rows.loc);
  auto store = [&](Value index, Value table, Value at) {
    b.store(arith::IndexCastOp::create(before, rows.loc, before.getI32Type(),
                                       index),
            table, at);
  };
  Value count = rows.frame.size(step.extents[window.x]), zero = b.index(0);
  Value width =
      rows.frame.size(rows.program.storages[read.storage].dims.back());
  Value end = b.mul(b.ceilDiv(count, lanes), b.index(lanes));
  b.fold(
      zero, end, 1, {zero, zero},
      [&](Value at, ValueRange place) -> SmallVector<Value> {
        Value exists = b.isLess(at, count);
        Value y = arith::SelectOp::create(before, rows.loc, exists, place[0],
                                          b.index(INT32_MIN));
        store(y, ys, at);
        store(place[1], xs, at);
        Value next = b.add(place[1], b.index(1));
        Value isInRow = b.isLess(next, width);
        Value row = b.add(place[0], b.index(1));
        return {
            arith::SelectOp::create(before, rows.loc, isInRow, place[0], row),
            arith::SelectOp::create(before, rows.loc, isInRow, next, zero)};
      });
}

void ImageMasks::tabulateMasks(OpBuilder &before) const {
  LoopBuilder b(before, rows.loc);
  auto i32 = before.getI32Type();
  auto splat = [&](Value index) {
    Value narrow = arith::IndexCastOp::create(before, rows.loc, i32, index);
    return b.splat(narrow, lanes);
  };
  const Storage &image = rows.program.storages[read.storage];
  unsigned rank = image.dims.size();
  Value count = b.ceilDiv(rows.frame.size(step.extents[window.x]), lanes);
  b.forEach(b.index(0), b.index(Window::countTerms(step)), 1, [&](Value term) {
    SmallVector<Value> loops(step.classes.size());
    Value rest = term;
    for (unsigned loop = loops.size(); loop-- > 0;)
      if (!step.isParallel[loop])
        loops[loop] = b.take(rest, rows.frame.size(step.extents[loop]));
    auto getReach = [&](unsigned dim) {
      return splat(
          emitPosition(rows, before, access, dim, loops,
                       [&](int loop) { return loop != int(window.x); }));
    };
    Value down = getReach(rank - 2), right = getReach(rank - 1);
    b.forEach(b.index(0), count, 1, [&](Value vector) {
      Value first = b.mul(vector, b.index(lanes));
      auto fits = [&](Value table, Value reach, unsigned dim) -> Value {
        Value at = arith::AddIOp::create(before, rows.loc,
                                         b.load(table, first, lanes), reach);
        // What is negative is large.
        return arith::CmpIOp::create(before, rows.loc,
                                     arith::CmpIPredicate::ult, at,
                                     splat(rows.frame.size(image.dims[dim])));
      };
      Value inside =
          arith::AndIOp::create(before, rows.loc, fits(ys, down, rank - 2),
                                fits(xs, right, rank - 1));
      b.store(packMask(before, rows.loc, inside, /*apart=*/1, word), masks,
              b.add(b.mul(term, b.index(vectors)), vector));
    });
  });
}

Value ImageMasks::load(OpBuilder &builder, Value term, Value start) const {
  LoopBuilder b(builder, rows.loc);
  Value at = b.add(b.mul(term, b.index(vectors)), b.div(start, b.index(lanes)));
  return unpackMask(builder, rows.loc, b.load(masks, at), lanes);
}
