// The state of one analysis, and a node as its shape function sees it.

#ifndef TENON_LIB_ANALYSIS_SHAPES_INFERENCE_H
#define TENON_LIB_ANALYSIS_SHAPES_INFERENCE_H

#include "SymbolTable.h"

#include "tenon/Analysis/Shapes/ShapeAnalysis.h"

#include <unordered_map>

namespace tenon {

using Dims = llvm::SmallVector<mlir::AffineExpr>;

/// value / divisor; a null value is unknown. Integers have divisor 1.
struct Element {
  mlir::AffineExpr value;
  int64_t divisor = 1;

  /// The integer, if it is a known constant.
  std::optional<int64_t> getConstant() const {
    auto constant = llvm::dyn_cast_or_null<mlir::AffineConstantExpr>(value);
    return constant && divisor == 1 ? std::optional(constant.getValue())
                                    : std::nullopt;
  }
};
using Elements = llvm::SmallVector<Element>;

struct ValueHash {
  size_t operator()(mlir::Value value) const {
    return llvm::DenseMapInfo<mlir::Value>::getHashValue(value);
  }
};
/// Entries stay where they are when others come.
template <typename T>
using ValueMap = std::unordered_map<mlir::Value, T, ValueHash>;

class Node;
/// Sets what is known of a node's results. Failure is an error it has reported.
using ShapeFunction = mlir::LogicalResult (*)(Node &);
using ShapeTable = llvm::StringMap<ShapeFunction>;

class Inference {
public:
  Inference(mlir::func::FuncOp function, const ShapeOptions &options);

  mlir::FailureOr<ShapeAnalysis> run();

  /// Null if unknown.
  const Dims *getDims(mlir::Value value) const;
  const Elements *getElements(mlir::Value value) const;
  /// A null dimension becomes a symbol that is read when the value is there.
  void setDims(mlir::Value value, Dims dims);
  void setElements(mlir::Value value, Elements elements);
  void forget(mlir::Value value) {
    dims.erase(value);
    elements.erase(value);
  }
  mlir::LogicalResult inferBlock(mlir::Block &block);
  /// The rank that the model declares for a value, or that its users need.
  std::optional<int64_t> getDeclaredRank(mlir::Value value) const {
    auto known = ranks.find(value);
    return known == ranks.end() ? std::nullopt : std::optional(known->second);
  }
  /// `a` and `b` are equal wherever the model runs.
  void unify(mlir::AffineExpr a, mlir::AffineExpr b, mlir::Operation *op) {
    changed |= symbols.unify(a, b, op);
  }
  /// `a` and `b` are equal, or one of them is 1.
  void addBroadcast(mlir::AffineExpr a, mlir::AffineExpr b,
                    mlir::Operation *op) {
    broadcasts.push_back({a, b, SizeFact::Relation::Broadcasts, op});
  }
  /// `op` is an error unless `a` >= `b`.
  void assumeAtLeast(mlir::AffineExpr a, mlir::AffineExpr b,
                     mlir::Operation *op) {
    changed |= symbols.assumeAtLeast(a, b, op);
  }

  SymbolTable symbols;

private:
  void seedSymbols();
  void seedArguments();
  void findRanks();
  mlir::LogicalResult infer(mlir::Operation *op);
  void inferByFallback(mlir::Operation *op);
  void inferConstant(mlir::Operation *op);
  void setTypeDims(mlir::Value value, mlir::Type type);
  ShapeAnalysis finish();

  mlir::func::FuncOp function;
  const ShapeOptions &options;
  const ShapeTable &table;
  ValueMap<Dims> dims;
  ValueMap<Elements> elements;
  ValueMap<int64_t> ranks;                // that the model declares
  llvm::SmallVector<SizeFact> broadcasts; // of the current round
  bool changed = false;
};

/// An operation with what is known of its inputs. Positions are ONNX's.
class Node {
public:
  Node(mlir::Operation *op, Inference &inference);

  mlir::Operation *op;
  Inference &inference;
  SymbolTable &symbols;
  llvm::SmallVector<mlir::Value> inputs, outputs;

