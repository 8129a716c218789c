// Weights of small integers in lines: found behind a DequantizeLinear,
// multiplied by, gathered from and decoded, whoever made them.

#include "LineMatrix.h"

#include "Attributes.h"
#include "Positions.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/ONNX/StoredAttr.h"

using namespace mlir;
using namespace tenon;

namespace {
/// What a DequantizeLinear says of a weight, seen as a matrix.
class Description {
public:
  Description(Operation *op, unsigned axis, Lowering &lowering)
      : op(op), axis(axis), lowering(lowering) {}
  std::optional<LineMatrix> get();

private:
  enum class Scales { PerTensor, PerLine, PerBlock };

  bool findMatrix();
  std::optional<Scales> findScales();
  Value encode(Value tensor, int64_t tensorRows, int64_t tensorColumns,
               unsigned dim, int64_t length);
  Value getParameters(Value tensor, int64_t perByte);
  Value getZeros();
  bool areMiddle(Value zeros);
  Value makeZeros();

  Operation *op;
  unsigned axis;
  Lowering &lowering;
  BlockedIntegers format{8, 1};
  int64_t rows = 0, columns = 0, lines = 0, length = 0, blocks = 0;
  Scales kind = Scales::PerTensor;
};
} // namespace

static kernel::WeightOp getWeight(Value value) {
  return value ? value.getDefiningOp<kernel::WeightOp>() : nullptr;
}

