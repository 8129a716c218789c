#ifndef TENON_LIB_TARGET_ARTIFACT_PROGRAMSYMBOLS_H
#define TENON_LIB_TARGET_ARTIFACT_PROGRAMSYMBOLS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "tenon/Target/Format/ExprPool.h"

#include <optional>
#include <vector>

namespace tenon {

/// The symbols of a function, as the program has them: only those that it uses,
/// in the order of use; one that is defined by others becomes nodes.
class ProgramSymbols {
public:
  explicit ProgramSymbols(mlir::func::FuncOp function) : function(function) {}

  /// The node of symbol number `symbol` of the function.
  uint32_t getNode(ExprPool &exprs, unsigned symbol);
  /// The program's index of a symbol that is `expr`, unless others define it.
  std::optional<uint32_t> findBound(mlir::AffineExpr expr);
  /// The program's index of a symbol; it becomes one that data sets.
  uint32_t getDataIndex(unsigned symbol);

  std::vector<flatbuffers::Offset<format::Symbol>>
  write(flatbuffers::FlatBufferBuilder &builder);

  /// Fails, with a diagnostic, if a symbol is used that no input's dimension
  /// gives.
  mlir::LogicalResult checkBound();

private:
  struct Used {
    unsigned symbol;
    bool isData = false;
  };
  uint32_t getIndex(unsigned symbol);
  mlir::DictionaryAttr getDefinition(unsigned symbol);

  mlir::func::FuncOp function;
  std::vector<Used> used;
};

} // namespace tenon

#endif // TENON_LIB_TARGET_ARTIFACT_PROGRAMSYMBOLS_H
