#include "BlockLoops.h"
#include "BlockRows.h"
#include "ThreadBuilder.h"
#include "tenon/Codegen/Program/LowerByBufferization.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace tenon;

static constexpr int64_t kMostThreads = 1024;
/// Where there are as many blocks as it takes.
static constexpr int64_t kShareOfMany = 256;

static bool holdsParallel(Operation *op) {
  return op->walk([](scf::ParallelOp) { return WalkResult::interrupt(); })
      .wasInterrupted();
}

static bool writes(Operation *op) {
  return op
      ->walk([](Operation *inner) {
        return isa<memref::StoreOp>(inner) ? WalkResult::interrupt()
                                           : WalkResult::advance();
      })
      .wasInterrupted();
}

/// The only load and the only store of an element that a loop reads, changes
/// and writes in each round; its memory has no other use in the loop.
static std::pair<memref::LoadOp, memref::StoreOp> findSum(scf::ForOp loop) {
  auto store = dyn_cast_or_null<memref::StoreOp>(
      loop.getBody()->getTerminator()->getPrevNode());
  auto isOutside = [&](Value value) {
    return loop.isDefinedOutsideOfLoop(value);
  };
  if (!store || !loop.getInitArgs().empty() ||
      !llvm::all_of(store.getIndices(), isOutside))
    return {};
  memref::LoadOp load;
  for (Operation *user : store.getMemRef().getUsers()) {
    if (user == store || !loop->isAncestor(user))
      continue;
    auto found = dyn_cast<memref::LoadOp>(user);
    if (load || !found || found->getBlock() != loop.getBody() ||
        found.getIndices() != store.getIndices())
      return {};
    load = found;
  }
  return {load, store};
}

/// for { m[i] = f(m[i]) } -> m[i] = for (x = m[i]) { f(x) }
static void keepSum(scf::ForOp loop) {
  auto [load, store] = findSum(loop);
  if (!load)
    return;
  IRRewriter rewriter(loop.getContext());
  rewriter.setInsertionPoint(loop);
  Value start = rewriter.clone(*load)->getResult(0);
  Value next = store.getValueToStore();
  auto yields = [&](OpBuilder &, Location, ArrayRef<BlockArgument>) {
    return SmallVector<Value>{next};
  };
  auto summed = cast<scf::ForOp>(
      loop.replaceWithAdditionalYields(rewriter, start, false, yields)
          ->getOperation());
  rewriter.replaceOp(load, summed.getRegionIterArgs().back());
  store->moveAfter(summed);
  store.getValueMutable().assign(summed.getResults().back());
}

namespace {
class BlockLoops {
public:
  explicit BlockLoops(KernelFrame &frame)
      : frame(frame), function(frame.getFunction()),
        builder(function.getContext()), b(builder, function.getLoc()) {}

  /// How many threads are of use; 1 without a parallel loop, or if one thread
  /// would have to tell the others of memory.
  unsigned chooseThreads();
  /// The number of blocks.
  AffineExpr share();

private:
  AffineExpr countBlocks();
  void visit(Block &block);
  void shareLoop(scf::ParallelOp loop);
  void shareOnlyLoop();
  void leaveToOne(Operation *op);
  void dropBarriers(Block &block);

  KernelFrame &frame;
  func::FuncOp function;
  OpBuilder builder;
  ThreadBuilder b;
  unsigned threads = 1, rows = 0;
  Value thread;
  scf::ParallelOp only; // where all blocks' threads share the rounds of one
};
} // namespace

unsigned BlockLoops::chooseThreads() {
  bool tellsMemory = false;
  function.walk([&](Operation *op) {
    tellsMemory |=
        writes(op) && !holdsParallel(op) &&
        llvm::any_of(op->getResultTypes(), llvm::IsaPred<MemRefType>);
  });
  if (tellsMemory)
    return threads;
  only = findOnlyLoop(function);
  if (only && !countRounds(frame, only))
    only = nullptr;
  function.walk<WalkOrder::PreOrder>([&](scf::ParallelOp loop) {
    int64_t size = 1;
    for (Value bound : loop.getUpperBound()) {
      std::optional<int64_t> known = getConstantIntValue(bound);
      size = known && size < kMostThreads ? size * *known : kMostThreads;
    }
    size = std::clamp<int64_t>(llvm::PowerOf2Ceil(size), ThreadBuilder::kWarp,
                               only ? kShareOfMany : kMostThreads);
    threads = std::max<unsigned>(threads, size);
    return WalkResult::skip();
  });
  return threads;
}

/// A round for each thread of all blocks.
void BlockLoops::shareOnlyLoop() {
  builder.setInsertionPoint(only);
  ValueRange bounds = only.getUpperBound();
  Value item = b.add(b.mul(frame.begin(), b.index(threads)), thread);
  Value total = b.index(1);
  for (Value bound : bounds)
    total = b.mul(total, bound);
  b.ifElse(b.isLess(item, total), [&] {
    IRMapping mapping;
    for (unsigned dim = bounds.size(); dim-- > 0;)
      mapping.map(only.getInductionVars()[dim], b.take(item, bounds[dim]));
    for (Operation &op : only.getBody()->without_terminator())
      builder.clone(op, mapping);
  });
  only.erase();
}

