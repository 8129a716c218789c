// Chooses the form that a kernel is lowered by.

#include "tenon/Codegen/CPU/LowerKernel.h"
#include "CPUFrame.h"
#include "ContractionBlocks.h"
#include "EmitAttention.h"
#include "EmitBlockProduct.h"
#include "RowSchedule.h"
#include "tenon/Codegen/Program/KernelParts.h"
#include "tenon/Codegen/Program/LoopBuilder.h"
#include "tenon/Codegen/Program/LowerByBufferization.h"
#include "tenon/Codegen/Program/WholeKernel.h"

#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace tenon;

/// An item is a round of the loop that a kernel consists of, if it is one whose
/// rounds may run in any order; else there is one.
static AffineExpr divideLoop(KernelFrame &frame) {
  func::FuncOp function = frame.getFunction();
  LoopBuilder b(frame.builder(), frame.loc());
  scf::ParallelOp only = findOnlyLoop(function);
  if (AffineExpr rounds = only ? countRounds(frame, only) : AffineExpr()) {
    b.builder.setInsertionPoint(only);
    b.forEach(frame.begin(), frame.end(), 1, [&](Value item) {
      IRMapping mapping;
      ValueRange bounds = only.getUpperBound();
      for (unsigned dim = bounds.size(); dim-- > 0;)
        mapping.map(only.getInductionVars()[dim], b.take(item, bounds[dim]));
      for (Operation &op : only.getBody()->without_terminator())
        b.builder.clone(op, mapping);
    });
    only.erase();
    return rounds;
  }
  SmallVector<scf::ParallelOp> loops;
  function.walk([&](scf::ParallelOp op) { loops.push_back(op); });
  IRRewriter rewriter(function.getContext());
  for (scf::ParallelOp op : loops) {
    rewriter.setInsertionPoint(op);
    [[maybe_unused]] auto nest = scf::parallelForToNestedFors(rewriter, op);
    assert(succeeded(nest) && "loops without reductions");
  }
  return getAffineConstantExpr(1, function.getContext());
}

/// The grid of a kernel that is one operation with an emitter of its own, or
/// null.
static FailureOr<AffineExpr> emitWhole(kernel::FuncOp kernel, CPUFrame &frame) {
  if (kernel::AttentionOp attention = findInBody<kernel::AttentionOp>(kernel))
    return emitAttention(attention, kernel, frame);
  if (kernel::BlockProductOp product =
          findInBody<kernel::BlockProductOp>(kernel))
    return emitBlockProduct(product, kernel, frame);
  return AffineExpr();
}

/// Whether pads are what loops read, so that none needs memory of its own; a
/// pad that is a result is a fill and a copy.
static bool readsPadded(kernel::FuncOp kernel) {
  return kernel.getBody()
             .walk([](tensor::PadOp pad) {
               bool isRead = llvm::all_of(pad->getUsers(),
                                          llvm::IsaPred<linalg::GenericOp>);
               return isRead ? WalkResult::advance() : WalkResult::interrupt();
             })
             .wasInterrupted() == false;
}

static bool hasPads(const KernelProgram &program) {
  return llvm::any_of(program.steps, [](const Step &step) {
    return llvm::any_of(step.reads,
                        [](const Access &read) { return bool(read.padding); });
  });
}

/// The rows of `schedule`, but where the images of `flat` are small, its own.
static void emitBySize(const RowSchedule &flat, const Window &window,
                       unsigned step, const RowSchedule &schedule,
                       CPUFrame &frame) {
  OpBuilder &builder = frame.builder();
  LoopBuilder b(builder, frame.loc());
  Value positions = frame.size(flat.program.steps[step].extents[window.x]);
  Value isSmall = b.isLess(positions, b.index(FlatImage::kMostPositions + 1));
  b.ifElse(
      isSmall, [&] { emitRows(flat, frame); },
      [&] { emitRows(schedule, frame); });
}

