#include "EmitTile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

/// Sums in flight that hide the latency of a multiply-add.
static constexpr int64_t kFewestSums = 8;

/// Tiles of so few rows wait for a streamed b. They ask for what lies so far
/// ahead, in the panel or in the next one.
static constexpr int64_t kMostRowsThatWait = 2, kBytesAhead = 1024;

Value tenon::viewElements(OpBuilder &builder, Location loc, Value bytes,
                          Type type) {
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0);
  // The size is not looked at: nothing checks bounds.
  return memref::ViewOp::create(builder, loc,
                                MemRefType::get({ShapedType::kDynamic}, type),
                                bytes, zero, ValueRange{zero});
}

/// How elements lie in memory: halves as integers, which every level can load.
static Type getMemoryType(Type type) {
  if (type.getIntOrFloatBitWidth() == 16)
    return IntegerType::get(type.getContext(), 16);
  return type;
}

Value tenon::loadVector(OpBuilder &builder, Location loc, Value view,
                        Value offset, VectorType type, Value mask) {
  Type element = cast<MemRefType>(view.getType()).getElementType();
  Type memory = getMemoryType(element);
  Value value;
  if (memory != element)
    view = viewElements(
        builder, loc, view.getDefiningOp<memref::ViewOp>().getSource(), memory);
  VectorType loaded = VectorType::get(type.getShape(), memory);
  if (mask) {
    Value zero =
        arith::ConstantOp::create(builder, loc, builder.getZeroAttr(loaded));
    value = vector::MaskedLoadOp::create(builder, loc, loaded, view, offset,
                                         mask, zero);
  } else {
    value = vector::LoadOp::create(builder, loc, loaded, view, offset);
  }
  if (memory != element)
    value = arith::BitcastOp::create(
        builder, loc, VectorType::get(type.getShape(), element), value);
  if (element != type.getElementType())
    value = arith::ExtFOp::create(builder, loc, type, value);
  return value;
}

/// Vectors that the rows of a tile are wide.
static int64_t getVectors(const TileFormat &format, int64_t rows) {
  int64_t whole = format.panel / format.lanes;
  return rows * whole + whole + 1 <= format.registers ? whole : 2;
}

SmallVector<int64_t> tenon::getTileRows(const TileFormat &format) {
  // rows x 2 sums, 2 vectors of b, an element of a.
  int64_t most = (format.registers - 3) / 2;
  SmallVector<int64_t> rows = {most};
  for (int64_t fewer : {8, 4, 2, 1})
    if (fewer < most)
      rows.push_back(fewer);
  return rows;
}

namespace {
class TileEmitter {
public:
  TileEmitter(func::FuncOp function, const TileFormat &format, int64_t rows)
      : format(format), rows(rows), vectors(getVectors(format, rows)),
        loc(function.getLoc()),
        type(VectorType::get({format.lanes}, format.sum)),
        builder(OpBuilder::atBlockEnd(function.addEntryBlock())) {
    auto argument = [&](unsigned i) { return function.getArgument(i); };
    a = {viewElements(builder, loc, argument(0), format.a), argument(1)};
    aRow = argument(2);
    aK = argument(3);
    b = {viewElements(builder, loc, argument(4), format.b), argument(5)};
    bK = argument(6);
    depth = argument(7);
    c = {viewElements(builder, loc, argument(8), format.sum), argument(9)};
    cRow = argument(10);
    columns = argument(11);
  }

  void emit() {
    int64_t whole = vectors, width = whole * format.lanes;
    for (int64_t first = 0; first < format.panel; first += width) {
      OpBuilder outer = builder;
      if (first > 0)
        builder = scf::IfOp::create(builder, loc, hasMore(first), false)
                      .getThenBodyBuilder();
      // A few columns at the end need but half of the vectors.
      auto choice =
          scf::IfOp::create(builder, loc, hasMore(first + width / 2), true);
      builder = choice.getThenBodyBuilder();
      store(sum(first), first);
      builder = choice.getElseBodyBuilder();
      vectors = whole / 2;
      store(sum(first), first);
      vectors = whole;
      builder = outer;
    }
    func::ReturnOp::create(builder, loc);
  }

private:
  using Values = SmallVector<Value>;

  Value index(int64_t value) {
    return arith::ConstantIndexOp::create(builder, loc, value);
  }
  /// There are more than `first` columns.
  Value hasMore(int64_t first) {
    return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ugt,
                                 columns, index(first));
  }
  Value add(Value x, Value y) {
    return arith::AddIOp::create(builder, loc, x, y);
  }
  Value times(Value x, Value y) {
    return arith::MulIOp::create(builder, loc, x, y);
  }

  /// Asks for the lines that lie ahead of this tile's part of b; no cache but
  /// the first is to keep them, as nobody comes back before others are needed.
  void prefetch(Value begin) {
    constexpr int64_t line = 64;
    int64_t bytes = format.b.getIntOrFloatBitWidth() / 8;
    for (int64_t at = 0; at < vectors * format.lanes * bytes; at += line)
      memref::PrefetchOp::create(
          builder, loc, b.bytes,
          ValueRange{add(begin, index((kBytesAhead + at) / bytes))},
          /*isWrite=*/false, /*localityHint=*/0, /*isDataCache=*/true);
  }

