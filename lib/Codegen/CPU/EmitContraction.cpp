// A block of a contraction: for each part of k and each panel of b, packed here
// if it does not lie so in memory, the tiles of all rows.

#include "AccessOffset.h"
#include "EmitTail.h"
#include "EmitTile.h"
#include "PackPanel.h"
#include "RowEmitter.h"

#include "tenon/Codegen/Program/LoopBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;

/// So much of k at a time that a panel of it stays in the first cache.
static constexpr int64_t kBlockDepth = 384;

namespace {
class ContractionEmitter {
public:
  /// For the sum that is made in step `number`.
  ContractionEmitter(RowEmitter &rows, OpBuilder &builder, unsigned number)
      : rows(rows), program(rows.program), frame(rows.frame),
        contraction(rows.schedule.contraction->of(number)),
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
  Value size(AffineExpr expr) { return frame.size(simplify(expr)); }

  void emitTiles();
  int64_t getKnownRows() const;
  int64_t getBlockDepth() const;
  AffineExpr getDepthOfPart() const;
  void preparePanels();
  void emitDepths(llvm::function_ref<void()> body);
  void forPanels(llvm::function_ref<void(Value, Value)> body);
  void emitPanel(Value column, Value columns);
  Value getPanelNumber(Value column);
  bool mayReadInPlace() const;
  bool mayHaveTail() const;
  Elements locate(Value memory);
  /// The rows with the columns of a packed panel.
  void emitPacked(Value column, Value columns);
  void emitTailColumns(Value column, Value first, Value end);
  /// The tiles of all rows of the item with these columns of b.
  void emitRows(Elements panel, Value stride, Value column, Value columns);
  Elements locateA(Value row);
  Elements widenA(Elements from, int64_t height);
  Elements locateC(Value row, Value column);
  Value getRowStrideOfC();
  bool isScratch(const Access &access) const {
    return program.storages[access.storage].buffer < 0;
  }

  RowEmitter &rows;
  KernelProgram &program;
  KernelFrame &frame;
  const Contraction contraction;
  const Step &step;
  Location loc;
  OpBuilder &builder;
  LinearAccess a, b;
  TileFormat format;
  struct Tile {
    int64_t height, count; // -1: as many as there is room for
    func::FuncOp function;
  };
  SmallVector<Tile> tiles;
  /// Rows of a tile as the sum's type; null where a's are.
  Value wideMemory;
  func::FuncOp tail; // null where there is none
  Value tailMemory;  // a column of a panel
  std::optional<PanelSource> source;
  std::optional<PanelTables> tables;
  Value panelMemory;
  Value firstRow, lastRow, firstColumn, lastColumn;
  Value lowDepth, depth; // the part of k
};
} // namespace

/// Rows of every block, or -1 if that is not known or differs.
int64_t ContractionEmitter::getKnownRows() const {
  if (contraction.m < 0)
    return 1;
  auto extent = dyn_cast<AffineConstantExpr>(step.extents[contraction.m]);
  if (!extent)
    return -1;
  int64_t size = std::min(extent.getValue(), contraction.blockRows);
  return size == 0 || extent.getValue() % size ? -1 : size;
}

/// How much of k is summed at a time, or -1 for all of it.
int64_t ContractionEmitter::getBlockDepth() const {
  if (contraction.isPacked)
    return -1;
  auto extent = dyn_cast<AffineConstantExpr>(step.extents[contraction.k]);
  if (!extent)
    return kBlockDepth;
  int64_t parts = llvm::divideCeil(extent.getValue(), kBlockDepth);
  if (extent.getValue() <= kBlockDepth + kBlockDepth / 2)
    return -1;
  return llvm::divideCeil(extent.getValue(), parts);
}

/// The most of k that is summed at a time.
AffineExpr ContractionEmitter::getDepthOfPart() const {
  if (getBlockDepth() < 0)
    return step.extents[contraction.k];
  return getAffineConstantExpr(getBlockDepth(), builder.getContext());
}

