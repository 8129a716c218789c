#ifndef TENON_TRANSFORMS_FUSE_PASSES_TD
#define TENON_TRANSFORMS_FUSE_PASSES_TD

include "mlir/Pass/PassBase.td"

def FuseElementwiseLaunchesPass
    : InterfacePass<"fuse-elementwise-launches", "mlir::FunctionOpInterface"> {
  let summary = "Moves elementwise launches into the launch that reads them";
  let description = [{
    A launch whose region is one parallel linalg.generic is moved into the launch
    that is its only reader, where that one reads it as an operand of generics;
    the two generics then become one.

    ```mlir
    %1 = kernel.launch(%0) ... { exp }
    %2 = kernel.launch(%1, %w) ... { mul }
    // becomes
    %2 = kernel.launch(%0, %w) ... { mul (exp) }
    ```

    Before: functions at kernel level.
    After:  no elementwise launch with one reader stands before a launch into
            which it fits.
    Numerics: bit-exact.
  }];
  let dependentDialects = [
    "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect",
    "mlir::arith::ArithDialect", "mlir::affine::AffineDialect"
  ];
}

#endif // TENON_TRANSFORMS_FUSE_PASSES_TD
