#include "HopperContraction.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace tenon;

/// Rows of one warpgroup, and of both.
static constexpr int64_t kRowsOfGroup = 64, kRowsOfBoth = 128;
static constexpr int64_t kDepthOfProduct = 16;
static constexpr int64_t kConsumers = 2, kWarpgroup = 128;
/// Bytes of shared memory for stages, and behind them.
static constexpr int64_t kMostStageBytes = 200 * 1024, kBarrierBytes = 256;
static constexpr int64_t kMostStages = 12;
/// Elements between rows of sums, so that they fall into different banks.
static constexpr int64_t kPadding = 8;

std::optional<MappedFactor> MappedFactor::get(const KernelProgram &program,
                                              const Contraction &contraction,
                                              unsigned read, int outer) {
  const Step &step = program.steps[contraction.step];
  const Access &access = step.reads[read];
  const Storage &storage = program.storages[access.storage];
  std::optional<LinearAccess> linear = LinearAccess::get(program, access);
  if (!linear || outer < 0 || access.padding)
    return std::nullopt;
  auto getStride = [&](int loop) { return linear->getStride(loop); };
  AffineExpr strideK = getStride(contraction.k), strideOuter = getStride(outer);
  if (!strideK || !strideOuter)
    return std::nullopt;
  MappedFactor factor{read, outer, strideK == 1, {}, {}};
  if (!factor.isAlongK && strideOuter != 1)
    return std::nullopt;
  SmallVector<int> loops = {int(contraction.k), outer};
  if (!factor.isAlongK)
    std::swap(loops[0], loops[1]);
  for (unsigned loop = 0; loop < step.classes.size(); ++loop) {
    bool isBatch = step.isParallel[loop] && int(loop) != contraction.m &&
                   loop != contraction.n;
    if (isBatch && llvm::any_of(access.index, [&](AffineExpr index) {
          return index.isFunctionOfDim(loop);
        }))
      factor.batches.push_back(loop);
  }
  loops.append(factor.batches);
  if (loops.size() > kMostMapDims ||
      llvm::any_of(linear->terms, [](const LinearAccess::Term &term) {
        return term.loop < 0 && term.expr != 0;
      }))
    return std::nullopt;
  factor.map.buffer = storage.buffer;
  factor.map.type = storage.element;
  factor.map.swizzle = kRowBytes;
  int64_t width = storage.element.getIntOrFloatBitWidth() / 8;
  for (auto [i, loop] : llvm::enumerate(loops)) {
    factor.map.dims.push_back(program.extents[step.classes[loop]]);
    AffineExpr stride = getStride(loop);
    // Rows of a map begin at multiples of 16 bytes.
    if (!stride || (i > 0 && !(stride * width).isMultipleOf(16)))
      return std::nullopt;
    if (i > 0)
      factor.map.strides.push_back(simplify(stride * width));
  }
  return factor;
}

std::optional<HopperContraction::Factors>
HopperContraction::match(const KernelProgram &program,
                         const Contraction &contraction) {
  const Step &step = program.steps[contraction.step];
  auto getElement = [&](unsigned read) {
    return program.storages[step.reads[read].storage].element;
  };
  Type left = getElement(contraction.a), right = getElement(contraction.b);
  Type sum = program.storages[step.writes[0].storage].element;
  if (left != right || !(left.isF16() || left.isBF16()) || !sum.isF32())
    return std::nullopt;
  auto a =
      MappedFactor::get(program, contraction, contraction.a, contraction.m);
  auto c =
      MappedFactor::get(program, contraction, contraction.b, contraction.n);
  if (!a) {
    a = MappedFactor::getWindows(program, contraction);
    if (!a || !c || !c->splitChannels(a->channels))
      return std::nullopt;
  }
  if (!c)
    return std::nullopt;
  return Factors(*a, *c);
}

