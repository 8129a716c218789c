#include "JoinStages.h"
#include "ContractionStages.h"
#include "ThreadBuilder.h"
#include "tenon/Codegen/Program/KernelFrame.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace tenon;

/// Bytes of shared memory that a row may have.
static constexpr int64_t kMostRowBytes = 32 * 1024;
/// Elements of a weight that blocks ask for ahead.
static constexpr int64_t kMostElements = 8192;

namespace {
class StageJoiner {
public:
  StageJoiner(kernel::FuncOp kernel, ModuleOp module, const GPUTarget &target,
              ArrayRef<StagedKernel> parts, const StagedPrologue *prologue)
      : kernel(kernel), module(module), target(target), parts(parts),
        prologue(prologue),
        none(getAffineConstantExpr(0, kernel.getContext())) {}

  StagedKernel join();

private:
  /// A part's stage, and where its scratch begins.
  struct Member {
    const LoweredStage *stage;
    AffineExpr workspace;
  };
  bool areAlike(const LoweredStage &a, const LoweredStage &b) const {
    return a.threads == b.threads && a.cluster == b.cluster &&
           a.waitsItself == b.waitsItself && makesRow(a) == makesRow(b);
  }
  unsigned getNumArguments() const {
    return kernel::FuncOp(kernel).getBody().getNumArguments();
  }
  AffineExpr getRowsBytes() const;
  bool makesRow(const LoweredStage &stage) const;
  void shareMemory(ArrayRef<Member> members);
  Value getScratch(LoopBuilder &b, KernelFrame &frame, AffineExpr offset);
  void call(LoopBuilder &b, KernelFrame &frame, const Member &member,
            ArrayRef<Value> given, Value block, ValueRange maps);
  SmallVector<Value> getGiven(KernelFrame &frame, Value rows);
  void callPrologue(LoopBuilder &b, KernelFrame &frame,
                    const LoweredStage &stage, Value rows, Value block);
  AffineExpr getMadeByBlocks() const;
  void addPrologue(AffineExpr isMadeByBlocks);
  Value makeRow(ThreadBuilder &b, KernelFrame &frame, ArrayRef<Member> members);
  void prefetchWeights(ThreadBuilder &b, func::FuncOp body);
  void makeRowWhereItWaits(const Member &member);
  void addStage(ArrayRef<Member> members);
  LoweredStage describe(ArrayRef<Member> members, LoweredKernel lowered);

  kernel::FuncOp kernel;
  ModuleOp module;
  const GPUTarget &target;
  ArrayRef<StagedKernel> parts;
  const StagedPrologue *prologue;
  AffineExpr none;
  StagedKernel joined;
};
} // namespace

/// The rows' bytes are the first of the workspace.
AffineExpr StageJoiner::getRowsBytes() const {
  if (!prologue)
    return none;
  AffineExpr bytes = getAffineConstantExpr(
      prologue->element.getIntOrFloatBitWidth() / 8, none.getContext());
  for (AffineExpr dim : prologue->dims.getResults())
    bytes = bytes * dim;
  return bytes.ceilDiv(64) * 64;
}

/// Whether a stage is for one row, which each of its blocks can make.
bool StageJoiner::makesRow(const LoweredStage &stage) const {
  if (!prologue || !stage.rows || prologue->staged.stages.size() != 1 ||
      prologue->staged.workspace != 0)
    return false;
  const LoweredStage &making = prologue->staged.stages[0];
  auto last = dyn_cast<AffineConstantExpr>(prologue->dims.getResults().back());
  int64_t width = prologue->element.getIntOrFloatBitWidth() / 8;
  return making.threads == stage.threads && making.grid == stage.rows && last &&
         last.getValue() * width <= kMostRowBytes;
}

