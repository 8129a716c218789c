#include "SharedLoop.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace tenon;

/// Fewer rounds are one thread's.
static constexpr int64_t kFewestRounds = 64;

/// The element's value for each carried value; empty if some is not chosen, or
/// not by the same condition.
static SmallVector<Value> getElements(scf::ForOp loop) {
  SmallVector<Value> elements;
  Value condition;
  for (auto [carried, next] :
       llvm::zip(loop.getRegionIterArgs(), loop.getYieldedValues())) {
    auto choice = next.getDefiningOp<arith::SelectOp>();
    if (!choice || choice->getBlock() != loop.getBody() ||
        choice.getFalseValue() != carried ||
        (condition && choice.getCondition() != condition))
      return {};
    condition = choice.getCondition();
    elements.push_back(choice.getTrueValue());
  }
  return elements;
}

/// The condition under which a round takes its element.
static Value getCondition(scf::ForOp loop) {
  return loop.getYieldedValues()[0]
      .getDefiningOp<arith::SelectOp>()
      .getCondition();
}

/// The operations between elements and carried values on one side and what is
/// yielded on the other, in order. False if they read memory or anything else
/// that the loop makes.
static bool getChoice(scf::ForOp loop, ArrayRef<Value> elements,
                      SmallVectorImpl<Operation *> &ops) {
  llvm::DenseSet<Value> known(elements.begin(), elements.end());
  for (Value carried : loop.getRegionIterArgs())
    known.insert(carried);
  llvm::DenseSet<Operation *> wanted;
  SmallVector<Value> open(loop.getYieldedValues());
  while (!open.empty()) {
    Value value = open.pop_back_val();
    if (known.contains(value) || value.getParentRegion() != &loop.getRegion())
      continue;
    Operation *op = value.getDefiningOp();
    if (!op || op->getNumRegions() != 0 || !isPure(op) ||
        llvm::any_of(op->getOperandTypes(), llvm::IsaPred<ShapedType>))
      return false;
    if (wanted.insert(op).second)
      open.append(op->operand_begin(), op->operand_end());
  }
  for (Operation &op : loop.getBody()->without_terminator())
    if (wanted.contains(&op))
      ops.push_back(&op);
  return true;
}

scf::ForOp tenon::findChoosingLoop(const Step &step) {
  if (!step.block || step.isReduction())
    return nullptr;
  scf::ForOp found;
  for (Operation &op : step.block->without_terminator()) {
    if (op.getNumRegions() == 0)
      continue;
    if (found || !isa<scf::ForOp>(op))
      return nullptr;
    found = cast<scf::ForOp>(op);
  }
  if (!found || found.getInitArgs().empty())
    return nullptr;
  SmallVector<Value> elements = getElements(found);
  SmallVector<Operation *> choice;
  if (elements.empty() || !getChoice(found, elements, choice))
    return nullptr;
  std::optional<APInt> rounds = found.getStaticTripCount();
  return rounds && rounds->slt(kFewestRounds) ? nullptr : found;
}

namespace {
/// Joins two choices, of which the first is of earlier rounds. The last value
/// of a choice says whether it took any element: one that did not is what the
/// loop began with, which the earlier rounds have seen.
class Joiner {
public:
  /// `counted`: the loop with that value carried behind those of `loop`.
  Joiner(ThreadBuilder &b, scf::ForOp counted, unsigned numCarried)
      : b(b), loop(counted), numCarried(numCarried) {
    for (Value next : counted.getYieldedValues().take_front(numCarried))
      elements.push_back(next.getDefiningOp<arith::SelectOp>().getTrueValue());
    (void)getChoice(counted, elements, ops);
  }
  using Values = SmallVector<Value>;

  Values join(ArrayRef<Value> earlier, ArrayRef<Value> later) {
    IRMapping mapping;
    mapping.map(loop.getRegionIterArgs(), earlier);
    mapping.map(elements, later.take_front(numCarried));
    for (Operation *op : ops)
      b.builder.clone(*op, mapping);
    Values joined;
    for (unsigned i = 0; i < numCarried; ++i) {
      Value chosen = mapping.lookupOrDefault(loop.getYieldedValues()[i]);
      joined.push_back(select(later.back(), chosen, earlier[i]));
    }
    joined.push_back(
        arith::OrIOp::create(b.builder, b.loc, earlier.back(), later.back()));
    return joined;
  }

