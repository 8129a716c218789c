#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_LOWERING_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_LOWERING_H

#include "LaunchBuilder.h"
#include "Scalars.h"

#include "tenon/Analysis/Shapes/ShapeAnalysis.h"

#include "llvm/ADT/StringMap.h"

namespace tenon {

/// What a lowering needs to turn one ONNX operation into kernel-level ones.
class Lowering {
public:
  /// `numReserved` symbols can be added to those of the shapes.
  Lowering(mlir::OpBuilder &builder, const ShapeAnalysis &shapes,
           unsigned numReserved);

  mlir::OpBuilder &builder;
  /// Whether to go on after an operation that cannot be lowered, and whether
  /// there was one.
  bool keepGoing = false, hasFailures = false;
  /// Whether the parts of attention are launches' business, not a kernel's.
  bool splitsAttention = true;
  /// Whether kernels are divided among the threads of a device.
  bool isForThreads = false;
  /// Whether windows are padded by the launch that reads them.
  bool padsWithin = false;
  /// Puts values that stand for nothing in the place of the operation's
  /// results.
  void replaceFailed(mlir::Operation *op);
  /// Whether a value depends on an operation that failed, so that nothing is
  /// known of it.
  bool isUnknown(mlir::Value value) const { return unknown.contains(value); }

  /// Dimensions of a value over the function's symbols.
  Dims dims(mlir::Value value) const;
  /// Elements of an integer tensor, where they are known as expressions.
  std::optional<Dims> elements(mlir::Value value) const;
  /// The same, where each is a constant.
  std::optional<llvm::SmallVector<int64_t>> constants(mlir::Value value) const;
  /// Attribute `axis` of an operator, `otherwise` where it is absent, counted
  /// from 0.
  mlir::FailureOr<int64_t> axis(mlir::Operation *op, int64_t otherwise,
                                int64_t rank) const;
  /// Elements of a small float tensor that is a constant.
  std::optional<llvm::SmallVector<double>> floats(mlir::Value value) const;
  /// The only element of a constant with one element, as an attribute.
  mlir::TypedAttr scalar(mlir::Value value) const;
  Operand operand(mlir::Value value) const { return {value, dims(value)}; }
  mlir::Type element(mlir::Value value) const;
  /// How the value's elements are read: types no longer say what is unsigned.
  ElementKind kind(mlir::Value value) const;
  void markUnsigned(mlir::Value value) { unsignedValues.insert(value); }
  /// An expression for a constant.
  mlir::AffineExpr constant(int64_t value) const;
  mlir::AffineExpr product(llvm::ArrayRef<mlir::AffineExpr> dims) const;
  /// Attribute `axis` where the operator has one; else axis 0 of `value`, which
  /// becomes a view of all its elements in a row.
  mlir::FailureOr<int64_t> axisOrFlat(mlir::Operation *op, mlir::Value &value);

