#ifndef TENON_LIB_CONVERSION_KERNELTOPLAN_KERNELNAMES_H
#define TENON_LIB_CONVERSION_KERNELTOPLAN_KERNELNAMES_H

#include "dialects/Kernel/KernelDialect.h"

#include <string>

namespace tenon {

/// The name of a launch's kernel up to its number: "matmul_add_f32". The grammar
/// is in the description of outline-kernels.
std::string getKernelBaseName(kernel::LaunchOp launch);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_KERNELTOPLAN_KERNELNAMES_H
