#include "PackPanel.h"

#include "AccessOffset.h"

#include "tenon/Codegen/Program/LoopBuilder.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

/// A vector of columns that lie in more runs than these is copied by elements.
static constexpr int64_t kMostRuns = 4;
/// Columns of a run may lie this far apart.
static constexpr int64_t kMostStride = 2;

/// How far apart columns lie within a run: the factor of the column in the last
/// dimension.
static int64_t getRunStride(const PanelSource &source) {
  AffineExpr one =
      getAffineConstantExpr(1, source.access.terms[0].expr.getContext());
  for (const LinearAccess::Term &term : source.access.terms) {
    if (term.loop != int(source.contraction.n) || term.stride != one)
      continue;
    AffineExpr expr = term.expr;
    if (expr.getKind() != AffineExprKind::Mul)
      return 1;
    auto factor =
        dyn_cast<AffineConstantExpr>(cast<AffineBinaryOpExpr>(expr).getRHS());
    return factor ? factor.getValue() : 1;
  }
  return 1;
}

/// How far apart columns lie in the vectors that they are loaded with.
static int64_t getLoadStride(const PanelSource &source) {
  int64_t stride = getRunStride(source);
  return stride >= 1 && stride <= kMostStride ? stride : 1;
}

namespace {
/// Where a table has the runs of one panel: the most runs of a vector, then for
/// each vector its runs, then the offset of each column. A run holds lanes from
/// its `begin` to that of the next; `offset` is where its lane 0 would be.
struct RunLayout {
  explicit RunLayout(const TileFormat &format)
      : vectors(format.panel / format.lanes), width(format.panel) {}

  int64_t begin(int64_t vector, int64_t run) const {
    return 1 + vector * (2 * kMostRuns + 1) + run;
  }
  int64_t offset(int64_t vector, int64_t run) const {
    return begin(vector, kMostRuns + 1 + run);
  }
  int64_t column() const { return begin(vectors, 0); }
  int64_t size() const { return column() + width; }

  int64_t vectors, width;
};

class PanelPacker {
public:
  PanelPacker(RowEmitter &rows, OpBuilder &builder, const PanelSource &source,
              const PanelTables &tables, Value number)
      : rows(rows), source(source), tables(tables), format(source.format),
        layout(format), builder(builder), b(this->builder, rows.loc),
        loops(rows.getLoops(source.step)), n(source.contraction.n),
        k(source.contraction.k), stride(getRunStride(source)), number(number) {
    if (tables.runs)
      first = b.mul(number, b.index(layout.size()));
  }

  void find(Value column, Value columns);
  void pack(Value panel, Value column, Value columns, Value low, Value depth);

private:
  void findColumns(Value column, Value columns);
  Value terms(LoopFilter isWanted) {
    return emitOffset(rows, builder, source.access, loops, isWanted);
  }
  Value getColumnOffset(Value at) {
    loops[n] = at;
    return terms([&](int loop) { return loop == n; });
  }
  Value getDepthOffset(Value at);
  Value loadIndex(Value at) {
    Value value = b.load(tables.runs, b.add(first, at));
    return arith::IndexCastOp::create(builder, rows.loc, builder.getIndexType(),
                                      value);
  }
  void storeIndex(Value value, Value at) {
    Value wide = arith::IndexCastOp::create(builder, rows.loc,
                                            builder.getI64Type(), value);
    b.store(wide, tables.runs, b.add(first, at));
  }
  Value findRunsOf(int64_t vector, Value columns);
  Value equals(Value x, Value y) {
    return arith::CmpIOp::create(builder, rows.loc, arith::CmpIPredicate::eq, x,
                                 y);
  }

  struct Run {
    Value offset, mask; // null: the pads' mask has all lanes that there are
  };
  using Vectors = SmallVector<SmallVector<Run>>;
  Value getMask(Value begin, Value end, int64_t apart);
  Vectors readRuns(int64_t count);
  Vectors getWholeRuns(Value column, Value columns);
  Value loadLanes(const Run &run, Value start, int64_t apart, Value inside);
  void packVectors(const Vectors &vectors, int64_t apart);
  void copyElement(Value from, Value to, Value at, Value j);
  void packElements(Value columns);
  void packColumns(Value column, Value columns);

