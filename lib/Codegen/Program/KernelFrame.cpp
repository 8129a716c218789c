#include "tenon/Codegen/Program/KernelFrame.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;

AffineExpr tenon::simplify(AffineExpr expr) {
  // MLIR's flattening needs room for each that the expression names.
  unsigned numDims = 0, numSymbols = 0;
  expr.walk([&](AffineExpr part) {
    if (auto dim = dyn_cast<AffineDimExpr>(part))
      numDims = std::max(numDims, dim.getPosition() + 1);
    if (auto symbol = dyn_cast<AffineSymbolExpr>(part))
      numSymbols = std::max(numSymbols, symbol.getPosition() + 1);
  });
  return simplifyAffineExpr(expr, numDims, numSymbols);
}

/// func @NAME.body(buffers, symbols, begin, end, workspace)
static func::FuncOp createFunction(kernel::FuncOp kernel, ModuleOp module,
                                   const llvm::Twine &name, unsigned numBuffers,
                                   unsigned numSymbols) {
  MLIRContext *context = kernel.getContext();
  auto bytes = MemRefType::get({1}, IntegerType::get(context, 8));
  Type index = IndexType::get(context);
  SmallVector<Type> types(numBuffers, bytes);
  types.append(numSymbols + 2, index);
  types.push_back(bytes);
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  auto function = func::FuncOp::create(builder, kernel.getLoc(), name.str(),
                                       FunctionType::get(context, types, {}));
  function.setPrivate();
  // Results and scratch overlap nothing; operands may overlap each other.
  auto noalias = UnitAttr::get(context);
  StringRef attribute = LLVM::LLVMDialect::getNoAliasAttrName();
  for (unsigned i = kernel.getNumInputs(); i < numBuffers; ++i)
    function.setArgAttr(i, attribute, noalias);
  function.setArgAttr(types.size() - 1, attribute, noalias);
  function.addEntryBlock();
  return function;
}

KernelFrame::KernelFrame(kernel::FuncOp kernel, ModuleOp module,
                         const llvm::Twine &name)
    : kernel(kernel), entry(kernel.getContext()), body(kernel.getContext()),
      numBuffers(kernel.getBody().getNumArguments()),
      numSymbols(kernel.getNumKernelSymbols()), buffers(numBuffers) {
  function = createFunction(kernel, module, name, numBuffers, numSymbols);
  Block &block = function.getBody().front();
  body.setInsertionPointToEnd(&block);
  auto end = func::ReturnOp::create(body, loc());
  // Sizes go before `marker`, the schedule's code after it.
  entry.setInsertionPoint(end);
  Value marker = arith::ConstantIndexOp::create(entry, loc(), 0);
  entry.setInsertionPoint(marker.getDefiningOp());
  body.setInsertionPoint(end);
  used = getAffineConstantExpr(0, kernel.getContext());
}

Value KernelFrame::constant(int64_t value) {
  return size(getAffineConstantExpr(value, kernel.getContext()));
}

/// Without the division, which blocks would have to begin with.
Value KernelFrame::whetherAny(Value count) {
  Value zero = arith::ConstantIndexOp::create(entry, loc(), 0);
  Value isAny = arith::CmpIOp::create(entry, loc(), arith::CmpIPredicate::sgt,
                                      count, zero);
  return arith::IndexCastUIOp::create(entry, loc(), entry.getIndexType(),
                                      isAny);
}

Value KernelFrame::size(AffineExpr expr) {
  if (Value known = sizes.lookup(expr))
    return known;
  Value value;
  if (auto constant = dyn_cast<AffineConstantExpr>(expr)) {
    value = arith::ConstantIndexOp::create(entry, loc(), constant.getValue());
  } else if (auto symbol = dyn_cast<AffineSymbolExpr>(expr)) {
    value = function.getArgument(numBuffers + symbol.getPosition());
  } else {
    auto binary = cast<AffineBinaryOpExpr>(expr);
    if (expr == isAny(binary.getLHS()))
      return sizes[expr] = whetherAny(size(binary.getLHS()));
    Value a = size(binary.getLHS()), b = size(binary.getRHS());
    switch (expr.getKind()) {
    case AffineExprKind::Add:
      value = arith::AddIOp::create(entry, loc(), a, b);
      break;
    case AffineExprKind::Mul:
      value = arith::MulIOp::create(entry, loc(), a, b);
      break;
    case AffineExprKind::Mod:
      value = arith::RemSIOp::create(entry, loc(), a, b);
      break;
    case AffineExprKind::FloorDiv:
      value = arith::FloorDivSIOp::create(entry, loc(), a, b);
      break;
    default:
      value = arith::CeilDivSIOp::create(entry, loc(), a, b);
    }
  }
  return sizes[expr] = value;
}