/// A block runs one of the functions, so all use the same shared memory.
void StageJoiner::shareMemory(ArrayRef<Member> members) {
  llvm::DenseMap<Type, SmallVector<FlatSymbolRefAttr>> pool;
  for (const Member &member : members) {
    llvm::DenseMap<Type, unsigned> used;
    llvm::DenseMap<StringAttr, FlatSymbolRefAttr> replaced;
    func::FuncOp body = member.stage->body;
    body.walk([&](memref::GetGlobalOp op) {
      auto [known, isNew] = replaced.try_emplace(op.getNameAttr().getAttr());
      if (isNew) {
        SmallVector<FlatSymbolRefAttr> &all = pool[op.getType()];
        unsigned number = used[op.getType()]++;
        if (number == all.size())
          all.push_back(op.getNameAttr());
        known->second = all[number];
      }
      op.setNameAttr(known->second);
    });
  }
}

/// The workspace from this byte on.
Value StageJoiner::getScratch(LoopBuilder &b, KernelFrame &frame,
                              AffineExpr offset) {
  Value scratch = frame.getFunction().getArgument(
      getNumArguments() + kernel.getNumKernelSymbols() + 2);
  if (offset == 0)
    return scratch;
  return memref::ViewOp::create(b.builder, b.loc,
                                cast<MemRefType>(scratch.getType()), scratch,
                                frame.size(simplify(offset)), ValueRange());
}

/// The arguments of a part's function up to the symbols.
SmallVector<Value> StageJoiner::getGiven(KernelFrame &frame, Value rows) {
  auto all = frame.getFunction().getArguments();
  SmallVector<Value> given(
      all.take_front(getNumArguments() + kernel.getNumKernelSymbols()));
  if (rows)
    given.insert(given.begin() + kernel.getNumInputs(), rows);
  return given;
}

/// Runs the member's block number `block`.
void StageJoiner::call(LoopBuilder &b, KernelFrame &frame, const Member &member,
                       ArrayRef<Value> given, Value block, ValueRange maps) {
  SmallVector<Value> arguments(given);
  arguments.append({block, b.add(block, b.index(1)),
                    getScratch(b, frame, member.workspace)});
  arguments.append(maps.begin(), maps.end());
  func::FuncOp body = member.stage->body;
  func::CallOp::create(b.builder, b.loc, body, arguments);
}

void StageJoiner::callPrologue(LoopBuilder &b, KernelFrame &frame,
                               const LoweredStage &stage, Value rows,
                               Value block) {
  auto all = frame.getFunction().getArguments();
  SmallVector<Value> arguments(all.take_front(kernel.getNumInputs()));
  arguments.push_back(rows);
  llvm::append_range(
      arguments, all.slice(getNumArguments(), kernel.getNumKernelSymbols()));
  arguments.append(
      {block, b.add(block, b.index(1)), getScratch(b, frame, getRowsBytes())});
  func::FuncOp body = stage.body;
  func::CallOp::create(b.builder, b.loc, body, arguments);
}

/// 1 for the sizes at which the parts' blocks make the row, else 0.
AffineExpr StageJoiner::getMadeByBlocks() const {
  AffineExpr runs = parts[0].stages[0].runs;
  bool areMade = llvm::all_of(parts, [&](const StagedKernel &part) {
    const LoweredStage &first = part.stages[0];
    return makesRow(first) && first.runs == runs;
  });
  return areMade ? runs : none;
}

/// The prologue's own stages, for more rows than blocks make for themselves.
void StageJoiner::addPrologue(AffineExpr isMadeByBlocks) {
  for (const LoweredStage &stage : prologue->staged.stages) {
    AffineExpr grid = simplify(stage.grid * (1 - isMadeByBlocks));
    if (grid == 0)
      continue;
    KernelFrame frame(kernel, module,
                      getStageName(kernel, joined.stages.size()));
    LoopBuilder b(frame.builder(), frame.loc());
    callPrologue(b, frame, stage, getScratch(b, frame, none), frame.begin());
    LoweredStage own = stage;
    LoweredKernel lowered = frame.finish(grid);
    own.body = lowered.body;
    own.grid = lowered.grid;
    own.blocks = own.runs = own.rows = AffineExpr();
    joined.stages.push_back(own);
  }
}