/// How many tiles of each height make up `rows` at the least cost. Low tiles
/// wait for their sums.
static SmallVector<int64_t> splitRows(ArrayRef<int64_t> heights, int64_t rows) {
  constexpr int64_t leastCost = 5, callCost = 2;
  SmallVector<int64_t> cost(rows + 1, 0), last(rows + 1, -1);
  for (int64_t size = 1; size <= rows; ++size)
    for (auto [number, height] : llvm::enumerate(heights)) {
      if (height > size)
        continue;
      int64_t sum =
          cost[size - height] + std::max(height, leastCost) + callCost;
      if (last[size] >= 0 && sum >= cost[size])
        continue;
      cost[size] = sum;
      last[size] = number;
    }
  SmallVector<int64_t> counts(heights.size(), 0);
  for (int64_t size = rows; size > 0; size -= heights[last[size]])
    ++counts[last[size]];
  return counts;
}

void ContractionEmitter::emitTiles() {
  const CPUTarget &target = rows.target;
  format.sum = getElement(step.writes[0]);
  format.a = getElement(step.reads[contraction.a]);
  format.b =
      contraction.isPacked ? getElement(step.reads[contraction.b]) : format.sum;
  format.isStreamed = contraction.isPacked && target.streamsWeights;
  format.panel = contraction.getPanel(program);
  format.lanes = target.vectorBits / format.sum.getIntOrFloatBitWidth();
  format.registers = target.vectorBits == 512 ? 32 : 16;
  Value start = step.initials[0].scalar;
  format.adds =
      !start || !matchPattern(start, m_AnyZeroFloat()) || getBlockDepth() >= 0;
  auto function = frame.getFunction();
  auto module = function->getParentOfType<ModuleOp>();
  StringRef body = function.getSymName();
  body.consume_back(".body");
  bool isFirst = contraction.step == rows.schedule.contraction->step;
  std::string name = (body + (isFirst ? "" : ".twin")).str();
  SmallVector<int64_t> heights = getTileRows(format);
  AffineExpr one = getAffineConstantExpr(1, builder.getContext());
  TileFormat tileFormat = format;
  if (format.a != format.sum && a.getStride(contraction.k) == one) {
    tileFormat.a = format.sum;
    wideMemory = frame.allocate({getDepthOfPart() * heights[0]}, format.sum);
  }
  int64_t known = getKnownRows();
  SmallVector<int64_t> counts(heights.size(), -1);
  if (known >= 0)
    counts = splitRows(heights, known);
  for (auto [height, count] : llvm::zip(heights, counts))
    if (count != 0)
      tiles.push_back(
          {height, count, emitTile(module, loc, name, tileFormat, height)});
  if (mayHaveTail())
    tail = emitTail(module, loc, name, format);
}

Elements ContractionEmitter::locateA(Value row) {
  SmallVector<Value> loops = rows.getLoops(step);
  loops[contraction.k] = lowDepth;
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
  Value offset = arith::SubIOp::create(builder, loc, column, firstColumn);
  Value down = arith::SubIOp::create(builder, loc, row, firstRow);
  Value skipped = arith::MulIOp::create(builder, loc, down, getRowStrideOfC());
  offset = arith::AddIOp::create(builder, loc, offset, skipped);
  Elements block = locate(rows.getMemory(write.storage));
  return {block.bytes,
          arith::AddIOp::create(builder, loc, offset, block.offset)};
}

/// The rows of a tile, one after the other, converted: else each element would
/// be where it is used, for every panel's columns.
Elements ContractionEmitter::widenA(Elements from, int64_t height) {
  LoopBuilder b(builder, loc);
  Value view = viewElements(builder, loc, from.bytes, format.a);
  Value aRow = contraction.m < 0 ? index(0) : size(a.getStride(contraction.m));
  Value whole = b.sub(depth, b.rem(depth, index(format.lanes)));
  auto type = VectorType::get({format.lanes}, format.sum);
  b.forEach(index(0), index(height), 1, [&](Value row) {
    Value start = b.add(from.offset, b.mul(row, aRow));
    Value to = b.mul(row, depth);
    b.forEach(index(0), whole, format.lanes, [&](Value k) {
      b.store(loadVector(builder, loc, view, b.add(start, k), type), wideMemory,
              b.add(to, k));
    });
    b.forEach(whole, depth, 1, [&](Value k) {
      Value element = b.load(view, b.add(start, k));
      b.store(arith::ExtFOp::create(builder, loc, format.sum, element),
              wideMemory, b.add(to, k));
    });
  });
  return locate(wideMemory);
}

