// Weights and arithmetic of f32 become floats of 16 bits, with casts where they
// meet what stays.

#include "tenon/Transforms/Quantize/Passes.h"

#include "FileVersion.h"
#include "FloatRoles.h"
#include "NarrowConstant.h"

#include "dialects/ONNX/HalfForms.h"
#include "dialects/ONNX/NodeBuilder.h"
#include "dialects/ONNX/StoredAttr.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Remarks.h"
#include "llvm/Support/FormatVariadic.h"

namespace tenon {
#define GEN_PASS_DEF_CONVERTFLOATPASS
#include "tenon/Transforms/Quantize/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

/// Cast between f32 and bf16 came with it.
static constexpr int kBF16Opset = 13, kF16Opset = 7;

static std::string getName(Value value) {
  auto constant = value.getDefiningOp<onnx::ConstantOp>();
  if (auto stored = constant ? dyn_cast<onnx::StoredAttr>(constant.getValue())
                             : onnx::StoredAttr())
    if (!stored.getName().empty())
      return stored.getName().str();
  auto named = value.getLoc()->findInstanceOf<NameLoc>();
  return named ? named.getName().str() : "value";
}

static Type withElement(Value value, Type element) {
  return cast<ShapedType>(value.getType()).clone(element);
}

static remark::RemarkOpts remarkOf(StringRef name) {
  return remark::RemarkOpts::name(name).category("convert-float");
}

namespace {
/// Constants in 16 bits, made once for all functions of a module.
class NarrowConstants {
public:
  explicit NarrowConstants(Type half) : half(half) {}

  /// Fails with a diagnostic at `loc` where the bytes cannot be had.
  FailureOr<TypedAttr> get(TypedAttr constant, StringRef name, Location loc);

private:
  void report(const NarrowedConstant &narrowed, StringRef name, Location loc);

  Type half;
  llvm::DenseMap<Attribute, TypedAttr> known;
};

/// Rewrites one function as `roles` says.
class FloatConverter {
public:
  FloatConverter(func::FuncOp function, Type half, bool convertsInterface,
                 const FloatRoles &roles, NarrowConstants &constants)
      : function(function), half(half), convertsInterface(convertsInterface),
        roles(roles), constants(constants), builder(function.getContext()) {}

  LogicalResult run();
  /// The first opset that has all that was made.
  int getOpset() const { return opset; }

private:
  bool wasF32(Value value) const {
    return narrowed.contains(value) || isF32Tensor(value);
  }
  Value getNarrow(Value value);
  Value makeNarrow(Value value);
  Value copy(Operation *op);
  Value getWide(Value value);
  Value castTo(Value value, Type element, StringRef suffix);
  Location nameAfter(Value value, StringRef suffix);
  void narrow(Operation *op);
  void widen(Operation *op);
  void narrowInterface();
  void noteForm(const onnx::HalfForm &form) {
    opset = std::max(opset, half.isF16() ? form.f16Opset : form.bf16Opset);
  }

