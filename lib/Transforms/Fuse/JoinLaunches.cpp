// Puts launches that do not depend on one another into one: the results of each
// stay its own, the device starts work once.

#include "MergeLaunches.h"
#include "Products.h"
#include "dialects/Plan/PlanDialect.h"
#include "tenon/Transforms/Fuse/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Remarks.h"

namespace tenon {
#define GEN_PASS_DEF_JOINLAUNCHESPASS
#include "tenon/Transforms/Fuse/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using kernel::LaunchOp;

/// Launches that one may be made of, so that its code stays small.
static constexpr unsigned kMostMembers = 4;

/// Whether a launch is a list of parallel loops.
static bool isElementwise(LaunchOp launch) {
  return llvm::all_of(
      launch.getBody().front().without_terminator(), [](Operation &op) {
        auto generic = dyn_cast<linalg::GenericOp>(op);
        return generic ? generic.getNumReductionLoops() == 0
                       : isa<linalg::FillOp, arith::ConstantOp,
                             kernel::SymbolOp, tensor::EmptyOp, tensor::DimOp,
                             tensor::InsertSliceOp, tensor::ExtractSliceOp>(op);
      });
}

/// Whether an operation costs nothing and may stand earlier.
static bool isMovable(Operation *op) {
  return isa<kernel::WeightOp, kernel::ViewOp, kernel::HostTensorOp>(op);
}

namespace {
/// Launches to be joined, where the first of them stands.
class Group {
public:
  explicit Group(LaunchOp first) { members.push_back(first); }

  /// Whether `launch`, which stands behind all members, may stand at their
  /// place.
  bool takes(LaunchOp launch) const;
  /// Moves the launch there, behind those checks that came before it.
  void add(LaunchOp launch, ArrayRef<plan::CheckOp> checks);
  /// The launch of all members, in their place.
  LaunchOp join();

  SmallVector<LaunchOp> members;
  /// Whether another launch stands behind the members.
  bool isInterrupted = false;

private:
  bool isKnownBefore(Value value) const;
  void moveBefore(Value value);
  void addInputs(LaunchOp launch, const MergedSymbols &symbols);