  RowEmitter &rows;
  const PanelSource &source;
  const PanelTables &tables;
  const TileFormat &format;
  RunLayout layout;
  OpBuilder builder;
  LoopBuilder b;
  SmallVector<Value> loops;
  int n, k;
  int64_t stride;
  Value number;
  Value first; // of the panel in the table
  Value view, base, panel, low, depth;
};
} // namespace

PanelTables::PanelTables(RowEmitter &rows, OpBuilder &before,
                         const PanelSource &source) {
  MLIRContext *context = before.getContext();
  const LinearAccess &access = source.access;
  unsigned n = source.contraction.n, k = source.contraction.k;
  AffineExpr one = getAffineConstantExpr(1, context);
  auto i64 = before.getI64Type();
  if (access.getStride(n) != one &&
      (access.getStride(k) != one || !access.getStride(n))) {
    int64_t panels = Contraction::kBlockColumns / source.format.panel;
    runs = rows.frame.allocate(
        {getAffineConstantExpr(panels * RunLayout(source.format).size(),
                               context)},
        i64);
  }
  if (!source.step.reads[source.contraction.b].paddedDims.empty())
    masks.emplace(rows, before, source.step, source.contraction, access,
                  source.format, getLoadStride(source));
  if (access.getStride(k))
    return;
  AffineExpr extent = source.step.extents[k];
  depths = rows.frame.allocate({extent}, i64);
  LoopBuilder b(before, rows.loc);
  b.forEach(b.index(0), rows.frame.size(extent), 1, [&](Value at) {
    SmallVector<Value> loops(source.step.classes.size());
    loops[k] = at;
    Value offset = emitOffset(rows, before, access, loops,
                              [&](int loop) { return loop == int(k); });
    b.store(arith::IndexCastOp::create(before, rows.loc, i64, offset), depths,
            at);
  });
}

Value PanelPacker::getDepthOffset(Value at) {
  if (tables.depths)
    return arith::IndexCastOp::create(builder, rows.loc, builder.getIndexType(),
                                      b.load(tables.depths, at));
  loops[k] = at;
  return terms([&](int loop) { return loop == k; });
}

/// Writes down the runs of a vector's columns; returns their number.
Value PanelPacker::findRunsOf(int64_t vector, Value columns) {
  Value start = b.index(vector * format.lanes);
  Value left = b.sub(b.max(columns, start), start);
  Value count = b.min(left, b.index(format.lanes));
  for (int64_t run = 0; run <= kMostRuns; ++run)
    storeIndex(count, b.index(layout.begin(vector, run)));
  for (int64_t run = 0; run < kMostRuns; ++run)
    storeIndex(b.index(0), b.index(layout.offset(vector, run)));
  Value where = b.add(start, b.index(layout.column()));
  auto found = b.fold(
      b.index(0), count, 1, {b.index(0), b.index(-1)},
      [&](Value lane, ValueRange state) -> SmallVector<Value> {
        Value number = state[0];
        Value offset = loadIndex(b.add(where, lane));
        Value isFirst = equals(lane, b.index(0));
        Value goesOn = equals(offset, state[1]);
        Value begins = arith::OrIOp::create(
            builder, rows.loc, isFirst,
            arith::XOrIOp::create(
                builder, rows.loc, goesOn,
                arith::ConstantIntOp::create(builder, rows.loc, 1, 1)));
        Value fits = b.isLess(number, b.index(kMostRuns));
        b.ifElse(arith::AndIOp::create(builder, rows.loc, begins, fits), [&] {
          storeIndex(lane, b.add(number, b.index(layout.begin(vector, 0))));
          storeIndex(b.sub(offset, b.mul(lane, b.index(stride))),
                     b.add(number, b.index(layout.offset(vector, 0))));
        });
        Value more = arith::SelectOp::create(builder, rows.loc, begins,
                                             b.add(number, b.index(1)), number);
        return {more, b.add(offset, b.index(stride))};
      });
  return found[0];
}

