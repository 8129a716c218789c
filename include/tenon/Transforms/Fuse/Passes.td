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
    With `twins`, the launch that takes it may itself have taken a product, if that is
    one of the same rows in loops that are alike: a gate and what it gates are one launch.

    ```mlir
    %1 = kernel.launch(%x, %w) ... { sum of products }
    %2 = kernel.view %1 ...
    %3 = kernel.launch(%2, %b) ... { add }
    // becomes
    %2 = kernel.launch(%x, %w, %b) ... { sum of products, add }
    %3 = kernel.view %2 ...

    %1 = kernel.launch(%x, %w) ... { sum of products }
    %2 = kernel.launch(%x, %v, %1) ... { sum of products, multiply by silu of %1 }
    // becomes, with twins
    %2 = kernel.launch(%x, %w, %v) ... { both sums of products, multiply }
    ```

    Before: functions at kernel level.
    After:  no contraction stands before an elementwise launch that could follow it
            in one launch, nor, with twins, before a product of the same rows that could.
    Numerics: bit-exact.
  }];
  let options = [
    Option<"twins", "twins", "bool", /*default=*/"false",
           "Also move a product into the launch of one of the same rows">
  ];
  let dependentDialects = [
    "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect",
    "mlir::arith::ArithDialect", "mlir::affine::AffineDialect"
  ];
}

def JoinLaunchesPass
    : InterfacePass<"join-launches", "mlir::FunctionOpInterface"> {
  let summary = "Puts launches that do not depend on one another into one";
  let description = [{
    Two kinds of launches are joined, up to four at a time, where none needs a result
    of another: products of the same rows, each with columns of its own, and
    neighbours whose loops are all parallel. The joined launch stands where the first
    of them stood, has the results of all, and makes them apart: its body falls into
    parts that share nothing but inputs, and a target runs the parts side by side.

    ```mlir
    %q = kernel.launch(%x, %wq) ... { sum of products }
    %k = kernel.launch(%x, %wk) ... { sum of products }
    // becomes
    %q, %k = kernel.launch(%x, %wq, %wk) ... { both sums of products }
    ```

    Before: functions at kernel level, with weights laid out.
    After:  no launch could have been joined with one before it.
    Numerics: bit-exact.
  }];
  let dependentDialects = [
    "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect",
    "mlir::arith::ArithDialect", "mlir::affine::AffineDialect"
  ];
}

def FuseProloguesPass
    : InterfacePass<"fuse-prologues", "mlir::FunctionOpInterface"> {
  let summary = "Moves norms into the products that read their rows";
  let description = [{
    A launch that makes rows from sums over their elements moves into the launch that
    is its only reader, where all of that one's products read them as their rows and
    have few columns together: for one row, each block makes it anew, which takes less
    time than a launch; for more rows the target makes them before the products.

    ```mlir
    %h = kernel.launch(%x, %s) ... { norm }
    %q, %k = kernel.launch(%h, %wq, %wk) ... { both sums of products }
    // becomes
    %q, %k = kernel.launch(%x, %s, %wq, %wk) ... { norm, both sums of products }
    ```

    Before: functions at kernel level, for a device whose kernels are stages.
    After:  no norm stands before products that could make its rows themselves.
    Numerics: bit-exact.
  }];
  let dependentDialects = [
    "mlir::linalg::LinalgDialect", "mlir::tensor::TensorDialect",
    "mlir::arith::ArithDialect", "mlir::affine::AffineDialect"
  ];
}

#endif // TENON_TRANSFORMS_FUSE_PASSES_TD