  SmallVector<Value> inputs;
  SmallVector<AffineMap> dims;
  SmallVector<int64_t> inPlace;
  /// Of each member the numbers of its inputs among all.
  SmallVector<SmallVector<unsigned>> places;
};
} // namespace

/// Whether the value is there when the first member runs, or what makes it can
/// be moved there.
bool Group::isKnownBefore(Value value) const {
  LaunchOp first = members[0];
  Operation *from = value.getDefiningOp();
  if (!from || from->getBlock() != first->getBlock() ||
      from->isBeforeInBlock(first))
    return true;
  return isMovable(from) &&
         llvm::all_of(from->getOperands(),
                      [&](Value operand) { return isKnownBefore(operand); });
}

bool Group::takes(LaunchOp launch) const {
  auto product = RowProduct::find(members[0]), other = RowProduct::find(launch);
  bool isAlike = product && other
                     ? product->hasSameRows(*other)
                     : !isInterrupted && isElementwise(members[0]) &&
                           isElementwise(launch);
  return isAlike && members.size() < kMostMembers &&
         llvm::all_of(
             launch.getInputs(),
             [&](Value input) { return isKnownBefore(input); });
}

void Group::moveBefore(Value value) {
  Operation *from = value.getDefiningOp();
  LaunchOp first = members[0];
  if (!from || from->getBlock() != first->getBlock() ||
      from->isBeforeInBlock(first))
    return;
  for (Value operand : from->getOperands())
    moveBefore(operand);
  from->moveBefore(first);
}

void Group::add(LaunchOp launch, ArrayRef<plan::CheckOp> checks) {
  for (Value input : launch.getInputs())
    moveBefore(input);
  for (plan::CheckOp check : checks)
    if (!check->isBeforeInBlock(members[0]))
      check->moveBefore(members[0]);
  launch->moveAfter(members.back());
  members.push_back(launch);
}

/// An input that a result takes the place of is nobody else's.
void Group::addInputs(LaunchOp launch, const MergedSymbols &symbols) {
  std::optional<ArrayRef<int64_t>> own = launch.getInPlace();
  SmallVector<unsigned> &place = places.emplace_back();
  for (auto [index, input] : llvm::enumerate(launch.getInputs())) {
    bool isReplaced = own && llvm::is_contained(*own, int64_t(index));
    auto *found = llvm::find(inputs, input);
    bool isShared = found != inputs.end() && !isReplaced &&
                    !llvm::is_contained(inPlace, found - inputs.begin());
    place.push_back(isShared ? found - inputs.begin() : inputs.size());
    if (isShared)
      continue;
    inputs.push_back(input);
    dims.push_back(symbols.remap(launch.getArgumentDims(index), launch));
  }
  for (unsigned result = 0; result < launch.getNumResults(); ++result) {
    int64_t input = own ? (*own)[result] : -1;
    inPlace.push_back(input < 0 ? -1 : int64_t(place[input]));
  }
}

LaunchOp Group::join() {
  OpBuilder builder(members[0]);
  MergedSymbols symbols(members);
  SmallVector<Type> types;
  SmallVector<Location> locations;
  for (LaunchOp member : members) {
    addInputs(member, symbols);
    llvm::append_range(types, member.getResultTypes());
    locations.push_back(member.getLoc());
  }
  for (LaunchOp member : members)
    for (BlockArgument argument : member.getDestinations())
      dims.push_back(symbols.remap(
          member.getArgumentDims(argument.getArgNumber()), member));
  bool isInPlace = llvm::any_of(inPlace, [](int64_t i) { return i >= 0; });
  auto joined = LaunchOp::create(
      builder, builder.getFusedLoc(locations), types, inputs,
      AffineMapAttr::get(symbols.asMap()), builder.getAffineMapArrayAttr(dims),
      isInPlace ? builder.getDenseI64ArrayAttr(inPlace) : DenseI64ArrayAttr());
  Block *block = builder.createBlock(&joined.getBody());
  for (Value input : inputs)
    block->addArgument(input.getType(), joined.getLoc());
  for (Type type : types)
    block->addArgument(type, joined.getLoc());
  SmallVector<Value> yielded;
  for (auto [member, place] : llvm::zip(members, places)) {
    IRMapping mapping;
    for (auto [number, argument] :
         llvm::zip(place, member.getBody().getArguments()))
      mapping.map(argument, block->getArgument(number));
    for (auto [index, argument] : llvm::enumerate(member.getDestinations()))
      mapping.map(argument,
                  block->getArgument(inputs.size() + yielded.size() + index));
    yielded.append(symbols.cloneBody(builder, member, mapping));
  }
  kernel::YieldOp::create(builder, joined.getLoc(), yielded);
  unsigned next = 0;
  for (LaunchOp member : members) {
    member.replaceAllUsesWith(
        joined.getResults().slice(next, member.getNumResults()));
    next += member.getNumResults();
    member.erase();
  }
  return joined;
}

namespace {
/// Finds the launches of a block that can be joined, and joins them.
class BlockJoiner {
public:
  void run(Block &block) {
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (auto launch = dyn_cast<LaunchOp>(op))
        place(launch);
      else if (auto check = dyn_cast<plan::CheckOp>(op))
        checks.push_back(check);
      else if (!isMovable(&op))
        // What gives a symbol its value stays before those who ask for it.
        close();
    }
    close();
  }

private:
  void place(LaunchOp launch) {
    for (Group &group : llvm::reverse(groups))
      if (group.takes(launch))
        return group.add(launch, checks);
    for (Group &group : groups)
      group.isInterrupted = true;
    groups.emplace_back(launch);
  }

  void close() {
    auto options = remark::RemarkOpts::name("joined").category("join-launches");
    for (Group &group : groups) {
      if (group.members.size() < 2) {
        remark::missed(group.members[0].getLoc(), options)
            << "no launch beside it is independent and alike";
        continue;
      }
      auto count = std::to_string(group.members.size());
      LaunchOp joined = group.join();
      joined->setAttr(kernel::kPiecesAttr, UnitAttr::get(joined.getContext()));
      remark::passed(joined.getLoc(), options)
          << "joined " << count << " launches";
    }
    groups.clear();
    checks.clear();
  }

  SmallVector<Group, 0> groups;
  SmallVector<plan::CheckOp> checks; // since groups were closed
};
} // namespace

namespace {
struct JoinLaunches final : tenon::impl::JoinLaunchesPassBase<JoinLaunches> {
  void runOnOperation() override {
    SmallVector<Block *> blocks;
    getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<LaunchOp>(op))
        return WalkResult::skip();
      for (Region &region : op->getRegions())
        for (Block &block : region)
          blocks.push_back(&block);
      return WalkResult::advance();
    });
    for (Block *block : blocks)
      BlockJoiner().run(*block);
  }
};
} // namespace