  unsigned getNumSymbols() const {
    return shapes.getSymbols().size() + numReserved;
  }
  /// A symbol that data sets and the shapes do not have; one of the reserved.
  mlir::AffineExpr addSymbol();
  unsigned getNumAddedSymbols() const { return numAdded; }
  /// The shapes' symbol that `expr` is, if it stands for a dimension (an
  /// element) of `value`; else null.
  const Symbol *findDimension(mlir::AffineExpr expr, mlir::Value value) const;
  /// From here on `symbol` has the value of an element of `source`, a lowered
  /// value of 64-bit or 32-bit integers.
  void readSymbol(mlir::AffineExpr symbol, mlir::Value source,
                  unsigned element);
  /// The dimensions of `result` that only its operator's data tell.
  llvm::SmallVector<const Symbol *> foundDims(mlir::Value result) const;
  /// Emits the size of dimension `axis` as an index.
  using DimBody =
      llvm::function_ref<mlir::Value(LaunchBuilder &, unsigned axis)>;
  /// Launches a kernel that computes the found dimensions of `result` from
  /// `inputs`, and reads their symbols; no launch where there are none.
  void readDims(mlir::Value result, llvm::ArrayRef<mlir::Value> inputs,
                DimBody emit);
  /// Ends the run with an error where two sizes differ.
  void check(mlir::Location loc, mlir::AffineExpr a, mlir::AffineExpr b);
  /// Emits the checks that `op` asks for, as soon as what they compare is
  /// known.
  void checkFacts(mlir::Operation *op);
  /// The symbols in `expr` that data sets and that have no value yet.
  llvm::SmallVector<mlir::AffineExpr> findUnread(mlir::AffineExpr expr) const;
  /// Reads the symbols that stand for elements of `value` from it, now that
  /// `lowered` has them.
  mlir::LogicalResult readElements(mlir::Value value, mlir::Value lowered);
  /// Takes an operation out; it is destroyed when all are lowered, so that no
  /// new value has the address of an old one.
  void retire(mlir::Operation *op) {
    op->remove();
    retired.push_back(op);
  }
  void destroyRetired();
  /// What replaced a result or an argument of an onnx region.
  mlir::Value getLowered(mlir::Value value) const {
    mlir::Value lowered = replacements.lookup(value);
    return lowered ? lowered : value;
  }
  /// x, where `value` is a matrix made by transposing x; else null.
  mlir::Value transposedSource(mlir::Value value) const {
    return transposed.lookup(value);
  }
  void setTransposed(mlir::Value value, mlir::Value source) {
    transposed[value] = source;
  }
  /// The DequantizeLinear of a weight that made `value`; else null.
  mlir::Operation *dequantization(mlir::Value value) const {
    return dequantizations.lookup(value);
  }
  void setDequantization(mlir::Value value, mlir::Operation *op) {
    dequantizations[value] = op;
  }

  LaunchBuilder launch(mlir::Location loc, llvm::ArrayRef<mlir::Value> inputs,
                       llvm::ArrayRef<Result> results);
  /// `value` under other dimensions.
  mlir::Value view(mlir::Location loc, mlir::Value value,
                   llvm::ArrayRef<mlir::AffineExpr> dims);
  /// Records the dimensions of a new value.
  void setDims(mlir::Value value, Dims dims) {
    newDims[value] = std::move(dims);
  }
  /// `value` with every dimension that may be 1 at run time repeated to that of
  /// `to` (its trailing dimensions aligned); those that are the constant 1
  /// stay.
  mlir::Value broadcast(mlir::Location loc, mlir::Value value,
                        llvm::ArrayRef<mlir::AffineExpr> to);
  /// Ends a launch and records its results' dimensions.
  kernel::LaunchOp finish(LaunchBuilder &launch, mlir::ValueRange values);
  /// Replaces the operation's first results by `values`.
  void replace(mlir::Operation *op, mlir::ValueRange values);
  void replace(mlir::Value value, mlir::Value by);
  /// `value` with a type that has the same dimensions, static ones or not.
  mlir::Value retype(mlir::Location loc, mlir::Value value, mlir::Type type);
  /// An i64 tensor of expressions, made on the host.
  mlir::Value hostTensor(mlir::Location loc,
                         llvm::ArrayRef<mlir::AffineExpr> elements);

private:
  void checkPending();

