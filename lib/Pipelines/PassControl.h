// Which passes of a compilation run, for those who look for the one at fault.

#ifndef TENON_LIB_PIPELINES_PASSCONTROL_H
#define TENON_LIB_PIPELINES_PASSCONTROL_H

#include "tenon/Analysis/Shapes/ShapeAnalysis.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/Pass/Pass.h"

#include <string>

namespace tenon {

/// Lets the first `limit` passes of a compilation run, and of the later ones
/// those that lowering cannot do without. A pass over two functions counts
/// twice. After the pass `faulty`, where it is named, a sum becomes a
/// difference: tests of tenon-debug plant a fault in this way.
class PassControl {
public:
  /// `limit` -1: all.
  PassControl(int limit, llvm::StringRef faulty, ShapeOptions shapes)
      : limit(limit), faulty(faulty), shapes(std::move(shapes)) {}

  /// From now on each pass of `context` asks this object, which has to live as
  /// long as passes run.
  void attach(mlir::MLIRContext &context);

private:
  void run(llvm::function_ref<void()> pass,
           const mlir::PassExecutionAction &action);
  void plantFault(mlir::Operation *op);

  int limit;
  std::string faulty;
  ShapeOptions shapes;
  int count = 0;
  bool isPlanted = false;
};

} // namespace tenon

#endif // TENON_LIB_PIPELINES_PASSCONTROL_H
