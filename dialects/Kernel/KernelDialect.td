#ifndef TENON_DIALECTS_KERNEL_KERNELDIALECT_TD
#define TENON_DIALECTS_KERNEL_KERNELDIALECT_TD

include "mlir/IR/DialectBase.td"

def Kernel_Dialect : Dialect {
  let name = "kernel";
  let cppNamespace = "::tenon::kernel";
  let summary = "One operation is one launch on one device";
  let description = [{
    The `kernel` dialect says what runs together. A `kernel.launch` holds the
    computation of one launch as linalg on tensors; fusion decides what is in it
    and nothing below changes that. See README.md beside this file.
  }];
}

#endif // TENON_DIALECTS_KERNEL_KERNELDIALECT_TD