  func::FuncOp function;
  Type half;
  bool convertsInterface;
  const FloatRoles &roles;
  NarrowConstants &constants;
  OpBuilder builder;
  /// Values that were f32 and have 16 bits now.
  llvm::DenseSet<Value> narrowed;
  /// The other form of a value, once somebody asked for it.
  llvm::DenseMap<Value, Value> narrowForms, wideForms;
  int opset = 0;
  bool hasFailed = false;
};
} // namespace

void NarrowConstants::report(const NarrowedConstant &narrowed, StringRef name,
                             Location loc) {
  auto type = cast<ShapedType>(narrowed.value.getType());
  std::string text = llvm::formatv(
      "'{0}': {1} of {2} elements beyond the range of {3} became "
      "its end, {4:E3}",
      name, narrowed.clamped, type.getNumElements(), half, getLargest(half));
  // One element is a mask's number, for which the end of the range serves.
  if (narrowed.clamped > 0 && type.getNumElements() > 1)
    emitWarning(loc) << text;
  if (narrowed.clamped > 0)
    remark::missed(loc, remarkOf("clamped")) << text;
  if (isa<onnx::StoredAttr>(narrowed.value))
    remark::passed(loc, remarkOf("weight"))
        << llvm::formatv("'{0}' in {1}: relative error {2:E1}", name, half,
                         narrowed.relativeError)
               .str();
}

FailureOr<TypedAttr> NarrowConstants::get(TypedAttr constant, StringRef name,
                                          Location loc) {
  if (auto made = known.find(constant); made != known.end())
    return made->second;
  FailureOr<NarrowedConstant> narrowed = narrowConstant(constant, half, name);
  if (failed(narrowed))
    return emitError(loc) << "cannot read the bytes of '" << name
                          << "', or write them into the temporary folder";
  report(*narrowed, name, loc);
  known[constant] = narrowed->value;
  return narrowed->value;
}

/// The place of `value` under another name, if it has one: the nodes of a file
/// have different names.
Location FloatConverter::nameAfter(Value value, StringRef suffix) {
  auto named = value.getLoc()->findInstanceOf<NameLoc>();
  if (!named)
    return value.getLoc();
  auto result = dyn_cast<OpResult>(value);
  std::string name = named.getName().str();
  if (result && result.getResultNumber() > 0)
    name += "_" + std::to_string(result.getResultNumber());
  return NameLoc::get(builder.getStringAttr(name + suffix), value.getLoc());
}

Value FloatConverter::castTo(Value value, Type element, StringRef suffix) {
  Location loc = nameAfter(value, suffix);
  opset = std::max(opset, half.isF16() ? kF16Opset : kBF16Opset);
  NodeBuilder nodes(builder, loc);
  int64_t to = element.isF16() ? 10 : element.isBF16() ? 16 : 1;
  return nodes.make("onnx.Cast", value, withElement(value, element),
                    nodes.named("to", to));
}

/// Moved constants once more, in 16 bits.
Value FloatConverter::copy(Operation *op) {
  IRMapping mapping;
  for (Value operand : op->getOperands())
    if (isF32Tensor(operand))
      mapping.map(operand, getNarrow(operand));
  builder.setInsertionPointAfter(op);
  Operation *made = builder.clone(*op, mapping);
  if (!isa<onnx::ConstantOp>(op))
    made->setLoc(nameAfter(op->getResult(0), "_copy"));
  if (std::optional<onnx::HalfForm> form = onnx::getHalfForm(op))
    noteForm(*form);
  for (Value result : made->getResults())
    result.setType(withElement(result, half));
  auto value = op->getAttrOfType<TypedAttr>("value");
  if (!value)
    return made->getResult(0);
  FailureOr<TypedAttr> attr =
      constants.get(value, getName(op->getResult(0)), op->getLoc());
  hasFailed |= failed(attr);
  if (succeeded(attr))
    made->setAttr("value", *attr);
  return made->getResult(0);
}

Value FloatConverter::makeNarrow(Value value) {
  Operation *op = value.getDefiningOp();
  if (op && roles.getTreatment(op) == Treatment::copied &&
      (!isa<onnx::ConstantOfShapeOp>(op) || op->hasAttr("value")))
    return copy(op);
  builder.setInsertionPointAfterValue(value);
  Value within = value;
  if (roles.getFact(value).mayOverflow) {
    NodeBuilder nodes(builder, nameAfter(value, "_clipped"));
    Type element = getElementTypeOrSelf(value);
    double largest = getLargest(half);
    within = nodes.make("onnx.Clip",
                        {value, nodes.scalar(element, -largest),
                         nodes.scalar(element, largest)},
                        value.getType());
  }
  return castTo(within, half, half.isF16() ? "_to_f16" : "_to_bf16");
}

Value FloatConverter::getNarrow(Value value) {
  if (narrowed.contains(value))
    return value;
  if (auto known = narrowForms.find(value); known != narrowForms.end())
    return known->second;
  Value made = makeNarrow(value);
  narrowForms[value] = made;
  return made;
}

Value FloatConverter::getWide(Value value) {
  if (!narrowed.contains(value))
    return value;
  if (auto known = wideForms.find(value); known != wideForms.end())
    return known->second;
  builder.setInsertionPointAfterValue(value);
  Value made = castTo(value, builder.getF32Type(), "_to_f32");
  wideForms[value] = made;
  return made;
}

/// op(f32) -> op(16 bits), where the operator's schema allows it
void FloatConverter::narrow(Operation *op) {
  auto node = cast<onnx::NodeInterface>(op);
  onnx::HalfForm form = *onnx::getHalfForm(op);
  noteForm(form);
  SmallVector<Value> inputs = node.getOnnxInputs();
  auto next = op->getOpOperands().begin();
  for (auto [at, input] : llvm::enumerate(inputs)) {
    if (!input)
      continue;
    OpOperand &operand = *next++;
    if (wasF32(input))
      operand.set(form.allows(form.inputs, at, half) ? getNarrow(input)
                                                     : getWide(input));
  }
  for (auto [at, output] : llvm::enumerate(node.getOnnxOutputs())) {
    if (!isF32Tensor(output) || !form.allows(form.outputs, at, half))
      continue;
    output.setType(withElement(output, half));
    narrowed.insert(output);
  }
  if (auto cast = dyn_cast<onnx::CastOp>(op); cast && cast.getTo() == 1)
    cast.setTo(half.isF16() ? 10 : 16);
}

void FloatConverter::widen(Operation *op) {
  for (OpOperand &operand : op->getOpOperands())
    if (narrowed.contains(operand.get()))
      operand.set(getWide(operand.get()));
}

void FloatConverter::narrowInterface() {
  Block &body = function.getBody().front();
  for (OpOperand &result : body.getTerminator()->getOpOperands())
    if (wasF32(result.get()))
      result.set(getNarrow(result.get()));
}

LogicalResult FloatConverter::run() {
  Block &body = function.getBody().front();
  if (convertsInterface)
    for (Value argument : body.getArguments())
      if (isF32Tensor(argument)) {
        argument.setType(withElement(argument, half));
        narrowed.insert(argument);
      }
  SmallVector<Operation *> operations;
  function.walk<WalkOrder::PreOrder>(
      [&](Operation *op) { operations.push_back(op); });
  for (Operation *op : operations) {
    if (op == function || (convertsInterface && op == body.getTerminator()))
      continue;
    Treatment treatment = roles.getTreatment(op);
    if (treatment == Treatment::converted)
      narrow(op);
    else
      widen(op);
    if (treatment == Treatment::enclosed && op->getNumRegions() == 0 &&
        llvm::any_of(op->getResults(), isF32Tensor))
      remark::missed(op->getLoc(), remarkOf("stays"))
          << llvm::formatv("{0} stays f32: {1}", op->getName().stripDialect(),
                           roles.findObstacle(op))
                 .str();
  }
  if (convertsInterface)
    narrowInterface();
  function.setFunctionType(builder.getFunctionType(
      body.getArgumentTypes(), body.getTerminator()->getOperandTypes()));
  for (Operation *op : llvm::reverse(operations))
    if (roles.getTreatment(op) == Treatment::copied && op->use_empty())
      op->erase();
  return failure(hasFailed);
}

namespace {
struct ConvertFloat final : tenon::impl::ConvertFloatPassBase<ConvertFloat> {
  using ConvertFloatPassBase::ConvertFloatPassBase;

  LogicalResult initialize(MLIRContext *context) override {
    Location loc = UnknownLoc::get(context);
    if (to != "f16" && to != "bf16")
      return emitError(loc)
             << "expected convert-float to f16 or bf16, but got '"
             << std::string(to) << "'";
    half = to == "f16" ? Type(Float16Type::get(context))
                       : Type(BFloat16Type::get(context));
    stays.clear();
    for (const std::string &name : keep) {
      if (!RegisteredOperationName::lookup("onnx." + name, context))
        return emitError(loc) << "expected convert-float to keep operators of "
                                 "ONNX, but got '"
                              << name << "'";
      stays.insert(name);
    }
    return success();
  }

  void runOnOperation() override {
    NarrowConstants constants(half);
    int opset = 0;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      FloatRoles roles(half, stays);
      roles.decide(function);
      FloatConverter converter(function, half, interface, roles, constants);
      if (failed(converter.run()))
        return signalPassFailure();
      opset = std::max(opset, converter.getOpset());
    }
    raiseFileVersion(getOperation(), opset);
  }

  Type half;
  llvm::StringSet<> stays;
};
} // namespace