  /// Adds the products of one k to the sums, row by row.
  Values accumulate(Value k, int64_t first, ValueRange sums) {
    Value row = add(b.offset, times(k, bK));
    Values bs;
    for (int64_t v = 0; v < vectors; ++v)
      bs.push_back(loadVector(builder, loc, b.bytes,
                              add(row, index(first + v * format.lanes)), type));
    if (format.isStreamed && rows <= kMostRowsThatWait)
      prefetch(add(row, index(first)));
    Value column = add(a.offset, times(k, aK));
    Values next;
    for (int64_t i = 0; i < rows; ++i) {
      Value at = add(column, times(aRow, index(i)));
      Value scalar = memref::LoadOp::create(builder, loc, a.bytes, at);
      if (scalar.getType() != format.sum)
        scalar = arith::ExtFOp::create(builder, loc, format.sum, scalar);
      Value splat = vector::BroadcastOp::create(builder, loc, type, scalar);
      for (int64_t v = 0; v < vectors; ++v)
        next.push_back(vector::FMAOp::create(builder, loc, splat, bs[v],
                                             sums[i * vectors + v]));
    }
    return next;
  }

  /// A loop over [low, high) that adds `unroll` products an iteration, each to
  /// sums of its own.
  Values loop(Value low, Value high, int64_t unroll, int64_t first,
              Values sums) {
    auto loop =
        scf::ForOp::create(builder, loc, low, high, index(unroll), sums);
    OpBuilder outer = builder;
    builder = OpBuilder::atBlockEnd(loop.getBody());
    Values next;
    int64_t each = rows * vectors;
    for (int64_t u = 0; u < unroll; ++u) {
      Value k = add(loop.getInductionVar(), index(u));
      llvm::append_range(
          next,
          accumulate(
              k, first,
              ValueRange(loop.getRegionIterArgs()).slice(u * each, each)));
    }
    scf::YieldOp::create(builder, loc, next);
    builder = outer;
    return Values(loop.getResults());
  }

  Values sum(int64_t first) {
    int64_t each = rows * vectors, unroll = 1;
    while (each * unroll < kFewestSums)
      unroll *= 2;
    Value zero =
        arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
    Value rest = arith::RemUIOp::create(builder, loc, depth, index(unroll));
    Value whole = arith::SubIOp::create(builder, loc, depth, rest);
    Values sums =
        loop(index(0), whole, unroll, first, Values(each * unroll, zero));
    for (int64_t u = 1; u < unroll; ++u)
      for (int64_t i = 0; i < each; ++i)
        sums[i] =
            arith::AddFOp::create(builder, loc, sums[i], sums[u * each + i]);
    sums.truncate(each);
    return unroll == 1 ? sums : loop(whole, depth, 1, first, sums);
  }

  void store(Values sums, int64_t first) {
    Value end = index(first + vectors * format.lanes);
    Value isWhole = arith::CmpIOp::create(
        builder, loc, arith::CmpIPredicate::uge, columns, end);
    auto choice = scf::IfOp::create(builder, loc, isWhole, true);
    OpBuilder outer = builder;
    builder = choice.getThenBodyBuilder();
    storeVectors(sums, first, Values(vectors));
    builder = choice.getElseBodyBuilder();
    Values masks;
    for (int64_t v = 0; v < vectors; ++v) {
      // Not below zero: later vectors of a short row have nothing.
      Value begin = index(first + v * format.lanes);
      Value known = arith::MaxUIOp::create(builder, loc, columns, begin);
      Value left = arith::SubIOp::create(builder, loc, known, begin);
      masks.push_back(vector::CreateMaskOp::create(
          builder, loc, VectorType::get({format.lanes}, builder.getI1Type()),
          ValueRange{left}));
    }
    storeVectors(sums, first, masks);
    builder = outer;
  }

  void storeVectors(ArrayRef<Value> sums, int64_t first,
                    ArrayRef<Value> masks) {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t v = 0; v < vectors; ++v) {
        Value at = add(c.offset, times(cRow, index(i)));
        at = add(at, index(first + v * format.lanes));
        Value value = sums[i * vectors + v];
        if (format.adds)
          value = arith::AddFOp::create(
              builder, loc, value,
              loadVector(builder, loc, c.bytes, at, type, masks[v]));
        if (masks[v])
          vector::MaskedStoreOp::create(builder, loc, c.bytes, at, masks[v],
                                        value);
        else
          vector::StoreOp::create(builder, loc, value, c.bytes, at);
      }
  }

  const TileFormat &format;
  int64_t rows, vectors;
  Location loc;
  VectorType type;
  OpBuilder builder;
  Elements a, b, c;
  Value aRow, aK, bK, depth, cRow, columns;
};
} // namespace

func::FuncOp tenon::emitTile(ModuleOp module, Location loc, StringRef name,
                             const TileFormat &format, int64_t rows) {
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  Type bytes = MemRefType::get({1}, builder.getI8Type());
  Type index = builder.getIndexType();
  auto function = func::FuncOp::create(
      builder, loc, (name + ".tile" + Twine(rows)).str(),
      builder.getFunctionType({bytes, index, index, index, bytes, index, index,
                               index, bytes, index, index, index},
                              {}));
  function.setPrivate();
  function->setAttr("passthrough",
                    builder.getArrayAttr({builder.getStringAttr("noinline")}));
  TileEmitter(function, format, rows).emit();
  return function;
}