/// Columns behind the last are written down too, and read by nobody.
void PanelPacker::findColumns(Value column, Value columns) {
  b.forEach(b.index(0), b.index(layout.width), 1, [&](Value j) {
    Value at = b.add(column, j);
    if (tables.runs)
      storeIndex(getColumnOffset(at), b.add(j, b.index(layout.column())));
    if (tables.masks)
      tables.masks->storeOrigin(builder, j, at, b.isLess(j, columns));
  });
}

void PanelPacker::find(Value column, Value columns) {
  findColumns(column, columns);
  if (tables.masks)
    tables.masks->find(builder, number);
  if (!tables.runs)
    return;
  Value most = b.index(0);
  for (int64_t vector = 0; vector < layout.vectors; ++vector)
    most = b.max(most, findRunsOf(vector, columns));
  storeIndex(most, b.index(0));
}

/// Lanes from `begin` to `end` of a vector whose lanes lie `apart`.
Value PanelPacker::getMask(Value begin, Value end, int64_t apart) {
  auto type = VectorType::get({format.lanes * apart}, builder.getI1Type());
  if (apart > 1) {
    begin = b.mul(begin, b.index(apart));
    // Nothing behind the last element is read.
    end = b.max(b.sub(b.mul(end, b.index(apart)), b.index(apart - 1)), begin);
  }
  auto upTo = [&](Value lane) -> Value {
    return vector::CreateMaskOp::create(builder, rows.loc, type,
                                        ValueRange{lane});
  };
  return arith::XOrIOp::create(builder, rows.loc, upTo(begin), upTo(end));
}

PanelPacker::Vectors PanelPacker::readRuns(int64_t count) {
  Vectors vectors;
  for (int64_t vector = 0; vector < layout.vectors; ++vector) {
    SmallVector<Run> &runs = vectors.emplace_back();
    for (int64_t run = 0; run < count; ++run) {
      Value begin = loadIndex(b.index(layout.begin(vector, run)));
      Value end = loadIndex(b.index(layout.begin(vector, run + 1)));
      Value offset = loadIndex(b.index(layout.offset(vector, run)));
      bool isOnly = count == 1 && tables.masks;
      runs.push_back({offset, isOnly ? Value() : getMask(begin, end, stride)});
    }
  }
  return vectors;
}

/// Columns that lie in order.
PanelPacker::Vectors PanelPacker::getWholeRuns(Value column, Value columns) {
  Vectors vectors;
  Value offset = getColumnOffset(column);
  auto type = VectorType::get({format.lanes}, builder.getI1Type());
  for (int64_t vector = 0; vector < layout.vectors; ++vector) {
    Value start = b.index(vector * format.lanes);
    Value left = b.sub(b.max(columns, start), start);
    Value mask =
        vector::CreateMaskOp::create(builder, rows.loc, type, ValueRange{left});
    vectors.push_back({{b.add(offset, start), mask}});
  }
  return vectors;
}

/// `inside`: the lanes that are no pads, null where all are.
Value PanelPacker::loadLanes(const Run &run, Value start, int64_t apart,
                             Value inside) {
  auto type = VectorType::get({format.lanes * apart}, format.sum);
  Value mask = run.mask;
  if (inside)
    mask =
        mask
            ? arith::AndIOp::create(builder, rows.loc, mask, inside).getResult()
            : inside;
  Value loaded =
      loadVector(builder, rows.loc, view, b.add(start, run.offset), type, mask);
  if (apart == 1)
    return loaded;
  SmallVector<int64_t> lanes;
  for (int64_t lane = 0; lane < format.lanes; ++lane)
    lanes.push_back(lane * apart);
  return vector::ShuffleOp::create(builder, rows.loc, loaded, loaded, lanes);
}