  /// The operator's name, with `ms.` where it is of com.microsoft.
  llvm::StringRef getName() const;
  bool hasInput(unsigned index) const {
    return index < inputs.size() && inputs[index];
  }
  mlir::Value getInput(unsigned index) const {
    return index < inputs.size() ? inputs[index] : mlir::Value();
  }
  /// Null if absent or unknown.
  const Dims *getDims(unsigned input) const {
    return hasInput(input) ? inference.getDims(inputs[input]) : nullptr;
  }
  const Elements *getElements(unsigned input) const {
    return hasInput(input) ? inference.getElements(inputs[input]) : nullptr;
  }
  /// The input's elements, if all are constant integers.
  std::optional<llvm::SmallVector<int64_t>> getConstants(unsigned input) const;
  /// The elements of a scalar or short list of sizes; what is unknown becomes a
  /// symbol that is read when the value is there. Null where the length is
  /// unknown.
  const Elements *demandElements(unsigned input);
  /// The length of a list such as `axes`, if static.
  std::optional<int64_t> getLength(unsigned input) const;
  /// From here on, an input that is a list has `length` elements.
  mlir::LogicalResult fixLength(unsigned input, int64_t length);
  /// The rank that the model declares for an output.
  std::optional<int64_t> getDeclaredRank(unsigned output) const;

  int64_t getInt(llvm::StringRef name, int64_t standard) const;
  std::optional<int64_t> getInt(llvm::StringRef name) const;
  std::optional<llvm::ArrayRef<int64_t>> getInts(llvm::StringRef name) const;
  llvm::StringRef getString(llvm::StringRef name,
                            llvm::StringRef standard) const;

  void setDims(unsigned output, Dims dims) {
    if (output < outputs.size() && outputs[output])
      inference.setDims(outputs[output], std::move(dims));
  }
  void setElements(unsigned output, Elements elements) {
    if (output < outputs.size() && outputs[output])
      inference.setElements(outputs[output], std::move(elements));
  }
  bool isIntegral(unsigned output) const;

  mlir::AffineExpr constant(int64_t value) const {
    return symbols.constant(value);
  }
  /// An axis or a list of axes counted from the front.
  mlir::FailureOr<int64_t> getAxis(int64_t axis, int64_t rank);
  mlir::LogicalResult normalizeAxes(llvm::MutableArrayRef<int64_t> axes,
                                    int64_t rank);
  /// Two dimensions that must be the same.
  mlir::FailureOr<mlir::AffineExpr>
  merge(mlir::AffineExpr a, mlir::AffineExpr b, llvm::StringRef what);
  /// Two dimensions of operands of a broadcast.
  mlir::FailureOr<mlir::AffineExpr> broadcast(mlir::AffineExpr a,
                                              mlir::AffineExpr b);
  mlir::FailureOr<Dims> broadcast(llvm::ArrayRef<mlir::AffineExpr> a,
                                  llvm::ArrayRef<mlir::AffineExpr> b);
  /// `other` is broadcast to `dims`, which stay as they are.
  mlir::LogicalResult broadcastTo(llvm::ArrayRef<mlir::AffineExpr> dims,
                                  llvm::ArrayRef<mlir::AffineExpr> other);
  mlir::LogicalResult expectRank(unsigned input, int64_t rank);

  /// A diagnostic that begins with the node's name and operator.
  mlir::InFlightDiagnostic error() const;
};

/// Static sizes, if all are.
std::optional<llvm::SmallVector<int64_t>>
getStatic(llvm::ArrayRef<mlir::AffineExpr> dims);
/// How many elements, if it is known and at most ShapeAnalysis::kMaxElements.
std::optional<int64_t> getSmallSize(llvm::ArrayRef<mlir::AffineExpr> dims);
Element makeElement(SymbolTable &symbols, mlir::AffineExpr value,
                    int64_t divisor);

const ShapeTable &getShapeTable();
void addElementwise(ShapeTable &table);
void addReshapes(ShapeTable &table);
void addMachineLearning(ShapeTable &table);
void addMovement(ShapeTable &table);
void addSlices(ShapeTable &table);
void addIndexing(ShapeTable &table);
void addGenerators(ShapeTable &table);
void addReductions(ShapeTable &table);
void addContractions(ShapeTable &table);
void addWindows(ShapeTable &table);
void addAttention(ShapeTable &table);
void addRecurrence(ShapeTable &table);
void addSampling(ShapeTable &table);
void addControlFlow(ShapeTable &table);

} // namespace tenon

#endif // TENON_LIB_ANALYSIS_SHAPES_INFERENCE_H