  const ShapeAnalysis &shapes;
  unsigned numReserved, numAdded = 0;
  /// By symbol: whether something has set it.
  llvm::SmallVector<bool> isRead;
  llvm::DenseMap<mlir::Value, mlir::Value> replacements;
  llvm::SmallVector<mlir::Operation *> retired;
  llvm::DenseMap<mlir::Value, Dims> newDims;
  llvm::DenseMap<mlir::Value, mlir::Value> originals; // that a value replaced
  llvm::DenseSet<mlir::Value> unsignedValues, unknown;
  llvm::DenseMap<mlir::Value, mlir::Value> transposed;
  llvm::DenseMap<mlir::Value, mlir::Operation *> dequantizations;
  llvm::SmallVector<SizeFact> pending; // of operations lowered so far
};

/// The map that reads an operand of dimensions `from` in the iteration space of
/// `to`, its trailing dimensions aligned and those of size 1 repeated.
mlir::AffineMap getBroadcastMap(mlir::MLIRContext *context,
                                llvm::ArrayRef<mlir::AffineExpr> from,
                                llvm::ArrayRef<mlir::AffineExpr> to);

/// The type in which products of elements are summed: f32 for smaller floats,
/// i32 for smaller integers.
mlir::Type getAccumulatorType(mlir::Type element);
/// sum + a * b, floats and signed integers widened to the sum's type.
mlir::Value multiplyAdd(mlir::OpBuilder &builder, mlir::Location loc,
                        mlir::Value a, mlir::Value b, mlir::Value sum);
/// A float as one of `type`.
mlir::Value convertFloat(mlir::OpBuilder &builder, mlir::Location loc,
                         mlir::Value value, mlir::Type type);

/// Lowers the operations of a block, all but its terminator, and erases them.
mlir::LogicalResult lowerBlock(mlir::Block &block, Lowering &lowering);
/// The grouped convolution of `x` with `w` as the attributes of `op` say, whose
/// first operand has the dimensions of `x`. Integers are signed; small ones
/// give i32.
mlir::Value convolve(mlir::Operation *op, mlir::Value x, mlir::Value w,
                     mlir::Value bias, Lowering &lowering);
/// a times b as MatMul multiplies, the result in the dimensions of that of
/// `op`. Integers as in convolve.
mlir::Value multiplyMatrices(mlir::Operation *op, mlir::Value a, mlir::Value b,
                             Lowering &lowering);

using LoweringFunction = mlir::LogicalResult (*)(mlir::Operation *, Lowering &);
/// By operation name, `onnx.` included.
using LoweringTable = llvm::StringMap<LoweringFunction>;

void addAttentionLowerings(LoweringTable &table);
void addBlockWeightLowerings(LoweringTable &table);
void addCacheLowerings(LoweringTable &table);
void addChannelNormalizationLowerings(LoweringTable &table);
void addConstantLowerings(LoweringTable &table);
void addContractionLowerings(LoweringTable &table);
void addControlFlowLowerings(LoweringTable &table);
void addConvolutionLowerings(LoweringTable &table);
void addDeconvolutionLowerings(LoweringTable &table);
void addEinsumLowerings(LoweringTable &table);
void addElementwiseLowerings(LoweringTable &table);
void addEncoderLowerings(LoweringTable &table);
void addFoundSizeLowerings(LoweringTable &table);
void addGeneratorLowerings(LoweringTable &table);
void addRandomLowerings(LoweringTable &table);
void addIndexingLowerings(LoweringTable &table);
void addMachineLearningLowerings(LoweringTable &table);
void addMovementLowerings(LoweringTable &table);
void addNonMaxSuppressionLowerings(LoweringTable &table);
void addNormalizationLowerings(LoweringTable &table);
void addPaddingLowerings(LoweringTable &table);
void addPoolingLowerings(LoweringTable &table);
void addQuantizationLowerings(LoweringTable &table);
void addRearrangeLowerings(LoweringTable &table);
void addRecurrenceLowerings(LoweringTable &table);
void addReductionLowerings(LoweringTable &table);
void addResizeLowerings(LoweringTable &table);
void addRotaryLowerings(LoweringTable &table);
void addRunningLowerings(LoweringTable &table);
void addSamplingLowerings(LoweringTable &table);
void addScatterLowerings(LoweringTable &table);
void addSearchLowerings(LoweringTable &table);
void addSignalLowerings(LoweringTable &table);
void addSliceLowerings(LoweringTable &table);
void addSupportVectorLowerings(LoweringTable &table);
void addTreeEnsembleLowerings(LoweringTable &table);
void addTreeEnsembleTensorsLowerings(LoweringTable &table);
void addUniqueLowerings(LoweringTable &table);
void addViewLowerings(LoweringTable &table);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_LOWERING_H
