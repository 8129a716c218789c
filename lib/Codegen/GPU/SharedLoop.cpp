#include "SharedLoop.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Matchers.h"

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

/// The operations between elements and carried values on one side and those
/// yielded on the other, in order. False if they read memory or anything else
/// that the loop makes.
static bool getChoice(scf::ForOp loop, ArrayRef<Value> elements,
                      ValueRange yielded, SmallVectorImpl<Operation *> &ops) {
  llvm::DenseSet<Value> known(elements.begin(), elements.end());
  for (Value carried : loop.getRegionIterArgs())
    known.insert(carried);
  llvm::DenseSet<Operation *> wanted;
  SmallVector<Value> open(yielded);
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

/// The operations of a round that its elements need, in order.
static SmallVector<Operation *> getMaking(scf::ForOp loop,
                                          ArrayRef<Value> elements) {
  llvm::DenseSet<Operation *> wanted;
  SmallVector<Value> open(elements);
  while (!open.empty()) {
    Operation *op = open.pop_back_val().getDefiningOp();
    if (!op || op->getBlock() != loop.getBody() || !wanted.insert(op).second)
      continue;
    op->walk([&](Operation *nested) {
      open.append(nested->operand_begin(), nested->operand_end());
    });
  }
  SmallVector<Operation *> ops;
  for (Operation &op : *loop.getBody())
    if (wanted.contains(&op))
      ops.push_back(&op);
  return ops;
}

/// Whether an element is made of what earlier rounds left.
static bool dependOnRounds(scf::ForOp loop, ArrayRef<Value> elements) {
  auto isCarried = [&](Value value) {
    return llvm::is_contained(loop.getRegionIterArgs(), value);
  };
  if (llvm::any_of(elements, isCarried))
    return true;
  for (Operation *op : getMaking(loop, elements)) {
    bool found = false;
    op->walk([&](Operation *nested) {
      found |= llvm::any_of(nested->getOperands(), isCarried);
    });
    if (found)
      return true;
  }
  return false;
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
  if (elements.empty() || dependOnRounds(found, elements) ||
      !getChoice(found, elements, found.getYieldedValues(), choice))
    return nullptr;
  std::optional<APInt> rounds = found.getStaticTripCount();
  return rounds && rounds->slt(kFewestRounds) ? nullptr : found;
}

namespace {
/// A choosing loop whose rounds are taken in any order. A thread's state is
/// what it chose, and last of all the number of the round that it chose from,
/// -1 if from none: of two states the one of the earlier round is what the
/// other's element is compared with.
class SharedLoop {
public:
  SharedLoop(ThreadBuilder &b, scf::ForOp loop, unsigned threads);

  /// The results of the whole loop, known to all threads.
  SmallVector<Value> emit();

private:
  using State = SmallVector<Value>;

  bool findPlaces(ArrayRef<Value> all);
  Value select(Value condition, Value x, Value y) {
    return arith::SelectOp::create(b.builder, b.loc, condition, x, y);
  }
  Value number(int64_t value) {
    return arith::ConstantOp::create(b.builder, b.loc,
                                     b.builder.getIntegerAttr(round, value));
  }
  Value cast(Value value, Type type) {
    return arith::IndexCastOp::create(b.builder, b.loc, type, value);
  }
  State start();
  State choose(ArrayRef<Value> state, IRMapping mapping, Value chosenRound);
  bool isWide(memref::LoadOp load);
  void loadWide(memref::LoadOp load, llvm::MutableArrayRef<IRMapping> made);
  /// Chunks of rounds in order, their loads first.
  State take(ArrayRef<Value> rounds, int64_t chunk, State state);
  State takeEach(Value first, Value end, State state);
  State takeChunks(Value first, Value end, int64_t count, State state);
  State takeOwn();
  State join(ArrayRef<Value> x, ArrayRef<Value> y);
  State joinWarp(State own);
  State joinBlock(State own);

  ThreadBuilder &b;
  scf::ForOp loop;
  unsigned threads;
  Type round;                  // an integer
  int64_t width = 4;           // neighbouring rounds, whose loads are one
  SmallVector<int> kept;       // carried values of a state
  SmallVector<int> places;     // carried values that are the loop's counter
  SmallVector<Value> elements; // of those kept
  SmallVector<Operation *> making, choosing;
  Value condition;
};
} // namespace

SharedLoop::SharedLoop(ThreadBuilder &b, scf::ForOp loop, unsigned threads)
    : b(b), loop(loop), threads(threads) {
  std::optional<APInt> rounds = loop.getStaticTripCount();
  bool isShort = rounds && rounds->getActiveBits() < 31;
  round = isShort ? b.builder.getI32Type() : b.builder.getI64Type();
  SmallVector<Value> all = getElements(loop);
  if (!findPlaces(all)) {
    places.clear();
    kept = llvm::to_vector(llvm::seq<int>(all.size()));
    elements = all;
    (void)getChoice(loop, elements, loop.getYieldedValues(), choosing);
  }
  condition = loop.getYieldedValues()[kept[0]]
                  .getDefiningOp<arith::SelectOp>()
                  .getCondition();
  making = getMaking(loop, elements);
  constexpr int64_t bytes = 16;
  width = bytes;
  for (Operation *op : making)
    if (auto load = dyn_cast<memref::LoadOp>(op)) {
      Type type = load.getType();
      int64_t size = type.isIndex() ? 8 : type.getIntOrFloatBitWidth() / 8;
      width = std::min(width, bytes / std::max<int64_t>(size, 1));
    }
}

/// The counter need not be carried: the round says what it was. False if all
/// carried values must be.
bool SharedLoop::findPlaces(ArrayRef<Value> all) {
  SmallVector<Value> yielded;
  for (auto [i, element] : llvm::enumerate(all)) {
    bool isPlace = element == loop.getInductionVar() &&
                   loop.getRegionIterArg(i).hasOneUse();
    (isPlace ? places : kept).push_back(i);
    if (isPlace)
      continue;
    elements.push_back(element);
    yielded.push_back(loop.getYieldedValues()[i]);
  }
  return !kept.empty() && getChoice(loop, elements, yielded, choosing);
}

SmallVector<Value> SharedLoop::start() {
  State state;
  for (int i : kept)
    state.push_back(loop.getInitArgs()[i]);
  state.push_back(number(-1));
  return state;
}

/// The state after a round whose elements are in the mapping.
SmallVector<Value> SharedLoop::choose(ArrayRef<Value> state, IRMapping mapping,
                                      Value chosenRound) {
  for (auto [i, value] : llvm::zip(kept, state))
    mapping.map(loop.getRegionIterArg(i), value);
  for (Operation *op : choosing)
    if (!llvm::all_of(op->getResults(),
                      [&](Value value) { return mapping.contains(value); }))
      b.builder.clone(*op, mapping);
  State next;
  for (int i : kept)
    next.push_back(mapping.lookupOrDefault(loop.getYieldedValues()[i]));
  next.push_back(
      select(mapping.lookupOrDefault(condition), chosenRound, state.back()));
  return next;
}

/// Whether neighbouring rounds load neighbours, and a chunk's are aligned.
bool SharedLoop::isWide(memref::LoadOp load) {
  APInt one;
  MemRefType type = load.getMemRefType();
  if (type.getRank() == 0 ||
      !matchPattern(loop.getStep(), m_ConstantInt(&one)) || !one.isOne() ||
      type.getElementType().isIndex() ||
      load.getIndices().back() != loop.getInductionVar())
    return false;
  auto isInvariant = [&](Value index) {
    return index.getParentRegion() != &loop.getRegion();
  };
  return (type.getRank() == 1 ||
          (!ShapedType::isDynamic(type.getShape().back()) &&
           type.getShape().back() % width == 0)) &&
         llvm::all_of(load.getIndices().drop_back(), isInvariant);
}

/// What a chunk's rounds load, at once.
void SharedLoop::loadWide(memref::LoadOp load,
                          MutableArrayRef<IRMapping> made) {
  auto type = VectorType::get(made.size(), load.getType());
  SmallVector<Value> indices =
      llvm::map_to_vector(load.getIndices(), [&](Value index) {
        return made[0].lookupOrDefault(index);
      });
  int64_t size = load.getType().getIntOrFloatBitWidth() / 8;
  Value whole = vector::LoadOp::create(
      b.builder, b.loc, type, load.getMemRef(), indices,
      /*nontemporal=*/false, llvm::MaybeAlign(made.size() * size));
  for (auto [i, mapping] : llvm::enumerate(made))
    mapping.map(load.getResult(),
                vector::ExtractOp::create(b.builder, b.loc, whole, i));
}

SmallVector<Value> SharedLoop::take(ArrayRef<Value> rounds, int64_t chunk,
                                    State state) {
  SmallVector<IRMapping> made(rounds.size());
  for (auto [number, mapping] : llvm::zip(rounds, made))
    mapping.map(loop.getInductionVar(),
                b.add(loop.getLowerBound(), b.mul(number, loop.getStep())));
  for (unsigned first = 0; first < rounds.size(); first += chunk) {
    auto own = MutableArrayRef(made).slice(first, chunk);
    for (Operation *op : making) {
      auto load = dyn_cast<memref::LoadOp>(op);
      if (chunk > 1 && load && isWide(load)) {
        loadWide(load, own);
        continue;
      }
      for (IRMapping &mapping : own)
        b.builder.clone(*op, mapping);
    }
  }
  for (auto [number, mapping] : llvm::zip(rounds, made))
    state = choose(state, mapping, cast(number, round));
  return state;
}

/// A round at a time, one after the other to the threads.
SmallVector<Value> SharedLoop::takeEach(Value first, Value end, State state) {
  return b.fold(
      b.add(first, b.thread()), end, threads, state,
      [&](Value number, ValueRange so) { return take(number, 1, State(so)); });
}

/// Chunks of `width` rounds to the threads in turn, `count` at a time.
SmallVector<Value> SharedLoop::takeChunks(Value first, Value end, int64_t count,
                                          State state) {
  int64_t all = threads * width;
  Value own = b.mul(b.thread(), b.index(width));
  return b.fold(first, end, count * all, state, [&](Value at, ValueRange so) {
    SmallVector<Value> rounds;
    for (int64_t chunk = 0; chunk < count; ++chunk)
      for (int64_t i = 0; i < width; ++i)
        rounds.push_back(b.add(b.add(at, own), b.index(chunk * all + i)));
    return take(rounds, width, State(so));
  });
}

/// What this thread chose. Chunks begin where the counter is a multiple of
/// their width, so that rows of such a length are loaded by 16 bytes.
SmallVector<Value> SharedLoop::takeOwn() {
  constexpr int64_t together = 4;
  int64_t all = threads * width;
  Value low = loop.getLowerBound(), step = loop.getStep();
  Value span = b.max(b.index(0), b.sub(loop.getUpperBound(), low));
  Value rounds = b.div(b.add(span, b.sub(step, b.index(1))), step);
  Value rest = b.rem(low, b.index(width));
  Value head = b.rem(b.sub(b.index(width), rest), b.index(width));
  head = b.min(rounds, head);
  auto wholes = [&](Value from, int64_t size) {
    Value count = b.div(b.sub(rounds, from), b.index(size));
    return b.add(from, b.mul(count, b.index(size)));
  };
  Value many = wholes(head, together * all), few = wholes(many, all);
  State state = takeEach(b.index(0), head, start());
  state = takeChunks(head, many, together, state);
  state = takeChunks(many, few, 1, state);
  return takeEach(few, rounds, state);
}

SmallVector<Value> SharedLoop::join(ArrayRef<Value> x, ArrayRef<Value> y) {
  auto isBefore = [&](Value a, Value b_) -> Value {
    return arith::CmpIOp::create(b.builder, b.loc, arith::CmpIPredicate::slt, a,
                                 b_);
  };
  Value swaps = isBefore(y.back(), x.back());
  State earlier, later;
  for (auto [a, other] : llvm::zip(x, y)) {
    earlier.push_back(select(swaps, other, a));
    later.push_back(select(swaps, a, other));
  }
  IRMapping mapping;
  for (auto [element, value] : llvm::zip(elements, later))
    mapping.map(element, value);
  State joined = choose(earlier, mapping, later.back());
  // One that chose nothing is what the loop began with: the other has seen it.
  Value isNone = isBefore(later.back(), number(0));
  for (auto [value, old] : llvm::zip(joined, earlier))
    value = select(isNone, old, value);
  return joined;
}

SmallVector<Value> SharedLoop::joinWarp(State own) {
  for (unsigned lanes = 1; lanes < ThreadBuilder::kWarp; lanes *= 2) {
    State other;
    for (Value value : own)
      other.push_back(b.shuffle(value, lanes));
    own = join(own, other);
  }
  return own;
}

SmallVector<Value> SharedLoop::joinBlock(State own) {
  own = joinWarp(own);
  unsigned warps = threads / ThreadBuilder::kWarp;
  if (warps == 1)
    return own;
  Value lane = b.rem(b.thread(), b.index(ThreadBuilder::kWarp));
  Value warp = b.div(b.thread(), b.index(ThreadBuilder::kWarp));
  State memory;
  for (Value value : own) {
    Type type = value.getType();
    bool isBit = type.isInteger(1);
    memory.push_back(
        b.allocateShared(warps, isBit ? b.builder.getI8Type() : type));
  }
  b.ifElse(b.isLess(lane, b.index(1)), [&] {
    for (auto [value, to] : llvm::zip(own, memory)) {
      Value stored = value;
      if (stored.getType().isInteger(1))
        stored = arith::ExtUIOp::create(b.builder, b.loc, b.builder.getI8Type(),
                                        stored);
      b.store(stored, to, warp);
    }
  });
  b.barrier();
  // The last warp's choice joined with itself is what it was.
  Value from = b.min(lane, b.index(warps - 1));
  for (auto [value, at] : llvm::zip(own, memory)) {
    Type type = value.getType();
    value = b.load(at, from);
    if (type.isInteger(1))
      value = arith::TruncIOp::create(b.builder, b.loc, type, value);
  }
  return joinWarp(own);
}

SmallVector<Value> SharedLoop::emit() {
  State joined = joinBlock(takeOwn());
  SmallVector<Value> results(loop.getNumResults());
  for (auto [i, value] : llvm::zip(kept, joined))
    results[i] = value;
  Value isNone = arith::CmpIOp::create(
      b.builder, b.loc, arith::CmpIPredicate::slt, joined.back(), number(0));
  Value place = b.add(
      loop.getLowerBound(),
      b.mul(cast(joined.back(), b.builder.getIndexType()), loop.getStep()));
  for (int i : places)
    results[i] = select(isNone, loop.getInitArgs()[i], place);
  return results;
}

void tenon::shareLoop(ThreadBuilder &b, scf::ForOp loop, unsigned threads) {
  OpBuilder::InsertionGuard guard(b.builder);
  b.builder.setInsertionPoint(loop);
  loop.replaceAllUsesWith(SharedLoop(b, loop, threads).emit());
  loop.erase();
}