/// Memory for the only row, which all members make where they wait for the
/// launch before, having read weights; or at once, if they do not.
Value StageJoiner::makeRow(ThreadBuilder &b, KernelFrame &frame,
                           ArrayRef<Member> members) {
  auto last = cast<AffineConstantExpr>(prologue->dims.getResults().back());
  int64_t width = prologue->element.getIntOrFloatBitWidth() / 8;
  Value memory =
      b.allocateShared(last.getValue() * width, b.builder.getI8Type());
  auto from = cast<MemRefType>(memory.getType());
  auto bytes = MemRefType::get({1}, b.builder.getI8Type());
  auto shared =
      MemRefType::get({1}, b.builder.getI8Type(), MemRefLayoutAttrInterface(),
                      from.getMemorySpace());
  Value row = memref::ViewOp::create(b.builder, b.loc, shared, memory,
                                     b.index(0), ValueRange());
  row = memref::MemorySpaceCastOp::create(b.builder, b.loc, bytes, row);
  if (members[0].stage->waitsItself) {
    for (const Member &member : members)
      makeRowWhereItWaits(member);
    return row;
  }
  callPrologue(b, frame, prologue->staged.stages[0], row, b.index(0));
  b.barrier();
  return row;
}

/// Weights that the row is made with, such as a norm's gain.
void StageJoiner::prefetchWeights(ThreadBuilder &b, func::FuncOp body) {
  func::FuncOp making = prologue->staged.stages[0].body;
  for (unsigned input = 0; input < kernel.getNumInputs(); ++input) {
    AffineExpr bytes = none + 1;
    for (AffineExpr dim : kernel.getArgumentDims(input).getResults())
      bytes = bytes * dim;
    auto type =
        cast<RankedTensorType>(kernel.getBody().getArgument(input).getType());
    auto known = dyn_cast<AffineConstantExpr>(bytes);
    if (!kernel.isWeight(input) || making.getArgument(input).use_empty() ||
        !known || known.getValue() > kMostElements)
      continue;
    b.prefetch(body.getArgument(input),
               known.getValue() * type.getElementTypeBitWidth() / 8);
  }
}

/// The member's function has the row among its arguments, as its last input.
void StageJoiner::makeRowWhereItWaits(const Member &member) {
  func::FuncOp body = member.stage->body;
  Operation *wait = nullptr;
  body.walk([&](Operation *op) {
    if (ThreadBuilder::isWait(op))
      wait = op;
  });
  assert(wait && "a body that waits itself has a wait");
  OpBuilder builder(wait->getContext());
  ThreadBuilder b(builder, body.getLoc());
  auto all = body.getArguments();
  builder.setInsertionPoint(wait);
  prefetchWeights(b, body);
  builder.setInsertionPointAfter(wait);
  unsigned numBuffers = getNumArguments() + 1;
  SmallVector<Value> arguments(all.take_front(kernel.getNumInputs() + 1));
  llvm::append_range(arguments,
                     all.slice(numBuffers, kernel.getNumKernelSymbols()));
  Value scratch = all[numBuffers + kernel.getNumKernelSymbols() + 2];
  arguments.append({b.index(0), b.index(1), scratch});
  func::FuncOp making = prologue->staged.stages[0].body;
  func::CallOp::create(b.builder, b.loc, making, arguments);
  b.barrier();
}