  /// Neighbours first, so that each choice is of rounds that follow each other.
  Values joinWarp(Values own) {
    Value lane = b.rem(b.thread(), b.index(ThreadBuilder::kWarp));
    for (unsigned lanes = 1; lanes < ThreadBuilder::kWarp; lanes *= 2) {
      Value place = b.rem(b.div(lane, b.index(lanes)), b.index(2));
      Value isLater = b.isLess(b.index(0), place);
      Values earlier, later;
      for (Value value : own) {
        Value other = b.shuffle(value, lanes);
        earlier.push_back(select(isLater, other, value));
        later.push_back(select(isLater, value, other));
      }
      own = join(earlier, later);
    }
    return own;
  }

  Values joinBlock(Values own, unsigned threads) {
    own = joinWarp(own);
    unsigned warps = threads / ThreadBuilder::kWarp;
    Value lane = b.rem(b.thread(), b.index(ThreadBuilder::kWarp));
    Value warp = b.div(b.thread(), b.index(ThreadBuilder::kWarp));
    Values memory;
    own.back() = arith::ExtUIOp::create(b.builder, b.loc, b.builder.getI8Type(),
                                        own.back());
    for (Value value : own)
      memory.push_back(b.allocateShared(warps, value.getType()));
    b.ifElse(b.isLess(lane, b.index(1)), [&] {
      for (auto [value, to] : llvm::zip(own, memory))
        b.store(value, to, warp);
    });
    b.barrier();
    Values joined;
    for (unsigned number = 0; number < warps; ++number) {
      Values next;
      for (Value from : memory)
        next.push_back(b.load(from, b.index(number)));
      next.back() = arith::TruncIOp::create(b.builder, b.loc,
                                            b.builder.getI1Type(), next.back());
      joined = number == 0 ? next : join(joined, next);
    }
    return joined;
  }

private:
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b.builder, b.loc, condition, x, y);
  }

  ThreadBuilder &b;
  scf::ForOp loop;
  unsigned numCarried;
  Values elements;
  SmallVector<Operation *> ops;
};
} // namespace

/// The loop with one more carried value: whether a round took its element.
static scf::ForOp countChoices(ThreadBuilder &b, scf::ForOp loop) {
  IRRewriter rewriter(b.builder.getContext());
  rewriter.setInsertionPoint(loop);
  Value condition = getCondition(loop);
  Value no =
      arith::ConstantOp::create(rewriter, b.loc, rewriter.getBoolAttr(false));
  auto yields = [&](OpBuilder &inside, Location loc,
                    ArrayRef<BlockArgument> carried) {
    Value any = arith::OrIOp::create(inside, loc, carried[0], condition);
    return SmallVector<Value>{any};
  };
  auto counted = loop.replaceWithAdditionalYields(rewriter, no, false, yields);
  return cast<scf::ForOp>(counted->getOperation());
}

void tenon::shareLoop(ThreadBuilder &b, scf::ForOp loop, unsigned threads) {
  OpBuilder::InsertionGuard guard(b.builder);
  unsigned numCarried = loop.getNumResults();
  loop = countChoices(b, loop);
  b.builder.setInsertionPoint(loop);
  Value low = loop.getLowerBound(), step = loop.getStep();
  Value span = b.max(b.index(0), b.sub(loop.getUpperBound(), low));
  Value rounds = b.div(b.add(span, b.sub(step, b.index(1))), step);
  Value part = b.ceilDiv(rounds, threads);
  Value first = b.min(rounds, b.mul(b.thread(), part));
  Value last = b.min(rounds, b.add(first, part));
  loop.setLowerBound(b.add(low, b.mul(first, step)));
  loop.setUpperBound(b.add(low, b.mul(last, step)));
  b.builder.setInsertionPointAfter(loop);
  Operation *next = loop->getNextNode();
  SmallVector<Value> joined =
      Joiner(b, loop, numCarried)
          .joinBlock(SmallVector<Value>(loop.getResults()), threads);
  for (auto [result, value] : llvm::zip(loop.getResults(), joined))
    result.replaceUsesWithIf(value, [&](OpOperand &use) {
      Operation *user =
          loop->getBlock()->findAncestorOpInBlock(*use.getOwner());
      return user && (user == next || next->isBeforeInBlock(user));
    });
}
