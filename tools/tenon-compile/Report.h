// What the compiler says to its user: each diagnostic on a line, or, for --explain, a
// list of the nodes that stop the compilation.
#ifndef TENON_TOOLS_TENON_COMPILE_REPORT_H
#define TENON_TOOLS_TENON_COMPILE_REPORT_H

#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/raw_ostream.h"

#include <string>
#include <vector>

namespace tenon::compile {

/// Prints an error or a warning to the standard error, one line each; not remarks.
mlir::LogicalResult report(mlir::Diagnostic &diagnostic);

/// The errors of a compilation that went on after each.
class Obstacles {
public:
  mlir::LogicalResult add(mlir::Diagnostic &diagnostic);
  /// Each with its node, reason and remedy; and how many there are.
  void print(llvm::raw_ostream &os, llvm::StringRef model) const;
  bool empty() const { return obstacles.empty(); }

private:
  struct Obstacle {
    std::string place, reason;
  };
  std::vector<Obstacle> obstacles;
};

} // namespace tenon::compile

#endif // TENON_TOOLS_TENON_COMPILE_REPORT_H
