#include "PadMasks.h"

#include "AccessOffset.h"
#include "LaneMask.h"

#include "tenon/Codegen/Program/LoopBuilder.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <numeric>

using namespace mlir;
using namespace tenon;

namespace {
/// An expression over one loop with values that come in turn, `count` of them,
/// each for `each` iterations.
struct Turns {
  int64_t each, count;
};
} // namespace

/// Nothing if the expression is not known to be one.
static std::optional<Turns> findTurns(AffineExpr expr) {
  if (isa<AffineDimExpr>(expr))
    return Turns{1, 0};
  auto both = dyn_cast<AffineBinaryOpExpr>(expr);
  auto right =
      both ? dyn_cast<AffineConstantExpr>(both.getRHS()) : AffineConstantExpr();
  std::optional<Turns> left =
      right ? findTurns(both.getLHS()) : std::optional<Turns>();
  if (!left || right.getValue() < 1)
    return std::nullopt;
  int64_t factor = right.getValue();
  switch (expr.getKind()) {
  case AffineExprKind::Mul:
    return left;
  case AffineExprKind::FloorDiv:
    if (left->count % factor != 0)
      return std::nullopt;
    return Turns{left->each * factor, left->count / factor};
  case AffineExprKind::Mod:
    if (left->count % factor != 0)
      return std::nullopt;
    return Turns{left->each, factor};
  default:
    return std::nullopt;
  }
}

PadMasks::PadMasks(RowEmitter &rows, OpBuilder &before, const Step &step,
                   const Contraction &contraction, const LinearAccess &access,
                   const TileFormat &format, int64_t apart)
    : rows(rows), step(step), contraction(contraction), access(access),
      read(step.reads[contraction.b]), format(format), apart(apart),
      vectors(format.panel / format.lanes) {
  word = getMaskWord(before, format.lanes * apart);
  findAxes();
  period = findPeriod();
  AffineExpr depth = step.extents[contraction.k];
  auto i64 = before.getI64Type();
  int64_t panels = Contraction::kBlockColumns / format.panel;
  places = rows.frame.allocate({depth}, i64);
  masks = rows.frame.allocate({simplify(period * (panels * vectors))}, word);
  AffineExpr one = getAffineConstantExpr(1, depth.getContext());
  tabulate(before, places, depth, one, period);
  for (Axis &axis : axes) {
    axis.origins = rows.frame.allocate({one * format.panel}, i64);
    axis.masks = rows.frame.allocate({simplify(axis.count * vectors)}, word);
    axis.places = rows.frame.allocate({period}, i64);
    tabulate(before, axis.places, period, axis.each, axis.count);
  }
}

/// table[k] = where the masks of (k / each) % count are.
void PadMasks::tabulate(OpBuilder &before, Value table, AffineExpr size,
                        AffineExpr each, AffineExpr count) const {
  LoopBuilder b(before, rows.loc);
  b.forEach(b.index(0), rows.frame.size(size), 1, [&](Value k) {
    Value turn = b.rem(b.div(k, rows.frame.size(each)), rows.frame.size(count));
    Value place = b.mul(turn, b.index(vectors));
    b.store(arith::IndexCastOp::create(before, rows.loc, before.getI64Type(),
                                       place),
            table, k);
  });
}

/// What k adds along a dimension comes in turns; where it is not known that it
/// does, each k has a position of its own.
void PadMasks::findAxes() {
  MLIRContext *context = step.extents[0].getContext();
  for (unsigned dim : read.paddedDims) {
    Axis axis{dim,
              getAffineConstantExpr(1, context),
              step.extents[contraction.k],
              {},
              {}};
    SmallVector<AffineExpr> terms;
    for (const LinearAccess::Term &term : access.terms)
      if (term.dim == dim && term.loop == int(contraction.k))
        terms.push_back(term.expr);
    std::optional<Turns> turns =
        terms.size() == 1 ? findTurns(terms[0]) : std::nullopt;
    if (turns && turns->count > 0) {
      axis.each = getAffineConstantExpr(turns->each, context);
      axis.count = getAffineConstantExpr(turns->count, context);
    }
    axes.push_back(axis);
  }
}

/// The least common period of all axes; all of k where one is not known.
AffineExpr PadMasks::findPeriod() const {
  int64_t least = 1;
  for (const Axis &axis : axes) {
    auto own = dyn_cast<AffineConstantExpr>(axis.each * axis.count);
    if (!own || own.getValue() < 1)
      return step.extents[contraction.k];
    least = std::lcm(least, own.getValue());
  }
  return getAffineConstantExpr(least, step.extents[0].getContext());
}

/// Where along `dim` of the storage the loops but k put an element, or what k
/// adds to that.
Value PadMasks::getPosition(OpBuilder &builder, unsigned dim, bool ofDepth,
                            ArrayRef<Value> loops) const {
  return emitPosition(rows, builder, access, dim, loops, [&](int loop) {
    return (loop == int(contraction.k)) == ofDepth;
  });
}

