#include "ContractionEmitter.h"

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

/// Bytes that a thread reads at once.
static constexpr int64_t kRunBytes = 16;
/// The side of small tiles.
static constexpr int64_t kSmall = 64;

ContractionEmitter::ContractionEmitter(KernelProgram &program,
                                       const Contraction &contraction,
                                       KernelFrame &frame, int64_t side,
                                       kernel::F32Products f32)
    : TileKernel(program, contraction, frame) {
  chooseEngine(side, f32);
  a = getFactor(step, contraction.a, contraction.m, engine->shape.rows);
  int64_t share = getShare(engine->shape.columns);
  for (auto [number, product] : llvm::enumerate(products))
    right.push_back(getFactor(*product, contraction.b, contraction.n, share,
                              number * share));
}

/// Tensor cores where both factors are of one type of 16 bits, or f32 that may
/// be rounded to what they multiply.
void ContractionEmitter::chooseEngine(int64_t side, kernel::F32Products f32) {
  auto getElement = [&](unsigned read) {
    return program.storages[step.reads[read].storage].element;
  };
  Type left = getElement(contraction.a), right = getElement(contraction.b);
  Type sum = program.storages[step.writes[0].storage].element;
  bool isSmallTile = side <= kSmall;
  if (left == right && sum.isF32() && left.getIntOrFloatBitWidth() == 16) {
    TileShape shape =
        isSmallTile ? TileShape{64, 64, 32, 128} : TileShape{128, 128, 32, 256};
    engine = createMatrixEngine(shape, left);
  } else if (left == right && left.isF32() && sum.isF32() &&
             f32 != kernel::F32Products::ieee) {
    TileShape shape = isSmallTile ? TileShape{64, 64, 16, 128, 3}
                                  : TileShape{128, 128, 16, 256, 2};
    engine = f32 == kernel::F32Products::tf32 ? createTF32Engine(shape, left)
                                              : createSplitEngine(shape, left);
  } else if (sum.isF64()) {
    engine = createArithmeticEngine({64, 64, 8, 256, 2}, sum);
  } else {
    TileShape shape = isSmallTile ? TileShape{64, 64, 16, 256, 2}
                                  : TileShape{128, 128, 8, 256, 1};
    engine = createArithmeticEngine(shape, sum);
  }
}

ContractionEmitter::Factor
ContractionEmitter::getFactor(const Step &product, unsigned read, int outer,
                              int64_t size, int64_t first) {
  Factor factor{&product, read, outer, size, first, true, 1, 0, false};
  const TileShape &shape = engine->shape;
  factor.count = size * shape.depth / int64_t(shape.threads);
  const Access &access = product.reads[read];
  std::optional<LinearAccess> linear = LinearAccess::get(program, access);
  auto isUnit = [&](int loop) {
    if (!linear || loop < 0)
      return false;
    AffineExpr stride = linear->getStride(loop);
    return stride && stride == 1;
  };
  bool isUnitK = isUnit(contraction.k);
  // Without a hint, neighbours along the outer loop: positions of an image are.
  factor.isAlongK =
      isUnitK || (outer < 0) || (!isUnit(outer) && read == contraction.a);
  int unit = factor.isAlongK ? int(contraction.k) : outer;
  auto extent = dyn_cast<AffineConstantExpr>(getExtent(unit));
  int64_t width =
      program.storages[access.storage].element.getIntOrFloatBitWidth() / 8;
  int64_t run = std::min(kRunBytes / width, factor.count);
  bool isWhole = isUnit(unit) && extent && extent.getValue() % run == 0 &&
                 factor.count % run == 0;
  factor.run = isWhole ? run : 1;
  if (read == contraction.a && contraction.windows && !isWhole) {
    factor.isAlongK = true;
    factor.run = getWindowRun(run);
    factor.isWindow = true;
  }
  return factor;
}

/// How many channels of a window are read at once, at most `run`, which must
/// lie at multiples of so many.
int64_t ContractionEmitter::getWindowRun(int64_t run) const {
  const ImageWindows &windows = *contraction.windows;
  bool isAligned = windows.channels.isMultipleOf(run) &&
                   windows.imageStride.isMultipleOf(run);
  for (const ImageWindows::Axis &axis : windows.axes)
    isAligned &= (axis.stride * axis.step).isMultipleOf(run) &&
                 (axis.stride * axis.dilation).isMultipleOf(run) &&
                 (axis.stride * axis.before).isMultipleOf(run);
  return isAligned ? run : 1;
}

/// Where a window's element at the loops' position lies among all of the image:
/// what the outer loops add, which a thread keeps for each of its rows, and
/// what k adds, the same for all of them. An index for each dimension would be
/// several values for each row, and k's multiplied again for each.
Value ContractionEmitter::getOffset(ThreadBuilder &b, const Access &access) {
  LinearAccess linear = *LinearAccess::get(program, access);
  Value outer = b.index(0), along = b.index(0);
  for (const LinearAccess::Term &term : linear.terms) {
    Value &sum = term.loop == int(contraction.k) ? along : outer;
    Value place = getIndex(b.builder, term.expr, getLoops(step));
    sum = b.add(sum, b.mul(place, frame.size(simplify(term.stride))));
  }
  return b.add(outer, along);
}