void ContractionEmitter::emitRows(Elements panel, Value stride, Value column,
                                  Value columns) {
  Value aRow = contraction.m < 0 ? index(0) : size(a.getStride(contraction.m));
  Value aK = size(a.getStride(contraction.k));
  Value cRow = getRowStrideOfC();
  Value row = firstRow;
  for (const Tile &tile : tiles) {
    Value end;
    if (tile.count >= 0) {
      Value count = index(tile.count * tile.height);
      end = arith::AddIOp::create(builder, loc, row, count);
    } else {
      Value left = arith::SubIOp::create(builder, loc, lastRow, row);
      Value rest =
          arith::RemUIOp::create(builder, loc, left, index(tile.height));
      end = arith::SubIOp::create(builder, loc, lastRow, rest);
    }
    auto loop = scf::ForOp::create(builder, loc, row, end, index(tile.height));
    OpBuilder outer = builder;
    builder = OpBuilder::atBlockTerminator(loop.getBody());
    Elements from = locateA(loop.getInductionVar());
    if (wideMemory)
      from = widenA(from, tile.height);
    Elements to = locateC(loop.getInductionVar(), column);
    func::CallOp::create(
        builder, loc, tile.function,
        ValueRange{from.bytes, from.offset, wideMemory ? depth : aRow,
                   wideMemory ? index(1) : aK, panel.bytes, panel.offset,
                   stride, depth, to.bytes, to.offset, cRow, columns});
    builder = outer;
    row = end;
  }
}

/// b's columns lie together, and a panel of them is as good as a packed one.
bool ContractionEmitter::mayReadInPlace() const {
  AffineExpr stride = b.getStride(contraction.n);
  return stride == getAffineConstantExpr(1, builder.getContext()) &&
         b.getStride(contraction.k) &&
         getElement(step.reads[contraction.b]) == format.sum &&
         step.reads[contraction.b].paddedDims.empty();
}

void ContractionEmitter::emitPanel(Value column, Value columns) {
  const Access &read = step.reads[contraction.b];
  SmallVector<Value> loops = rows.getLoops(step);
  loops[contraction.n] = column;
  loops[contraction.k] = lowDepth;
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
  packPanel(rows, builder, *source, *tables, panelMemory,
            getPanelNumber(column), column, columns, lowDepth, depth);
  emitPacked(column, columns);
  builder = outer;
}

/// Rows of a can be read in vectors along k.
bool ContractionEmitter::mayHaveTail() const {
  return !contraction.isPacked && format.a == format.sum &&
         getMostTailColumns(format) > 0 &&
         a.getStride(contraction.k) ==
             getAffineConstantExpr(1, builder.getContext());
}

/// Where memory of the frame begins.
Elements ContractionEmitter::locate(Value memory) {
  auto view = memory.getDefiningOp<memref::ViewOp>();
  Value shift =
      arith::DivUIOp::create(builder, loc, view.getByteShift(),
                             index(format.sum.getIntOrFloatBitWidth() / 8));
  return {view.getSource(), shift};
}

void ContractionEmitter::emitPacked(Value column, Value columns) {
  Elements panel = locate(panelMemory);
  if (!tail)
    return emitRows(panel, index(format.panel), column, columns);
  LoopBuilder b(builder, loc);
  Value over = b.rem(columns, b.index(format.lanes));
  Value isFew = b.isLess(over, b.index(getMostTailColumns(format) + 1));
  Value whole = arith::SelectOp::create(builder, loc, isFew,
                                        b.sub(columns, over), columns);
  b.ifElse(b.isLess(b.index(0), whole),
           [&] { emitRows(panel, index(format.panel), column, whole); });
  emitTailColumns(column, whole, columns);
}