void PadMasks::storeOrigin(OpBuilder &builder, Value j, Value column,
                           Value exists) const {
  LoopBuilder b(builder, rows.loc);
  SmallVector<Value> loops = rows.getLoops(step);
  loops[contraction.n] = column;
  Value outside = arith::ConstantIntOp::create(
      builder, rows.loc, std::numeric_limits<int64_t>::min(), 64);
  for (const Axis &axis : axes) {
    Value position = getPosition(builder, axis.dim, /*ofDepth=*/false, loops);
    Value origin = arith::IndexCastOp::create(builder, rows.loc,
                                              builder.getI64Type(), position);
    b.store(arith::SelectOp::create(builder, rows.loc, exists, origin, outside),
            axis.origins, j);
  }
}

void PadMasks::find(OpBuilder &builder, Value number) const {
  for (const Axis &axis : axes)
    findAlong(builder, axis);
  LoopBuilder b(builder, rows.loc);
  Value panel = b.mul(number, b.mul(rows.frame.size(period), b.index(vectors)));
  b.forEach(b.index(0), rows.frame.size(period), 1, [&](Value k) {
    Value place = b.add(panel, b.mul(k, b.index(vectors)));
    SmallVector<Value> all(vectors);
    for (const Axis &axis : axes) {
      Value first = arith::IndexCastOp::create(
          builder, rows.loc, builder.getIndexType(), b.load(axis.places, k));
      for (auto [vector, mask] : llvm::enumerate(all)) {
        Value own = b.load(axis.masks, b.add(first, b.index(vector)));
        mask = mask ? arith::AndIOp::create(builder, rows.loc, mask, own)
                          .getResult()
                    : own;
      }
    }
    for (auto [vector, mask] : llvm::enumerate(all))
      b.store(mask, masks, b.add(place, b.index(vector)));
  });
}

/// Which columns of the panel each position along an axis leaves inside.
void PadMasks::findAlong(OpBuilder &builder, const Axis &axis) const {
  LoopBuilder b(builder, rows.loc);
  auto splat = [&](Value index) {
    Value wide = arith::IndexCastOp::create(builder, rows.loc,
                                            builder.getI64Type(), index);
    return b.splat(wide, format.lanes);
  };
  Value size = splat(
      rows.frame.size(rows.program.storages[read.storage].dims[axis.dim]));
  SmallVector<Value> loops(step.classes.size());
  b.forEach(b.index(0), rows.frame.size(axis.count), 1, [&](Value turn) {
    loops[contraction.k] = b.mul(turn, rows.frame.size(axis.each));
    Value added =
        splat(getPosition(builder, axis.dim, /*ofDepth=*/true, loops));
    for (int64_t vector = 0; vector < vectors; ++vector) {
      Value origin =
          b.load(axis.origins, b.index(vector * format.lanes), format.lanes);
      Value position = arith::AddIOp::create(builder, rows.loc, origin, added);
      // A negative position is a large one.
      Value fits = arith::CmpIOp::create(
          builder, rows.loc, arith::CmpIPredicate::ult, position, size);
      Value at = b.add(b.mul(turn, b.index(vectors)), b.index(vector));
      b.store(packMask(builder, rows.loc, fits, apart, word), axis.masks, at);
    }
  });
}

/// Of the first vector's mask.
Value PadMasks::getPlace(OpBuilder &builder, Value number, Value k) const {
  LoopBuilder b(builder, rows.loc);
  Value place = arith::IndexCastOp::create(
      builder, rows.loc, builder.getIndexType(), b.load(places, k));
  Value panel = b.mul(rows.frame.size(period), b.index(vectors));
  return b.add(place, b.mul(number, panel));
}

Value PadMasks::load(OpBuilder &builder, Value number, Value k,
                     int64_t vector) const {
  LoopBuilder b(builder, rows.loc);
  Value at = b.add(getPlace(builder, number, k), b.index(vector));
  return unpackMask(builder, rows.loc, b.load(masks, at), format.lanes * apart);
}

Value PadMasks::isInside(OpBuilder &builder, Value number, Value k,
                         Value j) const {
  LoopBuilder b(builder, rows.loc);
  Value lanes = b.index(format.lanes);
  Value at = b.add(getPlace(builder, number, k), b.div(j, lanes));
  Value bit =
      arith::IndexCastOp::create(builder, rows.loc, builder.getI64Type(),
                                 b.mul(b.rem(j, lanes), b.index(apart)));
  Value wide = b.load(masks, at);
  if (word.getWidth() < 64)
    wide =
        arith::ExtUIOp::create(builder, rows.loc, builder.getI64Type(), wide);
  Value shifted = arith::ShRUIOp::create(builder, rows.loc, wide, bit);
  return arith::TruncIOp::create(builder, rows.loc, builder.getI1Type(),
                                 shifted);
}
