// Artifacts for a GPU, for the tests with the fake driver.
#ifndef TENON_TEST_RUNTIME_CUDA_CUDAMODELS_H
#define TENON_TEST_RUNTIME_CUDA_CUDAMODELS_H

#include "test/runtime/ArtifactBuilder.h"

namespace tenon::test {

/// Expressions that each kernel made here has, over its only symbol n.
enum KernelExpr : uint32_t { exprN, expr0, expr1, expr4, exprQuarter, exprQuarterBytes };

struct StageSpec {
  uint32_t grid = exprN, threads = 128, shared = 0, cluster = 1;
  bool hasMap = false; // of argument 0, as rows of 4 floats
  bool waitsItself = false;
};

/// A kernel for cuda by its name in the fake driver, and its stages in the first code. Its
/// arguments are f32 of n elements; results of type i64 or bool have one element.
uint32_t addKernel(Model &model, const std::string &name, size_t operands,
                   ElementType result, std::vector<StageSpec> stages,
                   uint32_t workspace = expr0);

/// A model with one code of PTX for compute capability 8.0 and later, whose kernels and
/// program are still to be made.
Model makeCudaModel();

/// Another code with the same kernels; call it when they are there.
format::CodeT &addCode(Model &model, const std::string &target, unsigned capability,
                       bool isExact, format::CodeForm form = format::CodeForm::ptx);

/// Names the stages by their hashes and writes the images; the last call before write().
void nameStages(Model &model);

/// y = (x + x) * w over symbol n in 1..64 on a GPU; w is a scalar weight of value 3.
Model makeCudaScaleModel();

/// The same for the CPU and a GPU.
Model makeScaleModelForBoth();

/// One value of the program as the result of a launch with symbol n.
void cudaLaunch(Steps &steps, uint32_t kernel, std::vector<uint32_t> buffers, uint32_t n,
                const std::string &node);

} // namespace tenon::test

#endif // TENON_TEST_RUNTIME_CUDA_CUDAMODELS_H
