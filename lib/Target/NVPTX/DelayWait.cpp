#include "DelayWait.h"

#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

using llvm::BasicBlock;
using llvm::CallInst;
using llvm::Instruction;

static constexpr llvm::StringLiteral kWait = "griddepcontrol.wait;";

void tenon::emitWait(llvm::IRBuilder<> &builder) {
  auto *type = llvm::FunctionType::get(builder.getVoidTy(), false);
  builder.CreateCall(llvm::InlineAsm::get(type, kWait, "~{memory}",
                                          /*hasSideEffects=*/true));
}

static bool isWait(const Instruction &op) {
  auto *call = llvm::dyn_cast<CallInst>(&op);
  auto *text = call ? llvm::dyn_cast<llvm::InlineAsm>(call->getCalledOperand())
                    : nullptr;
  return text && text->getAsmString() == kWait;
}

/// What threads do together stays behind the wait, too.
static bool mayPass(const Instruction &op) {
  if (op.isTerminator())
    return false;
  // These say something and do nothing.
  if (llvm::isa<llvm::AssumeInst, llvm::NoAliasScopeDeclInst>(op))
    return true;
  auto *call = llvm::dyn_cast<llvm::CallBase>(&op);
  return !op.mayReadOrWriteMemory() && !op.mayHaveSideEffects() &&
         !(call && call->isConvergent());
}

/// Puts the wait where it has to be at the latest, in the block from `first`
/// on, or into each of its branches. A loop is entered behind it.
static void place(CallInst &wait, BasicBlock &block,
                  BasicBlock::iterator first) {
  while (mayPass(*first))
    ++first;
  Instruction *end = block.getTerminator();
  if (&*first != end || end->getNumSuccessors() < 2) {
    wait.clone()->insertBefore(first);
    return;
  }
  for (BasicBlock *next : llvm::to_vector(llvm::successors(&block))) {
    if (!next->getSinglePredecessor())
      next = llvm::SplitEdge(&block, next);
    place(wait, *next, next->getFirstNonPHIIt());
  }
}

void tenon::delayWait(llvm::Function &kernel) {
  BasicBlock &entry = kernel.getEntryBlock();
  auto wait = llvm::find_if(entry, isWait);
  if (wait == entry.end())
    return;
  place(llvm::cast<CallInst>(*wait), entry, std::next(wait));
  wait->eraseFromParent();
}