Value KernelFrame::view(Value bytes, Value offset, ArrayRef<AffineExpr> dims,
                        Type element) {
  SmallVector<int64_t> shape;
  SmallVector<Value> dynamic;
  for (AffineExpr dim : dims) {
    auto constant = dyn_cast<AffineConstantExpr>(dim);
    shape.push_back(constant ? constant.getValue() : ShapedType::kDynamic);
    if (!constant)
      dynamic.push_back(size(dim));
  }
  return memref::ViewOp::create(entry, loc(), MemRefType::get(shape, element),
                                bytes, offset, dynamic);
}

Value KernelFrame::buffer(unsigned index) {
  if (!buffers[index]) {
    auto type =
        cast<RankedTensorType>(kernel.getBody().getArgument(index).getType());
    buffers[index] =
        view(function.getArgument(index), constant(0),
             kernel.getArgumentDims(index).getResults(), type.getElementType());
  }
  return buffers[index];
}

Value KernelFrame::bufferAs(unsigned index, ArrayRef<AffineExpr> dims,
                            Type element) {
  return view(function.getArgument(index), constant(0), dims, element);
}

Value KernelFrame::begin() {
  return function.getArgument(numBuffers + numSymbols);
}

Value KernelFrame::end() {
  return function.getArgument(numBuffers + numSymbols + 1);
}

Value KernelFrame::addArgument(Type type) {
  unsigned number = function.getNumArguments();
  (void)function.insertArgument(number, type, DictionaryAttr(), loc());
  return function.getArgument(number);
}

Value KernelFrame::allocate(ArrayRef<AffineExpr> dims, Type element) {
  Value offset = size(simplify(used));
  unsigned width = element.isIndex() ? 64 : element.getIntOrFloatBitWidth();
  AffineExpr bytes =
      getAffineConstantExpr(llvm::divideCeil(width, 8), kernel.getContext());
  for (AffineExpr dim : dims)
    bytes = bytes * dim;
  used = used + simplify(bytes).ceilDiv(64) * 64;
  Value workspace = function.getArgument(numBuffers + numSymbols + 2);
  return view(workspace, offset, dims, element);
}

AffineExpr KernelFrame::getBinaryExpr(Operation *op) {
  AffineExpr a = getExpr(op->getOperand(0)), b = getExpr(op->getOperand(1));
  if (!a || !b)
    return nullptr;
  if (isa<arith::AddIOp>(op))
    return a + b;
  if (isa<arith::SubIOp>(op))
    return a - b;
  if (isa<arith::MulIOp>(op))
    return a * b;
  // Sizes are not negative, so these are all one.
  if (isa<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>(op))
    return a.floorDiv(b);
  if (isa<arith::CeilDivSIOp, arith::CeilDivUIOp>(op))
    return a.ceilDiv(b);
  if (isa<arith::RemSIOp, arith::RemUIOp>(op))
    return a % b;
  return nullptr;
}

AffineExpr KernelFrame::getExpr(Value value) {
  MLIRContext *context = kernel.getContext();
  APInt constant;
  if (matchPattern(value, m_ConstantInt(&constant)))
    return getAffineConstantExpr(constant.getSExtValue(), context);
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    int64_t position = int64_t(argument.getArgNumber()) - numBuffers;
    bool isSymbol = argument.getOwner() == &function.getBody().front() &&
                    position >= 0 && position < numSymbols;
    return isSymbol ? getAffineSymbolExpr(position, context) : nullptr;
  }
  Operation *op = value.getDefiningOp();
  if (auto symbol = dyn_cast<kernel::SymbolOp>(op))
    return symbol.getExpr().getResult(0);
  if (auto apply = dyn_cast<affine::AffineApplyOp>(op)) {
    SmallVector<AffineExpr> operands;
    for (Value operand : apply.getMapOperands()) {
      operands.push_back(getExpr(operand));
      if (!operands.back())
        return nullptr;
    }
    unsigned numDims = apply.getAffineMap().getNumDims();
    return apply.getAffineMap().getResult(0).replaceDimsAndSymbols(
        ArrayRef(operands).take_front(numDims),
        ArrayRef(operands).drop_front(numDims));
  }
  if (op->getNumOperands() == 2)
    return getBinaryExpr(op);
  return nullptr;
}

void KernelFrame::restart() {
  Block &block = function.getBody().front();
  entry.setInsertionPointToStart(&block);
  body.setInsertionPoint(block.getTerminator());
  sizes.clear();
  buffers.assign(numBuffers, Value());
}

LoweredKernel KernelFrame::finish(AffineExpr grid) {
  return {function, simplify(grid), simplify(used)};
}
