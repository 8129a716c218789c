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

def FuseEpiloguesPass
    : InterfacePass<"fuse-epilogues", "mlir::FunctionOpInterface"> {
  let summary = "Moves contractions into the elementwise launches after them";
  let description = [{
    A launch that is one sum of products moves into the elementwise launch that is
    its only reader and reads it element by element; bias, activation and residual
    are then computed from the sums while they are in cache. A `kernel.view` between
    the two is moved behind both, where every operand can be reshaped alike.

    ```mlir
    %1 = kernel.launch(%x, %w) ... { sum of products }
    %2 = kernel.view %1 ...
    %3 = kernel.launch(%2, %b) ... { add }
    // becomes
    %2 = kernel.launch(%x, %w, %b) ... { sum of products, add }
    %3 = kernel.view %2 ...
    ```

    Before: functions at kernel level.
    After:  no contraction stands before an elementwise launch that could follow it
            in one launch.
    Numerics: bit-exact.
  }];
  let dependentDialects = [
    "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect",
    "mlir::arith::ArithDialect", "mlir::affine::AffineDialect"
  ];
}

#endif // TENON_TRANSFORMS_FUSE_PASSES_TD
