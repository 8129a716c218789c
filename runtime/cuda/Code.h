// The artifact's code for a GPU: which one runs, and its kernels in the GPU's memory.
#ifndef TENON_RUNTIME_CUDA_CODE_H
#define TENON_RUNTIME_CUDA_CODE_H

#include "runtime/core/Artifact.h"
#include "runtime/cuda/Gpu.h"

#include <memory>
#include <string>
#include <vector>

namespace tenon::rt::cuda {

/// Why a GPU does not run the code; empty: it does. A driver of 0 is not known.
std::string whyNot(const Code &code, const GpuFacts &facts);

/// The Code that the GPU runs: an index, or -1 where it runs none.
int chooseCode(const Artifact &artifact, const GpuFacts &facts);

class LoadedCode {
public:
  /// Compiles PTX, unless that was done before on this machine.
  LoadedCode(std::shared_ptr<Gpu> gpu, const Artifact &artifact);
  ~LoadedCode();
  LoadedCode(const LoadedCode &) = delete;
  LoadedCode &operator=(const LoadedCode &) = delete;

  const StagedKernel &kernel(uint32_t index) const { return code->kernels[index]; }
  /// The functions of a kernel's stages.
  const std::vector<CUfunction> &functions(uint32_t index) const { return stages[index]; }

  /// What the driver says of a stage's function.
  struct Use {
    int registers = 0, localBytes = 0;
  };
  Use use(uint32_t kernel, size_t stage) const;

private:
  void loadImages(const Artifact &artifact);
  void loadImage(const Artifact &artifact, size_t index);
  void findFunctions(const Artifact &artifact);
  void prepare(CUfunction function, const Stage &stage);

  const std::shared_ptr<Gpu> gpu;
  const Code *code = nullptr;
  std::vector<CUmodule> modules;
  std::vector<std::vector<CUfunction>> stages;
};

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_CODE_H
