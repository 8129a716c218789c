// Loops and scalars to the LLVM dialect. Floats under 32 bits are computed in
// f32; elementary functions become calls into the library; integer division
// by zero gives zero's quotient instead of a trap.

#include "tenon/Codegen/Program/Lowering.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace tenon;

/// The library's name for an operation, or nothing if LLVM has it inline.
static StringRef getLibraryName(Operation *op) {
  StringRef name = op->getName().getStringRef();
  if (name == "arith.remf")
    return "fmod";
  if (name == "math.powf")
    return "pow";
  static const char *const names[] = {
      "exp",  "exp2", "expm1", "log",   "log2",  "log10", "log1p", "tanh",
      "sinh", "cosh", "erf",   "erfc",  "sin",   "cos",   "tan",   "asin",
      "acos", "atan", "asinh", "acosh", "atanh", "cbrt",  "atan2"};
  if (name.consume_front("math."))
    for (StringRef known : names)
      if (name == known)
        return known;
  return {};
}

/// math.exp %x : f32 -> call @tenon_exp_f32(%x)
static void callLibrary(ModuleOp module) {
  SymbolTable symbols(module);
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) {
    if (!getLibraryName(op).empty())
      ops.push_back(op);
  });
  for (Operation *op : ops) {
    Type type = op->getResult(0).getType();
    std::string name =
        ("tenon_" + getLibraryName(op) + (type.isF64() ? "_f64" : "_f32"))
            .str();
    auto callee = symbols.lookup<func::FuncOp>(name);
    if (!callee) {
      OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
      callee = func::FuncOp::create(
          builder, module.getLoc(), name,
          FunctionType::get(op->getContext(), op->getOperandTypes(), type));
      callee.setPrivate();
      symbols.insert(callee);
    }
    OpBuilder builder(op);
    auto call =
        func::CallOp::create(builder, op->getLoc(), callee, op->getOperands());
    op->replaceAllUsesWith(call);
    op->erase();
  }
}

/// a / b -> b is 0 or -1 ? (b is 0 ? 0 or a : -a or 0) : a / b
static void guardDivision(Operation *op) {
  APInt known;
  if (op->getResult(0).getType().isIndex() ||
      (matchPattern(op->getOperand(1), m_ConstantInt(&known)) &&
       !known.isZero() && !known.isAllOnes()))
    return;
  OpBuilder builder(op);
  Location loc = op->getLoc();
  Value a = op->getOperand(0), b = op->getOperand(1);
  Type type = a.getType();
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getIntegerAttr(type, value));
  };
  auto equals = [&](Value x, Value y) -> Value {
    return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, x, y);
  };
  bool isSigned = isa<arith::DivSIOp, arith::RemSIOp>(op);
  bool isDivision = isa<arith::DivSIOp, arith::DivUIOp>(op);
  Value zero = constant(0), isZero = equals(b, zero), special = isZero;
  Value isMinusOne;
  if (isSigned) {
    isMinusOne = equals(b, constant(-1));
    special = arith::OrIOp::create(builder, loc, isZero, isMinusOne);
  }
  op->setOperand(
      1, arith::SelectOp::create(builder, loc, special, constant(1), b));
  builder.setInsertionPointAfter(op);
  Value result = op->getResult(0), safe = result;
  if (isSigned && isDivision) {
    Value negated = arith::SubIOp::create(builder, loc, zero, a);
    safe = arith::SelectOp::create(builder, loc, isMinusOne, negated, safe);
  }
  safe = arith::SelectOp::create(builder, loc, isZero, zero, safe);
  result.replaceUsesWithIf(safe, [&](OpOperand &use) {
    return use.getOwner() != safe.getDefiningOp() &&
           !(isSigned && isDivision &&
             use.getOwner() ==
                 safe.getDefiningOp()->getOperand(2).getDefiningOp());
  });
}

static void guardDivisions(ModuleOp module) {
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) {
    if (isa<arith::DivSIOp, arith::RemSIOp, arith::DivUIOp, arith::RemUIOp>(op))
      ops.push_back(op);
  });
  for (Operation *op : ops)
    guardDivision(op);
}