/// The columns of the panel from `first` to `end`, one by one.
void ContractionEmitter::emitTailColumns(Value column, Value first, Value end) {
  LoopBuilder b(builder, loc);
  b.forEach(first, end, 1, [&](Value j) {
    b.forEach(b.index(0), depth, 1, [&](Value at) {
      Value from = b.add(b.mul(at, b.index(format.panel)), j);
      b.store(b.load(panelMemory, from), tailMemory, at);
    });
    Elements from = locateA(firstRow), with = locate(tailMemory);
    Elements to = locateC(firstRow, b.add(column, j));
    Value aRow =
        contraction.m < 0 ? index(0) : size(a.getStride(contraction.m));
    func::CallOp::create(builder, loc, tail,
                         ValueRange{from.bytes, from.offset, aRow,
                                    b.sub(lastRow, firstRow), with.bytes,
                                    with.offset, depth, to.bytes, to.offset,
                                    getRowStrideOfC()});
  });
}

Value ContractionEmitter::getPanelNumber(Value column) {
  Value offset = arith::SubIOp::create(builder, loc, column, firstColumn);
  return arith::DivUIOp::create(builder, loc, offset, index(format.panel));
}

/// Memory for a panel, and what there is to know about all of them.
void ContractionEmitter::preparePanels() {
  MLIRContext *context = builder.getContext();
  const Access &read = step.reads[contraction.b];
  source.emplace(PanelSource{b, step, contraction, getBytes(read),
                             getElement(read), format});
  OpBuilder before(builder.getInsertionBlock()->getParentOp());
  tables.emplace(rows, before, *source);
  AffineExpr rowsOfPanel = getDepthOfPart();
  panelMemory = frame.allocate(
      {rowsOfPanel * getAffineConstantExpr(format.panel, context)}, format.sum);
  if (tail)
    tailMemory = frame.allocate({rowsOfPanel}, format.sum);
  forPanels([&](Value column, Value columns) {
    findRuns(rows, builder, *source, *tables, getPanelNumber(column), column,
             columns);
  });
}

/// Calls `body` with the first column of each panel and the number of columns.
void ContractionEmitter::forPanels(
    llvm::function_ref<void(Value, Value)> body) {
  Value width = index(format.panel);
  auto panels =
      scf::ForOp::create(builder, loc, firstColumn, lastColumn, width);
  OpBuilder outer = builder;
  builder = OpBuilder::atBlockTerminator(panels.getBody());
  Value column = panels.getInductionVar();
  Value left = arith::SubIOp::create(builder, loc, lastColumn, column);
  body(column, arith::MinUIOp::create(builder, loc, left, width));
  builder = outer;
}

/// Calls `body` for each part of k.
void ContractionEmitter::emitDepths(llvm::function_ref<void()> body) {
  Value whole = size(step.extents[contraction.k]);
  lowDepth = index(0);
  depth = whole;
  if (getBlockDepth() < 0)
    return body();
  Value most = index(getBlockDepth());
  auto parts = scf::ForOp::create(builder, loc, lowDepth, whole, most);
  OpBuilder outer = builder;
  builder = OpBuilder::atBlockTerminator(parts.getBody());
  lowDepth = parts.getInductionVar();
  Value left = arith::SubIOp::create(builder, loc, whole, lowDepth);
  depth = arith::MinUIOp::create(builder, loc, left, most);
  body();
  builder = outer;
}

void ContractionEmitter::emit() {
  emitTiles();
  if (format.adds)
    rows.storeInitials(builder, step);
  std::tie(firstRow, lastRow) =
      contraction.m < 0 ? std::pair(index(0), index(1))
                        : rows.getBounds(step.classes[contraction.m]);
  std::tie(firstColumn, lastColumn) =
      rows.getBounds(step.classes[contraction.n]);
  if (!contraction.isPacked)
    preparePanels();
  emitDepths([&] {
    forPanels([&](Value column, Value columns) { emitPanel(column, columns); });
  });
}

void tenon::emitContraction(RowEmitter &rows, OpBuilder &builder,
                            unsigned number) {
  OpBuilder mine = builder;
  ContractionEmitter(rows, mine, number).emit();
}