/// A kernel that is no contraction. One with pads reads an item's image out of
/// a padded copy, or, if it is small, where it lies, by masks.
static AffineExpr emitOthers(KernelProgram &program, kernel::FuncOp general,
                             CPUFrame &frame) {
  MLIRContext *context = general.getContext();
  if (!hasPads(program)) {
    RowSchedule schedule(program);
    return emitRows(schedule, frame);
  }
  KernelProgram copying = *KernelProgram::read(general, frame);
  RowSchedule schedule(copying);
  AffineExpr grid = schedule.getGrid(context);
  unsigned step = 0;
  if (std::optional<Window> window = Window::flatten(program, step)) {
    RowSchedule flat(program, *window, step);
    if (simplify(flat.getGrid(context)) == simplify(grid)) {
      emitBySize(flat, *window, step, schedule, frame);
      return grid;
    }
  }
  return emitRows(schedule, frame);
}

/// `general` is the kernel with generic operations.
static FailureOr<LoweredKernel> lowerPart(kernel::FuncOp kernel,
                                          kernel::FuncOp general,
                                          ModuleOp module,
                                          const CPUTarget &target) {
  CPUFrame frame(general, module, target);
  if (FailureOr<AffineExpr> grid = emitWhole(general, frame); failed(grid))
    return failure();
  else if (*grid)
    return frame.finish(*grid);
  std::optional<KernelProgram> program =
      KernelProgram::read(general, frame, readsPadded(general));
  if (program) {
    KernelProgram merged = *program;
    if (auto contraction = findBlockedContraction(merged)) {
      RowSchedule schedule(merged, *contraction);
      return frame.finish(emitRows(schedule, frame));
    }
    return frame.finish(emitOthers(*program, general, frame));
  }
  frame.getFunction().erase();
  return lowerByBufferization(kernel, module, divideLoop, /*takesAll=*/false);
}

/// The items of all parts, one part's after the other's. A thread's scratch is
/// that of whichever part it runs.
static LoweredKernel joinParts(kernel::FuncOp kernel, ModuleOp module,
                               ArrayRef<LoweredKernel> parts) {
  KernelFrame frame(kernel, module);
  func::FuncOp function = frame.getFunction();
  LoopBuilder b(frame.builder(), frame.loc());
  unsigned given =
      kernel.getBody().getNumArguments() + kernel.getNumKernelSymbols();
  AffineExpr first = getAffineConstantExpr(0, kernel.getContext());
  AffineExpr workspace = first;
  for (const LoweredKernel &part : parts) {
    AffineExpr next = first + part.grid;
    Value begin = b.max(frame.begin(), frame.size(first));
    Value end = b.min(frame.end(), frame.size(next));
    b.ifElse(b.isLess(begin, end), [&] {
      SmallVector<Value> arguments(function.getArguments().take_front(given));
      arguments.push_back(b.sub(begin, frame.size(first)));
      arguments.push_back(b.sub(end, frame.size(first)));
      arguments.push_back(function.getArgument(given + 2));
      func::FuncOp body = part.body;
      func::CallOp::create(b.builder, b.loc, body, arguments);
    });
    first = next;
    workspace = workspace + part.workspace;
  }
  LoweredKernel joined = frame.finish(first);
  joined.workspace = simplify(workspace);
  return joined;
}

FailureOr<LoweredKernel> tenon::lowerKernel(kernel::FuncOp kernel,
                                            ModuleOp module,
                                            const CPUTarget &target) {
  OwningOpRef<ModuleOp> scratch = ModuleOp::create(kernel.getLoc());
  kernel::FuncOp general = generalizeKernel(kernel, *scratch);
  SmallVector<kernel::FuncOp> parts;
  if (kernel->hasAttr(kernel::kPiecesAttr))
    parts = splitKernel(general, *scratch);
  if (parts.empty())
    return lowerPart(kernel, general, module, target);
  SmallVector<LoweredKernel> lowered;
  for (kernel::FuncOp part : parts) {
    FailureOr<LoweredKernel> own = lowerPart(part, part, module, target);
    if (failed(own))
      return failure();
    lowered.push_back(*own);
  }
  return joinParts(kernel, module, lowered);
}