static RankedTensorType getType(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// Sets the matrix's size; false if the weight is none.
bool Description::findMatrix() {
  RankedTensorType type = getType(op->getOperand(0));
  if (!getWeight(op->getOperand(0)) || type.getNumElements() == 0 ||
      !llvm::is_contained({2u, 4u, 8u},
                          type.getElementType().getIntOrFloatBitWidth()))
    return false;
  rows = type.getRank() > 0 ? type.getDimSize(0) : 1;
  if (kind == Scales::PerTensor && type.getRank() != 2)
    rows = 1;
  columns = type.getNumElements() / rows;
  lines = axis == 1 ? rows : columns;
  length = axis == 1 ? columns : rows;
  return type.getRank() == 2 || axis == 1;
}

/// What has a scale of its own; nothing if that is no part of a line.
std::optional<Description::Scales> Description::findScales() {
  RankedTensorType type = getType(op->getOperand(0));
  RankedTensorType scales = getType(op->getOperand(1));
  if (!isa<Float32Type, Float16Type, BFloat16Type>(scales.getElementType()) ||
      !scales.hasStaticShape())
    return std::nullopt;
  int64_t block = getInteger(op, "block_size", 0);
  if (block == 0 && scales.getNumElements() == 1)
    return Scales::PerTensor;
  int64_t of = getInteger(op, "axis", 1);
  of += of < 0 ? type.getRank() : 0;
  if (of < 0 || of >= type.getRank())
    return std::nullopt;
  if (block == 0) {
    bool isAcross = type.getRank() == 2 ? of != int64_t(axis) : of == 0;
    bool fits =
        scales.getRank() == 1 && scales.getDimSize(0) == type.getDimSize(of);
    return isAcross && fits ? std::optional(Scales::PerLine) : std::nullopt;
  }
  bool fits = type.getRank() == 2 && scales.getRank() == 2 &&
              scales.getDimSize(1 - of) == type.getDimSize(1 - of) &&
              scales.getDimSize(of) ==
                  int64_t(llvm::divideCeil(type.getDimSize(of), block));
  return of == int64_t(axis) && fits ? std::optional(Scales::PerBlock)
                                     : std::nullopt;
}

/// The lines of a weight along `dim`, of `length` elements: its own bytes where
/// they lie so. Null if its shape has no encoding.
Value Description::encode(Value tensor, int64_t tensorRows,
                          int64_t tensorColumns, unsigned dim, int64_t length) {
  kernel::WeightOp weight = getWeight(tensor);
  RankedTensorType type = getType(tensor);
  Type element = type.getElementType();
  unsigned bits = element.getIntOrFloatBitWidth();
  int64_t count = dim == 1 ? tensorRows : tensorColumns;
  int64_t own = dim == 1 ? tensorColumns : tensorRows;
  bool isAsStored = (dim == 1 || tensorColumns == 1) && length == own &&
                    (count == 1 || own * bits % 8 == 0);
  if (!weight || (!isAsStored && (type.getRank() < 1 || type.getRank() > 2)))
    return nullptr;
  OpBuilder &builder = lowering.builder;
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointAfter(weight);
  int64_t width = length;
  if (bits < 8) {
    element = builder.getI8Type();
    width = llvm::divideCeil(length * bits, 8);
  }
  auto encoded = kernel::WeightOp::create(
      builder, weight.getLoc(), RankedTensorType::get({count, width}, element),
      weight.getWeightAttr(), weight.getValue());
  if (!isAsStored)
    encoded.setEncoding(("lines:" + Twine(dim) + ":" + Twine(length)).str());
  return encoded;
}

/// Scales, or zeros of which a byte has `perByte`, as [lines or 1, blocks].
Value Description::getParameters(Value tensor, int64_t perByte) {
  Location loc = op->getLoc();
  AffineExpr one = lowering.constant(1);
  int64_t padded = llvm::alignTo(blocks, perByte);
  if (kind == Scales::PerBlock) {
    if (axis == 1 && perByte == 1)
      return tensor;
    return encode(tensor, axis == 1 ? lines : blocks,
                  axis == 1 ? blocks : lines, axis, padded);
  }
  int64_t count = kind == Scales::PerLine ? lines : 1;
  if (perByte == 1)
    return lowering.view(loc, tensor, {lowering.constant(count), one});
  // One integer is alone in its byte.
  return encode(tensor, count, 1, 1, count == 1 ? 1 : perByte);
}

/// Whether all zeros are what the format means without them.
bool Description::areMiddle(Value zeros) {
  kernel::WeightOp weight = getWeight(zeros);
  if (!weight)
    return false;
  FailureOr<ArrayRef<char>> bytes = onnx::getBytes(weight.getValue());
  if (failed(bytes))
    return false;
  return llvm::all_of(format.unpack(*bytes, getType(zeros).getNumElements()),
                      [&](uint8_t code) {
                        return format.getInteger(code) == format.getMiddle();
                      });
}

/// Zeros of 0, for unsigned integers without zero points.
Value Description::makeZeros() {
  OpBuilder &builder = lowering.builder;
  auto type = RankedTensorType::get(
      {1, int64_t(llvm::divideCeil(blocks * format.getBits(), 8))},
      builder.getI8Type());
  return kernel::WeightOp::create(builder, op->getLoc(), type,
                                  builder.getStringAttr("zero"),
                                  builder.getZeroAttr(type));
}

/// Null where the format needs none.
Value Description::getZeros() {
  Value zeros = op->getNumOperands() > 2 ? op->getOperand(2) : Value();
  if (!zeros)
    return format.areSigned() ? Value() : makeZeros();
  return areMiddle(zeros) ? Value()
                          : getParameters(zeros, 8 / format.getBits());
}

std::optional<LineMatrix> Description::get() {
  std::optional<Scales> found = findScales();
  if (!found)
    return std::nullopt;
  kind = *found;
  if (!findMatrix())
    return std::nullopt;
  Value integers = op->getOperand(0);
  unsigned bits = lowering.element(integers).getIntOrFloatBitWidth();
  int64_t perByte = 8 / bits, block = getInteger(op, "block_size", 0);
  bool isWhole = kind != Scales::PerBlock || block >= length;
  if (isWhole)
    block = llvm::alignTo(length, 16 * perByte);
  blocks = isWhole ? 1 : llvm::divideCeil(length, block);
  format = BlockedIntegers(bits, block,
                           lowering.kind(integers) != ElementKind::Unsigned);
  int64_t padded = block % 16 == 0 ? blocks * block
                                   : int64_t(llvm::alignTo(length, perByte));
  LineMatrix matrix{format, lines, length, nullptr, nullptr, nullptr};
  Value zeros = op->getNumOperands() > 2 ? op->getOperand(2) : Value();
  matrix.bytes = encode(integers, rows, columns, axis, padded);
  matrix.scales = getParameters(op->getOperand(1), 1);
  matrix.zeros = getZeros();
  bool isLost = zeros && !matrix.zeros && !areMiddle(zeros);
  if (!matrix.bytes || !matrix.scales || isLost)
    return std::nullopt;
  return matrix;
}

std::optional<LineMatrix> tenon::describeLines(Operation *op, unsigned axis,
                                               Lowering &lowering) {
  return Description(op, axis, lowering).get();
}

std::optional<LineMatrix> tenon::findLines(Value matrix, unsigned axis,
                                           Lowering &lowering) {
  Operation *op = lowering.dequantization(matrix);
  return op && getType(matrix).getRank() == 2
             ? describeLines(op, axis, lowering)
             : std::nullopt;
}

Value tenon::multiplyByLines(Operation *op, Value rows,
                             const LineMatrix &matrix, Value bias,
                             Lowering &lowering) {
  Location loc = op->getLoc();
  SmallVector<Value> inputs = {rows, matrix.bytes, matrix.scales};
  for (Value optional : {matrix.zeros, bias})
    if (optional)
      inputs.push_back(optional);
  Dims dims = {lowering.dims(rows)[0], lowering.constant(matrix.lines)};
  LaunchBuilder launch =
      lowering.launch(loc, inputs, Result{lowering.element(rows), dims});
  unsigned next = 3;
  auto take = [&](Value present) {
    return present ? launch.input(next++) : Value();
  };
  Value zeros = take(matrix.zeros), added = take(bias);
  OpBuilder &builder = launch.builder();
  Value product = kernel::BlockProductOp::create(
      builder, loc, launch.destination().getType(), launch.input(0),
      launch.input(1), launch.input(2), zeros, added, launch.destination(),
      builder.getI64IntegerAttr(matrix.format.getBits()),
      builder.getI64IntegerAttr(matrix.format.getBlockSize()),
      matrix.format.areSigned() ? builder.getUnitAttr() : UnitAttr());
  return lowering.finish(launch, product).getResult(0);
}

namespace {
/// The lines within a launch that has their tensors as its last inputs.
struct LineReader {
  LineReader(const LineMatrix &matrix, LaunchBuilder &launch)
      : format(matrix.format) {
    unsigned next = launch.getNumInputs() - (matrix.zeros ? 3 : 2);
    bytes = launch.input(next++);
    scales = launch.input(next++);
    if (matrix.zeros)
      zeros = launch.input(next);
  }
  Value decode(OpBuilder &builder, Location loc, Value line, Value column,
               Type type) const;

  BlockedIntegers format;
  Value bytes, scales, zeros;
};
} // namespace

static void addTensors(const LineMatrix &matrix,
                       SmallVectorImpl<Value> &inputs) {
  inputs.append({matrix.bytes, matrix.scales});
  if (matrix.zeros)
    inputs.push_back(matrix.zeros);
}

Value LineReader::decode(OpBuilder &builder, Location loc, Value line,
                         Value column, Type type) const {
  IndexMath math{builder, loc};
  Value block = math.div(column, math.constant(format.getBlockSize()));
  auto read = [&](Value from, Value at) {
    bool isShared = getType(from).getDimSize(0) == 1;
    return math.extract(from, {isShared ? math.constant(0) : line, at});
  };
  Value zero;
  if (zeros && isa<FloatType>(getType(zeros).getElementType()))
    zero = convertFloat(builder, loc, read(zeros, block), type);
  else if (zeros)
    zero = format.unpack(
        builder, loc, [&](Value at) { return read(zeros, at); }, block, type);
  Value scale = convertFloat(builder, loc, read(scales, block), type);
  auto getByte = [&](Value at) { return read(bytes, at); };
  return format.decode(builder, loc, {getByte, scale, zero}, column, type);
}

Value tenon::gatherLines(Operation *op, Value indices, const LineMatrix &matrix,
                         Lowering &lowering) {
  SmallVector<Value> inputs = {indices};
  addTensors(matrix, inputs);
  Value result = op->getResult(0);
  Type element = lowering.element(result);
  LaunchBuilder launch = lowering.launch(
      op->getLoc(), inputs, Result{element, lowering.dims(result)});
  LineReader reader(matrix, launch);
  Type type = getAccumulatorType(element);
  Value count = launch.index(lowering.constant(matrix.lines));
  Value gathered = fillByPosition(
      launch, [&](OpBuilder &b, Location loc, ValueRange position) {
        IndexMath math{b, loc};
        Value raw = math.extract(launch.input(0), position.drop_back());
        Value line = normalizeIndex(b, loc, raw, count);
        Value value = reader.decode(b, loc, line, position.back(), type);
        return convertFloat(b, loc, value, element);
      });
  return lowering.finish(launch, gathered).getResult(0);
}

Value tenon::decodeLines(Operation *op, const LineMatrix &matrix, unsigned axis,
                         Lowering &lowering) {
  SmallVector<Value> inputs;
  addTensors(matrix, inputs);
  Type element = lowering.element(op->getResult(0));
  Dims dims = {lowering.constant(matrix.lines),
               lowering.constant(matrix.length)};
  if (axis == 0)
    std::swap(dims[0], dims[1]);
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), inputs, Result{element, dims});
  LineReader reader(matrix, launch);
  Type type = getAccumulatorType(element);
  Value decoded = fillByPosition(
      launch, [&](OpBuilder &b, Location loc, ValueRange position) {
        Value value =
            reader.decode(b, loc, position[1 - axis], position[axis], type);
        return convertFloat(b, loc, value, element);
      });
  return lowering.finish(launch, decoded).getResult(0);
}
