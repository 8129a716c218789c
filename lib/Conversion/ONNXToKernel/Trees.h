// Trees of decisions as tables, whatever form of an operator they came from.

#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_TREES_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_TREES_H

#include "Lowering.h"

namespace tenon {

/// All trees' nodes in one numbering; a leaf's weights lie together.
struct Trees {
  enum Mode : int32_t {
    Leaf,
    LessEqual,
    Less,
    GreaterEqual,
    Greater,
    Equal,
    NotEqual,
    Member
  };
  enum class Aggregate { Average, Sum, Min, Max };

  mlir::Type real; // f32 or f64: of all numbers
  llvm::SmallVector<int32_t> feature, mode, yes, no, missing; // by node
  llvm::SmallVector<double> value;
  llvm::SmallVector<int32_t> roots;      // by tree
  llvm::SmallVector<int32_t> first, end; // by node: its weights
  llvm::SmallVector<int32_t> target;     // by weight
  llvm::SmallVector<double> weight;
  /// By node: the values that Member looks for. Empty without such a node.
  llvm::SmallVector<int32_t> firstMember, endMember;
  llvm::SmallVector<double> member;
};

/// The leaf of each row [rows, trees].
mlir::Value findLeaves(mlir::Operation *op, const Trees &trees,
                       Lowering &lowering);

/// The leaves' weights for each target [rows, targets], plus the base values.
mlir::Value sumLeaves(mlir::Operation *op, const Trees &trees,
                      mlir::Value leaves, int64_t targets,
                      Trees::Aggregate aggregate, llvm::ArrayRef<float> base,
                      Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_TREES_H
