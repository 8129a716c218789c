// A block of a contraction: for each panel of b, packed here if it does not lie
// so in memory, the tiles of all rows.

#include "EmitTile.h"
#include "PackPanel.h"
#include "RowEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;

namespace {
class ContractionEmitter {
public:
  ContractionEmitter(RowEmitter &rows, OpBuilder &builder)
      : rows(rows), program(rows.program), frame(rows.frame),
        contraction(*rows.schedule.contraction),
        step(program.steps[contraction.step]), loc(rows.loc), builder(builder),
        a(*LinearAccess::get(program, step.reads[contraction.a])),
        b(*LinearAccess::get(program, step.reads[contraction.b])) {}

  void emit();

private:
  Type getElement(const Access &access) const {
    return program.storages[access.storage].element;
  }
  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  }
  Value getBytes(const Access &access) {
    Value memory = rows.getMemory(access.storage);
    return memory.getDefiningOp<memref::ViewOp>().getSource();
  }
  Value size(AffineExpr expr) { return frame.size(simplify(expr, 64)); }

  void emitTiles();
  void emitPanel(Value column, Value columns);
  bool mayReadInPlace() const;
  /// The tiles of all rows of the item with these columns of b.
  void emitRows(Elements panel, Value stride, Value column, Value columns);
  Elements locateA(Value row);
  Elements locateC(Value row, Value column);
  Value getRowStrideOfC();
  bool isScratch(const Access &access) const {
    return program.storages[access.storage].buffer < 0;
  }

  RowEmitter &rows;
  KernelProgram &program;
  KernelFrame &frame;
  const Contraction &contraction;
  const Step &step;
  Location loc;
  OpBuilder &builder;
  LinearAccess a, b;
  TileFormat format;
  SmallVector<std::pair<int64_t, func::FuncOp>> tiles;
  Value panelMemory, runs;
  Value firstRow, lastRow;
};
} // namespace

void ContractionEmitter::emitTiles() {
  const CPUTarget &target = frame.getTarget();
  format.sum = getElement(step.writes[0]);
  format.a = getElement(step.reads[contraction.a]);
  format.b =
      contraction.isPacked ? getElement(step.reads[contraction.b]) : format.sum;
  format.panel = contraction.getPanel(program);
  format.lanes = target.vectorBits / format.sum.getIntOrFloatBitWidth();
  format.registers = target.vectorBits == 512 ? 32 : 16;
  Value start = step.initials[0].scalar;
  format.adds = !start || !matchPattern(start, m_AnyZeroFloat());
  auto function = frame.getFunction();
  auto module = function->getParentOfType<ModuleOp>();
  StringRef name = function.getSymName();
  name.consume_back(".body");
  auto extent = contraction.m < 0
                    ? getAffineConstantExpr(1, builder.getContext())
                    : step.extents[contraction.m];
  auto known = dyn_cast<AffineConstantExpr>(extent);
  for (int64_t height : getTileRows(format))
    if (!known || height <= known.getValue())
      tiles.push_back({height, emitTile(module, loc, name, format, height)});
}

Elements ContractionEmitter::locateA(Value row) {
  SmallVector<Value> loops = rows.getLoops(step);
  loops[contraction.k] = index(0);
  if (contraction.m >= 0)
    loops[contraction.m] = row;
  return {getBytes(step.reads[contraction.a]),
          emitOffset(rows, builder, a, loops)};
}

Value ContractionEmitter::getRowStrideOfC() {
  const Access &write = step.writes[0];
  if (contraction.m < 0)
    return index(0);
  if (isScratch(write))
    return index(Contraction::kBlockColumns);
  return size(LinearAccess::get(program, write)->getStride(contraction.m));
}

Elements ContractionEmitter::locateC(Value row, Value column) {
  const Access &write = step.writes[0];
  if (!isScratch(write)) {
    SmallVector<Value> loops = rows.getLoops(step);
    loops[contraction.n] = column;
    if (contraction.m >= 0)
      loops[contraction.m] = row;
    return {
        getBytes(write),
        emitOffset(rows, builder, *LinearAccess::get(program, write), loops)};
  }
  Value firstColumn = rows.getBounds(step.classes[contraction.n]).first;
  Value offset = arith::SubIOp::create(builder, loc, column, firstColumn);
  Value down = arith::SubIOp::create(builder, loc, row, firstRow);
  Value skipped = arith::MulIOp::create(builder, loc, down, getRowStrideOfC());
  offset = arith::AddIOp::create(builder, loc, offset, skipped);
  auto view = rows.getMemory(write.storage).getDefiningOp<memref::ViewOp>();
  Value shift =
      arith::DivUIOp::create(builder, loc, view.getByteShift(),
                             index(format.sum.getIntOrFloatBitWidth() / 8));
  return {view.getSource(), arith::AddIOp::create(builder, loc, offset, shift)};
}