HopperContraction::HopperContraction(KernelProgram &program,
                                     const Contraction &contraction,
                                     const Factors &factors, Form form,
                                     KernelFrame &frame)
    : TileKernel(program, contraction, frame),
      a(form.isTurned ? factors.second : factors.first),
      c(form.isTurned ? factors.first : factors.second), form(form),
      columns(form.columns), type(a.map.type.isF16() ? "f16" : "bf16") {
  assert((form.isTurned || !sharesStages()) && "only turned tiles are halves");
  // Narrow tiles leave room for a second block.
  int64_t most = kMostStageBytes / getBlocks();
  stages = std::min<int64_t>(most / getStageBytes(), kMostStages);
}

/// Elements from one row of the result's part to the next.
int64_t HopperContraction::getSumStride() const {
  return (form.isTurned ? kRowsOfBoth : columns) + kPadding;
}

int64_t HopperContraction::getStageBytes() const {
  return (form.rows + columns) * kRowBytes;
}

/// The stages, or in their place the sums; the barriers; room to align.
int64_t HopperContraction::getSharedBytes() const {
  int64_t sums = (form.isTurned ? columns : kRowsOfBoth) * getSumStride() * 4;
  return std::max(stages * getStageBytes(), sums) + kBarrierBytes + 1024;
}

Value HopperContraction::getStage(HopperBuilder &b, Value stage) {
  return b.add(shared, b.mul(stage, b.number(getStageBytes())));
}

Value HopperContraction::getBarrier(HopperBuilder &b, Value stage,
                                    bool isEmpty) {
  int64_t first = getSharedBytes() - kBarrierBytes - 1024;
  Value number = isEmpty ? b.add(stage, b.number(stages)) : stage;
  return b.add(b.add(shared, b.number(first)), b.mul(number, b.number(8)));
}

/// The stage after this one; the phase changes behind the last.
HopperContraction::Place HopperContraction::getNext(HopperBuilder &b,
                                                    Place place) {
  Value next = b.add(place.stage, b.number(1));
  Value isLast = arith::CmpIOp::create(b.builder, loc, arith::CmpIPredicate::eq,
                                       next, b.number(stages));
  Value flipped =
      arith::XOrIOp::create(b.builder, loc, place.phase, b.number(1));
  return {
      arith::SelectOp::create(b.builder, loc, isLast, b.number(0), next),
      arith::SelectOp::create(b.builder, loc, isLast, flipped, place.phase)};
}

SmallVector<Value> HopperContraction::forTiles(HopperBuilder &b, Values start,
                                               Body body) {
  Values carried = {b.number(0), b.number(0)};
  carried.append(start);
  auto loop = scf::ForOp::create(b.builder, loc, b.number(0), depth,
                                 b.number(1), carried);
  OpBuilder::InsertionGuard guard(b.builder);
  b.builder.setInsertionPointToEnd(loop.getBody());
  Value stage = loop.getRegionIterArgs()[0];
  Value phase = loop.getRegionIterArgs()[1];
  Values results = body(loop.getInductionVar(), stage, phase,
                        Values(loop.getRegionIterArgs().drop_front(2)));
  auto [next, flipped] = getNext(b, {stage, phase});
  Values yielded = {next, flipped};
  yielded.append(results);
  scf::YieldOp::create(b.builder, loc, yielded);
  return Values(loop.getResults().drop_front(2));
}

/// A warpgroup's rows of the stage times all its columns, or its part of the
/// stage's k.
Value HopperContraction::multiplyStage(HopperBuilder &b, Value consumer,
                                       Value stage, Value sums) {
  // Along a row, or so many rows down.
  auto getBytes = [](const MappedFactor &factor, int64_t k) {
    return factor.isAlongK ? k * 2 : k * kRowBytes;
  };
  int64_t depthOfGroup = sharesStages() ? kDepth / kConsumers : kDepth;
  Value tile = getStage(b, stage);
  auto describe = [&](const MappedFactor &factor, int64_t first, int64_t own) {
    if (sharesStages())
      own = getBytes(factor, depthOfGroup);
    Value begin = b.add(tile, b.number(first));
    return b.describe(b.add(begin, b.mul(consumer, b.number(own))),
                      factor.isAlongK);
  };
  Value left = describe(a, 0, kRowsOfGroup * kRowBytes);
  Value right = describe(c, form.rows * kRowBytes, 0);
  sums = b.fenceProducts(sums);
  for (int64_t k = 0; k < depthOfGroup; k += kDepthOfProduct)
    sums = b.multiplyAsync({b.advance(left, getBytes(a, k)), a.isAlongK},
                           {b.advance(right, getBytes(c, k)), c.isAlongK}, sums,
                           columns, type);
  b.commitProducts();
  b.waitForProducts(0);
  return sums;
}