LoweredStage StageJoiner::describe(ArrayRef<Member> members,
                                   LoweredKernel lowered) {
  const LoweredStage &first = *members[0].stage;
  LoweredStage stage{lowered.body, lowered.grid, first.threads};
  stage.cluster = first.cluster;
  stage.residents = first.residents;
  stage.waitsItself = first.waitsItself;
  unsigned rows = kernel.getNumInputs();
  for (const Member &member : members) {
    stage.shared = std::max(stage.shared, member.stage->shared);
    stage.residents = std::min(stage.residents, member.stage->residents);
    for (TensorMapUse map : member.stage->maps) {
      // The rows are no argument of the kernel, but the workspace behind all.
      if (prologue && map.buffer == rows)
        map.buffer = getNumArguments();
      else if (prologue && map.buffer > rows)
        --map.buffer;
      stage.maps.push_back(std::move(map));
    }
  }
  auto isForOneRow = [](const Member &member) {
    return bool(member.stage->rows);
  };
  if (llvm::all_of(members, isForOneRow)) {
    AffineExpr blocks = none;
    for (const Member &member : members)
      blocks = blocks + member.stage->blocks;
    stage.residents = getResidentsForOneRow(blocks, target);
  }
  // Else ptxas would rather spill than have fewer blocks side by side.
  stage.residents = std::max(stage.residents, 1u);
  return stage;
}

void StageJoiner::addStage(ArrayRef<Member> members) {
  shareMemory(members);
  KernelFrame frame(kernel, module, getStageName(kernel, joined.stages.size()));
  auto pointer = LLVM::LLVMPointerType::get(kernel.getContext());
  // Where all are the form for the same sizes, what runs needs no checking.
  bool isOneForm = llvm::all_of(members, [&](const Member &member) {
    return member.stage->runs && member.stage->runs == members[0].stage->runs;
  });
  ThreadBuilder b(frame.builder(), frame.loc());
  Value rows;
  if (prologue)
    rows = makesRow(*members[0].stage) ? makeRow(b, frame, members)
                                       : getScratch(b, frame, none);
  SmallVector<Value> given = getGiven(frame, rows);
  Value item = frame.begin();
  AffineExpr first = none, grid = none;
  OpBuilder::InsertionGuard guard(frame.builder());
  for (const Member &member : members) {
    SmallVector<Value> maps;
    for (unsigned i = 0; i < member.stage->maps.size(); ++i)
      maps.push_back(frame.addArgument(pointer));
    Value own = b.sub(item, frame.size(first));
    grid = grid + member.stage->grid;
    first = first + (isOneForm ? member.stage->blocks : member.stage->grid);
    if (&member == &members.back()) {
      call(b, frame, member, given, own, maps);
      break;
    }
    auto choice = scf::IfOp::create(b.builder, b.loc,
                                    b.isLess(item, frame.size(first)), true);
    frame.builder().setInsertionPointToStart(&choice.getThenRegion().front());
    call(b, frame, member, given, own, maps);
    frame.builder().setInsertionPointToStart(&choice.getElseRegion().front());
  }
  joined.stages.push_back(describe(members, frame.finish(grid)));
}

StagedKernel StageJoiner::join() {
  joined.workspace = getRowsBytes();
  if (prologue)
    joined.workspace = joined.workspace + prologue->staged.workspace;
  SmallVector<AffineExpr> offsets;
  size_t most = 0;
  for (const StagedKernel &part : parts) {
    offsets.push_back(joined.workspace);
    joined.workspace = joined.workspace + part.workspace;
    most = std::max(most, part.stages.size());
  }
  if (prologue)
    addPrologue(getMadeByBlocks());
  for (size_t number = 0; number < most; ++number) {
    SmallVector<SmallVector<Member>> groups;
    for (auto [part, offset] : llvm::zip(parts, offsets)) {
      if (number >= part.stages.size())
        continue;
      const LoweredStage &stage = part.stages[number];
      auto *group = llvm::find_if(groups, [&](ArrayRef<Member> members) {
        return areAlike(*members[0].stage, stage);
      });
      if (group == groups.end())
        group = &groups.emplace_back();
      group->push_back({&stage, offset});
    }
    for (ArrayRef<Member> members : groups)
      addStage(members);
  }
  joined.workspace = simplify(joined.workspace);
  return joined;
}

StagedKernel tenon::joinStages(kernel::FuncOp kernel, ModuleOp module,
                               const GPUTarget &target,
                               ArrayRef<StagedKernel> parts,
                               const StagedPrologue *prologue) {
  return StageJoiner(kernel, module, target, parts, prologue).join();
}