/// The run at the loops' position; outside of an image something else, and
/// `known` becomes false.
Value ContractionEmitter::readRun(ThreadBuilder &b, const Factor &factor,
                                  Value &known) {
  const Step &product = *factor.product;
  const Access &access = product.reads[factor.read];
  const Storage &storage = program.storages[access.storage];
  Type element = storage.element;
  Value source = memory[access.storage];
  Values indices;
  if (factor.isWindow && access.paddedDims.empty()) {
    AffineExpr size = getAffineConstantExpr(1, element.getContext());
    for (AffineExpr dim : storage.dims)
      size = size * dim;
    source = frame.bufferAs(storage.buffer, simplify(size), element);
    indices = {getOffset(b, access)};
  } else {
    indices = getIndices(b.builder, access, getLoops(product));
    if (Value isInside = enterStorage(b.builder, access, indices))
      known = arith::AndIOp::create(b.builder, loc, known, isInside);
  }
  llvm::MaybeAlign alignment;
  if (factor.isWindow)
    alignment = llvm::Align(factor.run * element.getIntOrFloatBitWidth() / 8);
  return vector::LoadOp::create(
      b.builder, loc, VectorType::get(factor.run, element), source, indices,
      /*nontemporal=*/false, alignment);
}

/// Neighbours at the loops' position, of which some may lie in a pad.
Value ContractionEmitter::readPadded(ThreadBuilder &b, const Factor &factor) {
  const Step &product = *factor.product;
  int shared =
      product.classes[factor.isAlongK ? int(contraction.k) : factor.outer];
  Value first = position[shared];
  Values elements;
  for (int64_t e = 0; e < factor.run; ++e) {
    position[shared] = b.add(first, b.index(e));
    elements.push_back(
        load(b.builder, product.reads[factor.read], getLoops(product)));
  }
  auto type = VectorType::get(factor.run, elements[0].getType());
  return vector::FromElementsOp::create(b.builder, loc, type, elements);
}

std::pair<Value, Value> ContractionEmitter::placeRun(ThreadBuilder &b,
                                                     const Factor &factor,
                                                     int64_t number) {
  const TileShape &shape = engine->shape;
  int64_t width = (factor.isAlongK ? shape.depth : factor.size) / factor.run;
  // The threads take whole rows of runs, so that those of a thread are below
  // each other: one address and distances that are known.
  int64_t threads = shape.threads, rows = threads / width;
  assert(threads % width == 0 && "rows of runs are powers of two, up to 128");
  Value fast = b.mul(b.rem(b.thread(), b.index(width)), b.index(factor.run));
  Value slow = b.add(b.div(b.thread(), b.index(width)), b.index(number * rows));
  return factor.isAlongK ? std::pair(slow, fast) : std::pair(fast, slow);
}

/// The thread's runs of the tile at `first` and `k`; zeros behind the ends.
SmallVector<Value> ContractionEmitter::loadTile(ThreadBuilder &b,
                                                const Factor &factor,
                                                Value first, Value k) {
  Values runs;
  const Step &product = *factor.product;
  const Access &access = product.reads[factor.read];
  Value depth = frame.size(getExtent(contraction.k));
  Value extent = frame.size(getExtent(factor.outer));
  for (int64_t i = 0; i < factor.getRuns(); ++i) {
    auto [outer, along] = placeRun(b, factor, i);
    outer = b.add(first, outer);
    along = b.add(k, along);
    Value known = arith::AndIOp::create(b.builder, loc, b.isLess(outer, extent),
                                        b.isLess(along, depth));
    // An element that is there is read in place of one that is not.
    int64_t runK = factor.isAlongK ? factor.run : 1;
    int64_t runOuter = factor.isAlongK ? 1 : factor.run;
    position[product.classes[contraction.k]] =
        b.min(along, b.sub(depth, b.index(runK)));
    if (factor.outer >= 0)
      position[product.classes[factor.outer]] =
          b.min(outer, b.sub(extent, b.index(runOuter)));
    bool isPadded = !factor.isWindow && !access.paddedDims.empty();
    Value run = isPadded ? readPadded(b, factor) : readRun(b, factor, known);
    run = b.convert(run, getRunType(factor));
    Value zeros = getZero(b.builder, getRunType(factor));
    runs.push_back(arith::SelectOp::create(b.builder, loc, known, run, zeros));
  }
  return runs;
}

void ContractionEmitter::storeTile(ThreadBuilder &b, const Factor &factor,
                                   Value tile, ValueRange runs) {
  for (int64_t i = 0; i < factor.getRuns(); ++i) {
    auto [outer, along] = placeRun(b, factor, i);
    outer = b.add(outer, b.index(factor.first));
    for (int64_t e = 0; e < factor.run; ++e) {
      Value k = factor.isAlongK ? b.add(along, b.index(e)) : along;
      Value beside = factor.isAlongK ? outer : b.add(outer, b.index(e));
      Value at = &factor == &a ? engine->placeA(b, beside, k)
                               : engine->placeB(b, k, beside);
      Value element = vector::ExtractOp::create(b.builder, loc, runs[i], e);
      b.store(engine->prepare(b, element), tile, at);
    }
  }
}