void HopperContraction::consume(HopperBuilder &b, Value consumer) {
  // For what the epilogue reads.
  b.waitForLaunchBefore();
  Type f32 = b.builder.getF32Type();
  auto type = LLVM::LLVMStructType::getLiteral(
      b.builder.getContext(), SmallVector<Type>(columns / 2, f32));
  Value zeros = LLVM::PoisonOp::create(b.builder, loc, type);
  Value zero = b.constant(f32, 0);
  for (int64_t i = 0; i < columns / 2; ++i)
    zeros = LLVM::InsertValueOp::create(b.builder, loc, zeros, zero, i);
  Value number = b.rem(b.thread(), b.index(kWarpgroup));
  Value isFirst = arith::CmpIOp::create(
      b.builder, loc, arith::CmpIPredicate::eq, number, b.index(0));
  Values sums =
      forTiles(b, {zeros}, [&](Value, Value stage, Value phase, Values so) {
        b.waitFor(getBarrier(b, stage, false), phase);
        Value next = multiplyStage(b, consumer, stage, so[0]);
        b.ifElse(isFirst, [&] { b.arrive(getBarrier(b, stage, true)); });
        return Values{next};
      });
  constexpr int64_t barrier = 1, threads = kConsumers * kWarpgroup;
  // Nobody reads the stages any more.
  b.syncSome(barrier, threads);
  storeSums(b, consumer, sums[0]);
  if (form.splits == 1) {
    b.syncSome(barrier, threads);
    return finish(b);
  }
  b.syncCluster();
  finish(b);
  b.syncCluster();
}

/// The sums take the place of the stages.
void HopperContraction::storeSums(HopperBuilder &b, Value consumer,
                                  Value sums) {
  int64_t stride = getSumStride();
  int64_t rowStep = form.isTurned ? 1 : stride;
  int64_t columnStep = form.isTurned ? stride : 1;
  Value memory = b.viewDynamicShared(
      (form.isTurned ? columns : kRowsOfBoth) * stride, b.builder.getF32Type());
  Value number = b.rem(b.thread(), b.index(kWarpgroup));
  Value lane = b.rem(number, b.index(ThreadBuilder::kWarp));
  Value warp = b.div(number, b.index(ThreadBuilder::kWarp));
  Value group = arith::IndexCastOp::create(b.builder, loc,
                                           b.builder.getIndexType(), consumer);
  // Of each 16 rows and 8 columns a thread has two neighbours, and two 8 rows
  // below.
  Value row = b.add(b.mul(group, b.index(kRowsOfGroup)),
                    b.add(b.mul(warp, b.index(16)), b.div(lane, b.index(4))));
  Value column = b.mul(b.rem(lane, b.index(4)), b.index(2));
  Value place =
      b.add(b.mul(row, b.index(rowStep)), b.mul(column, b.index(columnStep)));
  for (int64_t i = 0; i < columns / 2; ++i) {
    int64_t at = (i / 4 * 8 + i % 2) * columnStep + (i % 4 / 2) * 8 * rowStep;
    Value sum = LLVM::ExtractValueOp::create(b.builder, loc, sums, i);
    b.store(sum, memory, b.add(place, b.index(at)));
  }
}