/// Neighbouring threads take neighbours along the last dimension.
void BlockLoops::shareLoop(scf::ParallelOp loop) {
  builder.setInsertionPoint(loop);
  b.barrier();
  IRMapping known;
  Value block = frame.begin(), total = b.index(1);
  for (unsigned row = rows; row-- > 0;)
    known.map(loop.getInductionVars()[row],
              b.take(block, loop.getUpperBound()[row]));
  SmallVector<Value> places(loop.getInductionVars());
  ValueRange bounds = loop.getUpperBound();
  for (Value bound : bounds.drop_front(rows))
    total = b.mul(total, bound);
  b.forEach(thread, total, threads, [&](Value item) {
    IRMapping mapping = known;
    for (unsigned dim = places.size(); dim-- > rows;)
      mapping.map(places[dim], b.take(item, bounds[dim]));
    for (Operation &op : loop.getBody()->without_terminator())
      builder.clone(op, mapping);
  });
  b.barrier();
  loop.erase();
}

/// One thread does it; the others get its results through shared memory.
void BlockLoops::leaveToOne(Operation *op) {
  builder.setInsertionPoint(op);
  b.barrier();
  SmallVector<Value> memory;
  for (Type type : op->getResultTypes())
    memory.push_back(b.allocateShared(
        1, type.isInteger(1) ? Type(builder.getI8Type()) : type));
  b.ifElse(b.isLess(thread, b.index(1)), [&] {
    Operation *copy = builder.clone(*op);
    for (auto [value, to] : llvm::zip(copy->getResults(), memory)) {
      Value stored = value;
      if (value.getType().isInteger(1))
        stored =
            arith::ExtUIOp::create(builder, b.loc, builder.getI8Type(), value);
      b.store(stored, to, b.index(0));
    }
  });
  b.barrier();
  for (auto [result, from] : llvm::zip(op->getResults(), memory)) {
    Value value = b.load(from, b.index(0));
    if (result.getType().isInteger(1))
      value =
          arith::TruncIOp::create(builder, b.loc, builder.getI1Type(), value);
    result.replaceAllUsesWith(value);
  }
  op->erase();
}

void BlockLoops::visit(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block.without_terminator())) {
    if (auto loop = dyn_cast<scf::ParallelOp>(op))
      shareLoop(loop);
    else if (op.getNumRegions() > 0 && holdsParallel(&op))
      for (Region &region : op.getRegions())
        for (Block &inner : region)
          visit(inner);
    else if (writes(&op))
      leaveToOne(&op);
  }
  dropBarriers(block);
}

/// Between two barriers that nothing reads or writes between, one is enough.
void BlockLoops::dropBarriers(Block &block) {
  bool isWaiting = false;
  for (Operation &op : llvm::make_early_inc_range(block)) {
    if (!isa<NVVM::Barrier0Op>(op)) {
      isWaiting &= op.getNumRegions() == 0 && isMemoryEffectFree(&op);
      continue;
    }
    if (isWaiting)
      op.erase();
    isWaiting = true;
  }
}

AffineExpr BlockLoops::countBlocks() {
  AffineExpr blocks = getAffineConstantExpr(1, function.getContext());
  if (only)
    return countRounds(frame, only).ceilDiv(threads);
  rows = countRows(function);
  scf::ParallelOp loop;
  function.walk([&](scf::ParallelOp found) { loop = found; });
  for (unsigned row = 0; row < rows; ++row) {
    AffineExpr extent = frame.getExpr(loop.getUpperBound()[row]);
    if (!extent) {
      rows = row;
      break;
    }
    blocks = blocks * extent;
  }
  return blocks;
}

AffineExpr BlockLoops::share() {
  AffineExpr blocks = countBlocks();
  SmallVector<scf::ForOp> loops;
  function.walk([&](scf::ParallelOp loop) {
    loop.getBody()->walk([&](scf::ForOp inner) { loops.push_back(inner); });
  });
  llvm::for_each(llvm::SetVector<scf::ForOp>(loops.begin(), loops.end()),
                 keepSum);
  Block &body = function.getBody().front();
  builder.setInsertionPointToStart(&body);
  thread = b.thread();
  if (only)
    shareOnlyLoop();
  else
    visit(body);
  return blocks;
}

FailureOr<StagedKernel> tenon::lowerToBlocks(kernel::FuncOp kernel,
                                             ModuleOp module) {
  unsigned threads = 1;
  auto divide = [&](KernelFrame &frame) {
    BlockLoops loops(frame);
    threads = loops.chooseThreads();
    return threads > 1 ? loops.share()
                       : getAffineConstantExpr(1, kernel.getContext());
  };
  FailureOr<LoweredKernel> lowered =
      lowerByBufferization(kernel, module, divide, /*takesAll=*/true);
  if (failed(lowered))
    return failure();
  StagedKernel staged;
  staged.stages.push_back({lowered->body, lowered->grid, threads});
  // Else ptxas would rather spill than have fewer blocks side by side.
  staged.stages.back().residents = 1;
  staged.workspace = lowered->workspace;
  return staged;
}