/// f64 -> f16, bf16 goes by way of f32: there is no instruction for it.
static void splitTruncations(ModuleOp module) {
  module.walk([](arith::TruncFOp op) {
    Type from = op.getIn().getType(), to = op.getType();
    if (!from.isF64() || to.getIntOrFloatBitWidth() != 16)
      return;
    OpBuilder builder(op);
    op.getInMutable().assign(arith::TruncFOp::create(
        builder, op.getLoc(), builder.getF32Type(), op.getIn()));
  });
  module.walk([](arith::ExtFOp op) {
    Type from = op.getIn().getType(), to = op.getType();
    if (!to.isF64() || from.getIntOrFloatBitWidth() != 16)
      return;
    OpBuilder builder(op);
    op.getInMutable().assign(arith::ExtFOp::create(
        builder, op.getLoc(), builder.getF32Type(), op.getIn()));
  });
}

/// arith.maximumf -> llvm.intr.maximum, in which LLVM knows a reduction. Which
/// of two zeros is the larger is left open.
static void keepExtremes(ModuleOp module) {
  auto flags = LLVM::FastmathFlagsAttr::get(module.getContext(),
                                            LLVM::FastmathFlags::nsz);
  auto replace = [&](Operation *op, auto create) {
    OpBuilder builder(op);
    Value value = create(builder, op->getOperand(0), op->getOperand(1));
    op->replaceAllUsesWith(ValueRange{value});
    op->erase();
  };
  module.walk([&](Operation *op) {
    Location loc = op->getLoc();
    if (isa<arith::MaximumFOp>(op))
      replace(op, [&](OpBuilder &builder, Value a, Value b) -> Value {
        return LLVM::MaximumOp::create(builder, loc, a.getType(), a, b, flags);
      });
    else if (isa<arith::MinimumFOp>(op))
      replace(op, [&](OpBuilder &builder, Value a, Value b) -> Value {
        return LLVM::MinimumOp::create(builder, loc, a.getType(), a, b, flags);
      });
  });
}

/// Lets sums of products round once. A difference does not: in x * x - y * y
/// both products are rounded, so that equal ones give 0, as a variance needs.
static void contractSums(ModuleOp module) {
  auto contract = [](auto op) {
    op.setFastmath(op.getFastmath() | arith::FastMathFlags::contract);
  };
  module.walk([&](arith::AddFOp op) { contract(op); });
  module.walk([&](arith::MulFOp op) { contract(op); });
}

static LogicalResult widenSmallFloats(ModuleOp module) {
  PassManager passes(module.getContext());
  passes.enableVerifier(false);
  passes.addPass(math::createMathExtendToSupportedTypes());
  arith::ArithEmulateUnsupportedFloatsOptions emulate;
  emulate.sourceTypeStrs.assign({"bf16", "f16"});
  emulate.targetTypeStr = "f32";
  passes.addPass(arith::createArithEmulateUnsupportedFloats(emulate));
  if (failed(passes.run(module)))
    return failure();
  splitTruncations(module);
  keepExtremes(module);
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true;
  PassManager after(module.getContext());
  after.enableVerifier(false);
  after.addPass(arith::createArithExpandOpsPass(expand));
  return after.run(module);
}

LogicalResult tenon::lowerLoopsToLLVM(ModuleOp module) {
  if (failed(widenSmallFloats(module)))
    return failure();
  guardDivisions(module);
  callLibrary(module);
  contractSums(module);
  PassManager passes(module.getContext());
  passes.enableVerifier(false);
  OpPassManager &functions = passes.nest<func::FuncOp>();
  functions.addPass(memref::createExpandStridedMetadataPass());
  passes.addPass(createLowerAffinePass());
  passes.addPass(createCSEPass());
  passes.addPass(createSCFToControlFlowPass());
  passes.addPass(createConvertMathToLLVMPass());
  passes.addPass(createConvertVectorToLLVMPass());
  passes.addPass(createArithToLLVMConversionPass());
  ConvertFuncToLLVMPassOptions bare;
  bare.useBarePtrCallConv = true;
  passes.addPass(createFinalizeMemRefToLLVMConversionPass());
  passes.addPass(createConvertFuncToLLVMPass(bare));
  passes.addPass(createConvertControlFlowToLLVMPass());
  passes.addPass(createUBToLLVMConversionPass());
  passes.addPass(createReconcileUnrealizedCastsPass());
  return passes.run(module);
}