/// All consumers finish the sums; those of a cluster add what its blocks have,
/// each for its share of the tile.
void HopperContraction::finish(HopperBuilder &b) {
  constexpr int64_t threads = kConsumers * kWarpgroup;
  int64_t stride = getSumStride(), rows = form.isTurned ? columns : kRowsOfBoth;
  Value memory = b.viewDynamicShared(rows * stride, b.builder.getF32Type());
  auto readOne = [&](Value at, int64_t count) {
    if (form.splits > 1)
      return b.sumOverCluster(shared, at, count, form.splits);
    Values elements;
    for (int64_t e = 0; e < count; ++e)
      elements.push_back(b.load(memory, b.add(at, b.index(e))));
    return elements;
  };
  auto read = [&](Value at, int64_t count) {
    Values elements = readOne(at, count);
    if (!sharesStages())
      return elements;
    Values others = readOne(b.add(at, b.index(kRowsOfGroup)), count);
    for (auto [element, other] : llvm::zip(elements, others))
      element = arith::AddFOp::create(b.builder, loc, element, other);
    return elements;
  };
  Value thread = b.sub(b.thread(), b.index(kWarpgroup));
  int64_t share = getShare(form.isTurned ? form.rows : columns);
  // A block that has all registers has some for operands.
  int64_t ahead = getBlocks() == 1 ? 4 : 1;
  Part part{0, rows, share, stride, share, read, ahead};
  if (form.splits == 1)
    return finishPart(b, part, thread, threads);
  Value number = arith::IndexCastUIOp::create(b.builder, loc,
                                              b.builder.getIndexType(), rank);
  thread = b.add(thread, b.mul(number, b.index(threads)));
  finishPart(b, part, thread, threads * form.splits);
}

/// Which tiles of k are the block's.
void HopperContraction::enterSplit(HopperBuilder &b) {
  AffineExpr all = getDepth();
  if (form.splits == 1) {
    firstDepth = b.number(0);
    depth = b.narrow(frame.size(all));
    return;
  }
  rank = b.rankInCluster();
  Value share = b.narrow(frame.size(all.ceilDiv(form.splits)));
  firstDepth = b.mul(rank, share);
  depth = b.max(b.number(0),
                b.min(share, b.sub(b.narrow(frame.size(all)), firstDepth)));
}

AffineExpr HopperContraction::emit() {
  placeStorages();
  auto pointer = LLVM::LLVMPointerType::get(frame.getFunction().getContext());
  // In the order of getMaps.
  for (bool isOfColumns : {false, true}) {
    bool isRight = isOfColumns != form.isTurned;
    for (unsigned i = 0; i < (isRight ? products.size() : 1); ++i)
      (isOfColumns ? mapsC : mapsA).push_back(frame.addArgument(pointer));
  }
  HopperBuilder b(frame.builder(), loc);
  shared = b.getDynamicShared();
  int64_t rows = form.isTurned ? columns : form.rows;
  int64_t width = getShare(form.isTurned ? form.rows : columns);
  Value item = b.div(frame.begin(), b.index(form.splits));
  enterTile(b, item, rows, width);
  enterSplit(b);
  auto equals = [&](Value x, Value y) -> Value {
    return arith::CmpIOp::create(b.builder, loc, arith::CmpIPredicate::eq, x,
                                 y);
  };
  Value isFirst = equals(b.thread(), b.index(0));
  b.ifElse(isFirst, [&] {
    for (int64_t stage = 0; stage < stages; ++stage) {
      b.initBarrier(getBarrier(b, b.number(stage), false), 1);
      b.initBarrier(getBarrier(b, b.number(stage), true), kConsumers);
    }
    b.fenceBarriers();
  });
  b.barrier();
  Value group = b.div(b.thread(), b.index(kWarpgroup));
  b.ifElse(
      equals(group, b.index(0)),
      [&] {
        if (getBlocks() == 1)
          b.setRegisters(false, 40);
        b.ifElse(isFirst, [&] { produce(b); });
      },
      [&] {
        if (getBlocks() == 1)
          b.setRegisters(true, 232);
        consume(b, b.sub(b.narrow(group), b.number(1)));
      });
  return getTiles(rows, width) * form.splits;
}