/// The vectors of each k; lanes that a run does not hold are zero.
void PanelPacker::packVectors(const Vectors &vectors, int64_t apart) {
  auto bits = VectorType::get(
      {format.lanes},
      builder.getIntegerType(format.sum.getIntOrFloatBitWidth()));
  auto cast = [&](Value value, Type type) -> Value {
    return arith::BitcastOp::create(builder, rows.loc, type, value);
  };
  b.forEach(b.index(0), depth, 1, [&](Value at) {
    Value start = b.add(base, getDepthOffset(b.add(low, at)));
    Value to = b.mul(at, b.index(layout.width));
    for (auto [vector, runs] : llvm::enumerate(vectors)) {
      Value inside;
      if (tables.masks)
        inside = tables.masks->load(builder, number, b.add(low, at), vector);
      Value whole = loadLanes(runs[0], start, apart, inside);
      for (const Run &run : ArrayRef(runs).drop_front()) {
        Value more = loadLanes(run, start, apart, inside);
        whole = cast(arith::OrIOp::create(builder, rows.loc, cast(whole, bits),
                                          cast(more, bits)),
                     whole.getType());
      }
      b.store(whole, panel, b.add(to, b.index(vector * format.lanes)));
    }
  });
}

/// Column `j` of row `at` of the panel.
void PanelPacker::copyElement(Value from, Value to, Value at, Value j) {
  auto copy = [&] {
    Value element = b.load(view, from);
    if (element.getType() != format.sum)
      element = arith::ExtFOp::create(builder, rows.loc, format.sum, element);
    b.store(element, panel, to);
  };
  if (!tables.masks)
    return copy();
  b.ifElse(tables.masks->isInside(builder, number, b.add(low, at), j), copy,
           [&] { b.store(b.constant(format.sum, 0), panel, to); });
}

/// Copies column by column, for each k.
void PanelPacker::packElements(Value columns) {
  b.forEach(b.index(0), depth, 1, [&](Value at) {
    Value from = b.add(base, getDepthOffset(b.add(low, at)));
    Value row = b.mul(at, b.index(layout.width));
    b.forEach(b.index(0), columns, 1, [&](Value j) {
      Value offset = loadIndex(b.add(j, b.index(layout.column())));
      copyElement(b.add(from, offset), b.add(row, j), at, j);
    });
  });
}

/// Columns lie along k.
void PanelPacker::packColumns(Value column, Value columns) {
  Value apart = rows.frame.size(simplify(source.access.getStride(n)));
  Value from = b.add(b.add(base, getColumnOffset(column)), low);
  b.forEach(b.index(0), columns, 1, [&](Value j) {
    Value start = b.add(from, b.mul(j, apart));
    b.forEach(b.index(0), depth, 1, [&](Value at) {
      copyElement(b.add(start, at), b.add(b.mul(at, b.index(layout.width)), j),
                  at, j);
    });
  });
}

void PanelPacker::pack(Value into, Value column, Value columns, Value from,
                       Value count) {
  panel = into;
  low = from;
  depth = count;
  view = viewElements(builder, rows.loc, source.bytes, source.element);
  base = terms([&](int loop) { return loop != n && loop != k; });
  AffineExpr one = getAffineConstantExpr(1, builder.getContext());
  if (source.access.getStride(n) == one)
    return packVectors(getWholeRuns(column, columns), 1);
  if (!tables.runs)
    return packColumns(column, columns);
  if (stride < 1 || stride > kMostStride)
    return packElements(columns);
  Value most = loadIndex(b.index(0));
  auto choose = [&](auto &self, int64_t runs) -> void {
    if (runs > kMostRuns)
      return packElements(columns);
    b.ifElse(
        b.isLess(most, b.index(runs + 1)),
        [&] { packVectors(readRuns(runs), stride); },
        [&] { self(self, 2 * runs); });
  };
  choose(choose, 1);
}

void tenon::findRuns(RowEmitter &rows, OpBuilder &builder,
                     const PanelSource &source, const PanelTables &tables,
                     Value number, Value column, Value columns) {
  if (tables.runs || tables.masks)
    PanelPacker(rows, builder, source, tables, number).find(column, columns);
}

void tenon::packPanel(RowEmitter &rows, OpBuilder &builder,
                      const PanelSource &source, const PanelTables &tables,
                      Value panel, Value number, Value column, Value columns,
                      Value low, Value depth) {
  PanelPacker(rows, builder, source, tables, number)
      .pack(panel, column, columns, low, depth);
}
