// How a node looks by position: its syntax, its builder, its inputs with holes.

#include "dialects/ONNX/ONNXDialect.h"

using namespace mlir;

namespace tenon::onnx {

constexpr llvm::StringLiteral kOperandSegments = "operandSegmentSizes";
constexpr llvm::StringLiteral kResultSegments = "resultSegmentSizes";

static bool hasSegments(StringRef signature) {
  return llvm::count_if(signature, [](char c) { return c != '1'; }) > 1;
}

/// How many values each formal has, or failure if positions do not fit.
/// `present[i]` says whether something stands at ONNX's position i.
static FailureOr<SmallVector<int32_t>> countSegments(StringRef signature,
                                                     ArrayRef<bool> present) {
  SmallVector<int32_t> sizes(signature.size(), 0);
  for (auto [index, there] : llvm::enumerate(present)) {
    if (!there)
      continue;
    bool inTail = index + 1 >= signature.size();
    if (inTail && (signature.empty() ||
                   (index >= signature.size() && signature.back() != '*')))
      return failure();
    ++sizes[std::min<size_t>(index, signature.size() - 1)];
  }
  for (auto [letter, size] : llvm::zip(signature, sizes))
    if (letter == '1' && size != 1)
      return failure();
  return sizes;
}

/// What stands at each position, from the sizes that `op` keeps or that follow.
template <typename Range>
static SmallVector<Value> spread(Operation *op, StringRef signature,
                                 StringRef segments, Range values) {
  SmallVector<Value> positions;
  auto next = values.begin();
  ArrayRef<int32_t> sizes;
  if (hasSegments(signature))
    sizes = cast<DenseI32ArrayAttr>(*op->getInherentAttr(segments));
  size_t required = llvm::count(signature, '1');
  for (auto [index, letter] : llvm::enumerate(signature)) {
    int32_t size = !sizes.empty()  ? sizes[index]
                   : letter == '1' ? 1
                                   : values.size() - required;
    if (size == 0 && letter == '?')
      positions.push_back(Value());
    for (; size > 0 && next != values.end(); --size)
      positions.push_back(*next++);
  }
  while (!positions.empty() && !positions.back())
    positions.pop_back();
  return positions;
}

SmallVector<Value> getOnnxInputs(Operation *op, StringRef signature) {
  return spread(op, signature, kOperandSegments, op->getOperands());
}

SmallVector<Value> getOnnxOutputs(Operation *op, StringRef signature) {
  return spread(op, signature, kResultSegments, op->getResults());
}

static LogicalResult addSegments(OperationState &state, StringRef name,
                                 StringRef signature, ArrayRef<bool> present) {
  FailureOr<SmallVector<int32_t>> sizes = countSegments(signature, present);
  if (failed(sizes))
    return failure();
  if (hasSegments(signature))
    state.addAttribute(name,
                       DenseI32ArrayAttr::get(state.getContext(), *sizes));
  return success();
}

/// Parses `(%a, none, %b)`.
static ParseResult
parseInputs(OpAsmParser &parser,
            SmallVectorImpl<OpAsmParser::UnresolvedOperand> &operands,
            SmallVectorImpl<bool> &present) {
  return parser.parseCommaSeparatedList(
      OpAsmParser::Delimiter::Paren, [&]() -> ParseResult {
        present.push_back(failed(parser.parseOptionalKeyword("none")));
        if (!present.back())
          return success();
        return parser.parseOperand(operands.emplace_back());
      });
}

/// Parses a type or `(type, none, type)`.
static ParseResult parseOutputs(OpAsmParser &parser,
                                SmallVectorImpl<Type> &types,
                                SmallVectorImpl<bool> &present) {
  auto parseOne = [&]() -> ParseResult {
    Type type;
    if (parser.parseType(type))
      return failure();
    present.push_back(!isa<NoneType>(type));
    if (present.back())
      types.push_back(type);
    return success();
  };
  if (failed(parser.parseOptionalLParen()))
    return parseOne();
  if (succeeded(parser.parseOptionalRParen()))
    return success();
  if (parser.parseCommaSeparatedList(parseOne))
    return failure();
  return parser.parseRParen();
}

static ParseResult parseRegions(OpAsmParser &parser, OperationState &state) {
  std::unique_ptr<Region> first = std::make_unique<Region>();
  OptionalParseResult parsed = parser.parseOptionalRegion(*first);
  if (!parsed.has_value())
    return success();
  if (*parsed)
    return failure();
  state.addRegion(std::move(first));
  while (succeeded(parser.parseOptionalComma()))
    if (parser.parseRegion(*state.addRegion()))
      return failure();
  return success();
}

ParseResult parseNode(OpAsmParser &parser, OperationState &state,
                      StringRef inputSignature, StringRef outputSignature) {
  SmallVector<OpAsmParser::UnresolvedOperand> operands;
  SmallVector<bool> inputs, outputs;
  SmallVector<Type> inputTypes, outputTypes;
  SMLoc loc = parser.getCurrentLocation();
  if (parseInputs(parser, operands, inputs) ||
      parser.parseOptionalAttrDict(state.attributes) || parser.parseColon() ||
      parser.parseLParen())
    return failure();
  if (failed(parser.parseOptionalRParen()) &&
      (parser.parseTypeList(inputTypes) || parser.parseRParen()))
    return failure();
  if (parser.parseArrow() || parseOutputs(parser, outputTypes, outputs) ||
      parseRegions(parser, state) ||
      parser.resolveOperands(operands, inputTypes, loc, state.operands))
    return failure();
  state.addTypes(outputTypes);
  if (failed(addSegments(state, kOperandSegments, inputSignature, inputs)) ||
      failed(addSegments(state, kResultSegments, outputSignature, outputs)))
    return parser.emitError(loc, "expected inputs and outputs of signature '")
           << inputSignature << "' and '" << outputSignature << "'";
  return success();
}

void printNode(OpAsmPrinter &printer, Operation *op, StringRef inputSignature,
               StringRef outputSignature) {
  printer << '(';
  llvm::interleaveComma(getOnnxInputs(op, inputSignature), printer,
                        [&](Value value) {
                          if (value)
                            printer << value;
                          else
                            printer << "none";
                        });
  printer << ')';
  printer.printOptionalAttrDict(op->getAttrDictionary().getValue(),
                                {kOperandSegments, kResultSegments});
  printer << " : (";
  llvm::interleaveComma(op->getOperandTypes(), printer);
  printer << ") -> ";
  SmallVector<Value> outputs = getOnnxOutputs(op, outputSignature);
  bool parens = outputs.size() != 1;
  printer << (parens ? "(" : "");
  llvm::interleaveComma(outputs, printer, [&](Value value) {
    if (value)
      printer << value.getType();
    else
      printer << "none";
  });
  printer << (parens ? ")" : "");
  llvm::interleave(
      op->getRegions(),
      [&](Region &region) {
        printer << ' ';
        printer.printRegion(region);
      },
      [&] { printer << ','; });
}

Operation *buildNode(OpBuilder &builder, Location loc, StringRef name,
                     ValueRange inputs, ArrayRef<Type> outputTypes,
                     ArrayRef<NamedAttribute> attributes, unsigned regions) {
  auto info = RegisteredOperationName::lookup(name, builder.getContext());
  if (!info)
    return nullptr;
  auto *node = info->getInterface<NodeInterface>();
  if (!node)
    return nullptr;

  OperationState state(loc, *info);
  SmallVector<bool> present;
  for (Value input : inputs) {
    present.push_back(bool(input));
    if (input)
      state.operands.push_back(input);
  }
  if (failed(addSegments(state, kOperandSegments, node->getInputSignature(),
                         present)))
    return nullptr;
  present.clear();
  for (Type type : outputTypes) {
    present.push_back(bool(type));
    if (type)
      state.types.push_back(type);
  }
  if (failed(addSegments(state, kResultSegments, node->getOutputSignature(),
                         present)))
    return nullptr;
  state.addAttributes(attributes);
  for (unsigned i = 0; i < regions; ++i)
    state.addRegion();
  return builder.create(state);
}

} // namespace tenon::onnx