/// Runs as loadTile gives them, those of the left factor first.
void ContractionEmitter::storeTiles(ThreadBuilder &b, Value tileA, Value tileC,
                                    ValueRange runs) {
  storeTile(b, a, tileA, runs.take_front(a.getRuns()));
  runs = runs.drop_front(a.getRuns());
  for (const Factor &factor : right) {
    storeTile(b, factor, tileC, runs.take_front(factor.getRuns()));
    runs = runs.drop_front(factor.getRuns());
  }
}

/// The first tiles, if there is any k: without, there may be nothing to read.
SmallVector<Value> ContractionEmitter::loadFirst(ThreadBuilder &b, Value depth,
                                                 LoadAll loadAll) {
  SmallVector<Type> types(a.getRuns(), getRunType(a));
  for (const Factor &factor : right)
    types.append(factor.getRuns(), getRunType(factor));
  auto some = scf::IfOp::create(b.builder, loc, types,
                                b.isLess(b.index(0), depth), true);
  OpBuilder then = OpBuilder::atBlockEnd(some.thenBlock());
  ThreadBuilder inside(then, loc);
  scf::YieldOp::create(then, loc, loadAll(inside, inside.index(0)));
  OpBuilder otherwise = OpBuilder::atBlockEnd(some.elseBlock());
  scf::YieldOp::create(otherwise, loc,
                       llvm::map_to_vector(types, [&](Type run) {
                         return getZero(otherwise, run);
                       }));
  return Values(some.getResults());
}

/// The loop over k: while a tile is multiplied, the next is on its way.
SmallVector<Value> ContractionEmitter::sumTiles(ThreadBuilder &b) {
  Value tileA = b.allocateShared(engine->getSizeA(), engine->stored);
  Value tileC = b.allocateShared(engine->getSizeB(), engine->stored);
  Value depth = frame.size(getExtent(contraction.k));
  Values start = engine->start(b);
  unsigned numSums = start.size();
  auto loadAll = [&](ThreadBuilder &inside, Value k) {
    Values runs = loadTile(inside, a, firstRow, k);
    for (const Factor &factor : right)
      runs.append(loadTile(inside, factor, firstColumn, k));
    return runs;
  };
  start.append(loadFirst(b, depth, loadAll));
  SmallVector<Value> results =
      b.fold(b.index(0), depth, engine->shape.depth, start,
             [&](Value k, ValueRange running) {
               b.barrier();
               storeTiles(b, tileA, tileC, running.drop_front(numSums));
               b.barrier();
               Values next = loadAll(b, b.add(k, b.index(engine->shape.depth)));
               Values sums = engine->multiply(
                   b, tileA, tileC, Values(running.take_front(numSums)));
               sums.append(next);
               return sums;
             });
  results.truncate(numSums);
  return results;
}

/// The sums go through shared memory, so that neighbouring threads write
/// neighbours.
void ContractionEmitter::finishTile(ThreadBuilder &b, ValueRange sums) {
  const TileShape &shape = engine->shape;
  // Part by part: a tile of sums may be larger than what a block has.
  constexpr int64_t most = 16 * 1024;
  int64_t width = engine->sum.getIntOrFloatBitWidth() / 8;
  int64_t part = std::min(shape.rows, most / (shape.columns * width));
  Value tile = b.allocateShared(part * shape.columns, engine->sum);
  for (int64_t first = 0; first < shape.rows; first += part) {
    b.barrier();
    engine->forSums(b, sums, [&](Value row, Value column, Value sum) {
      Value inPart = b.sub(row, b.index(first));
      auto keep = [&] {
        Value at = b.add(b.mul(inPart, b.index(shape.columns)), column);
        b.store(sum, tile, at);
      };
      // Without need, a test makes LLVM sum behind it and the barrier, and keep
      // all factors until then.
      if (part == shape.rows)
        return keep();
      Value isHere = arith::CmpIOp::create(
          b.builder, loc, arith::CmpIPredicate::ult, inPart, b.index(part));
      b.ifElse(isHere, keep);
    });
    b.barrier();
    auto read = [&](Value at, int64_t count) {
      Values elements;
      for (int64_t e = 0; e < count; ++e)
        elements.push_back(b.load(tile, b.add(at, b.index(e))));
      return elements;
    };
    int64_t share = getShare(shape.columns);
    finishPart(b, {first, part, share, shape.columns, share, read}, b.thread(),
               shape.threads);
  }
}

AffineExpr ContractionEmitter::emit() {
  placeStorages();
  ThreadBuilder b(frame.builder(), loc);
  const TileShape &shape = engine->shape;
  int64_t share = getShare(shape.columns);
  enterTile(b, frame.begin(), shape.rows, share);
  finishTile(b, sumTiles(b));
  return getTiles(shape.rows, share);
}