void ContractionEmitter::emitRows(Elements panel, Value stride, Value column,
                                  Value columns) {
  Value aRow = contraction.m < 0 ? index(0) : size(a.getStride(contraction.m));
  Value aK = size(a.getStride(contraction.k));
  Value cRow = getRowStrideOfC(), depth = size(step.extents[contraction.k]);
  Value row = firstRow;
  for (auto [height, tile] : tiles) {
    Value left = arith::SubIOp::create(builder, loc, lastRow, row);
    Value rest = arith::RemUIOp::create(builder, loc, left, index(height));
    Value end = arith::SubIOp::create(builder, loc, lastRow, rest);
    auto loop = scf::ForOp::create(builder, loc, row, end, index(height));
    OpBuilder outer = builder;
    builder = OpBuilder::atBlockTerminator(loop.getBody());
    Elements from = locateA(loop.getInductionVar());
    Elements to = locateC(loop.getInductionVar(), column);
    func::CallOp::create(builder, loc, tile,
                         ValueRange{from.bytes, from.offset, aRow, aK,
                                    panel.bytes, panel.offset, stride, depth,
                                    to.bytes, to.offset, cRow, columns});
    builder = outer;
    row = end;
  }
}

/// b's columns lie together, and a panel of them is as good as a packed one.
bool ContractionEmitter::mayReadInPlace() const {
  AffineExpr stride = b.getStride(contraction.n);
  return stride == getAffineConstantExpr(1, builder.getContext()) &&
         b.getStride(contraction.k) &&
         getElement(step.reads[contraction.b]) == format.sum;
}

void ContractionEmitter::emitPanel(Value column, Value columns) {
  const Access &read = step.reads[contraction.b];
  SmallVector<Value> loops = rows.getLoops(step);
  loops[contraction.n] = column;
  loops[contraction.k] = index(0);
  auto locate = [&]() -> Elements {
    return {getBytes(read), emitOffset(rows, builder, b, loops)};
  };
  Value panelWidth = index(format.panel);
  if (contraction.isPacked)
    return emitRows(locate(), panelWidth, column, columns);
  OpBuilder outer = builder;
  if (mayReadInPlace()) {
    // Packing pays off from the second tile on; what is read in place is whole.
    Value count = arith::SubIOp::create(builder, loc, lastRow, firstRow);
    Value isFew =
        arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ule, count,
                              index(getTileRows(format).front()));
    Value isWhole = arith::CmpIOp::create(
        builder, loc, arith::CmpIPredicate::eq, columns, panelWidth);
    Value inPlace = arith::AndIOp::create(builder, loc, isFew, isWhole);
    auto choice = scf::IfOp::create(builder, loc, inPlace, true);
    builder = choice.getThenBodyBuilder();
    emitRows(locate(), size(b.getStride(contraction.k)), column, columns);
    builder = choice.getElseBodyBuilder();
  }
  PanelSource source{b,     step, contraction, getBytes(read), getElement(read),
                     format};
  packPanel(rows, builder, source, panelMemory, runs, column, columns);
  auto view = panelMemory.getDefiningOp<memref::ViewOp>();
  Value shift =
      arith::DivUIOp::create(builder, loc, view.getByteShift(),
                             index(format.sum.getIntOrFloatBitWidth() / 8));
  emitRows({view.getSource(), shift}, panelWidth, column, columns);
  builder = outer;
}

void ContractionEmitter::emit() {
  emitTiles();
  if (format.adds)
    rows.storeInitials(builder, step);
  MLIRContext *context = builder.getContext();
  if (!contraction.isPacked) {
    AffineExpr width = getAffineConstantExpr(format.panel, context);
    // One more row: the last run of a row may be stored beyond its end.
    panelMemory =
        frame.allocate({(step.extents[contraction.k] + 1) * width}, format.sum);
    runs = frame.allocate({width * 2 + 1}, builder.getI64Type());
  }
  std::tie(firstRow, lastRow) =
      contraction.m < 0 ? std::pair(index(0), index(1))
                        : rows.getBounds(step.classes[contraction.m]);
  auto [low, high] = rows.getBounds(step.classes[contraction.n]);
  auto panels =
      scf::ForOp::create(builder, loc, low, high, index(format.panel));
  OpBuilder outer = builder;
  builder = OpBuilder::atBlockTerminator(panels.getBody());
  Value column = panels.getInductionVar();
  Value left = arith::SubIOp::create(builder, loc, high, column);
  Value columns =
      arith::MinUIOp::create(builder, loc, left, index(format.panel));
  emitPanel(column, columns);
  builder = outer;
}

void tenon::emitContraction(RowEmitter &rows, OpBuilder &builder) {
  OpBuilder mine = builder;
  ContractionEmitter(rows, mine).emit();
}
