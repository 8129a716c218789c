// The part of the CUDA driver's interface that the runtime uses, declared here: types,
// numbers and functions of libcuda.so.1, which is loaded when the first session on a GPU
// is made. Nothing links it and no header of a toolkit is needed.
#ifndef TENON_RUNTIME_CUDA_DRIVER_H
#define TENON_RUNTIME_CUDA_DRIVER_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace tenon::rt::cuda {

// Handles and numbers under the driver's names.
using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st *;
using CUmodule = struct CUmod_st *;
using CUfunction = struct CUfunc_st *;
using CUstream = struct CUstream_st *;
using CUevent = struct CUevent_st *;
using CUlinkState = struct CUlinkState_st *;
using CUgraph = struct CUgraph_st *;
using CUgraphNode = struct CUgraphNode_st *;
using CUgraphExec = struct CUgraphExec_st *;

enum : CUresult {
  success = 0,
  errorOutOfMemory = 2,
  errorStubLibrary = 34,
  errorDeviceUnavailable = 46,
  errorNoDevice = 100,
  errorEccUncorrectable = 214,
  errorNoBinaryForGpu = 209,
  errorInvalidPtx = 218,
  errorNvlinkUncorrectable = 220,
  errorUnsupportedPtxVersion = 222,
  errorContained = 226,
  errorNotFound = 500,
  errorIllegalAddress = 700,
  errorTensorMemoryLeak = 721,
  errorUnknown = 999
};

// CUdevice_attribute
enum : int {
  attributeMaxSharedPerBlock = 97,
  attributeCapabilityMajor = 75,
  attributeCapabilityMinor = 76
};

// CUfunction_attribute
enum : int {
  functionLocalBytes = 3,
  functionRegisters = 4,
  functionMaxDynamicShared = 8,
  functionNonPortableCluster = 14
};

// CUjit_option and CUjitInputType
enum : int { jitErrorLog = 5, jitErrorLogSize = 6, jitInputPtx = 1 };

constexpr unsigned streamNonBlocking = 1, eventWithoutTiming = 2;

/// 128 opaque bytes that a kernel takes by value.
struct alignas(128) CUtensorMap {
  uint64_t opaque[16];
};

// CUlaunchAttribute: a number, padding, a union of 64 bytes.
enum : int { launchAttributeCluster = 4, launchAttributeSerialization = 6 };
struct CUlaunchAttribute {
  int id;
  int padding;
  union {
    char bytes[64];
    struct {
      unsigned x, y, z;
    } cluster;
    int isProgrammatic;
  };
};
static_assert(sizeof(CUlaunchAttribute) == 72);

struct CUlaunchConfig {
  unsigned gridX, gridY, gridZ;
  unsigned blockX, blockY, blockZ;
  unsigned sharedBytes;
  CUstream stream;
  CUlaunchAttribute *attributes;
  unsigned numAttributes;
};
static_assert(sizeof(CUlaunchConfig) == 56);

// CUDA_KERNEL_NODE_PARAMS_v2
struct CUkernelNodeParams {
  CUfunction function;
  unsigned gridX, gridY, gridZ;
  unsigned blockX, blockY, blockZ;
  unsigned sharedBytes;
  void **parameters;
  void **extra;
  void *kernel;
  CUcontext context;
};
static_assert(sizeof(CUkernelNodeParams) == 72);

// CUgraphEdgeData: from the port of a kernel where its dependents may begin.
struct CUgraphEdge {
  unsigned char fromPort, toPort, type, reserved[5];
};
static_assert(sizeof(CUgraphEdge) == 8);
constexpr CUgraphEdge programmaticEdge = {/*CU_GRAPH_KERNEL_NODE_PORT_PROGRAMMATIC*/ 1, 0,
                                          /*CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC*/ 1, {}};

// CUDA_MEMCPY3D_v2; `memoryType` is a CUmemorytype.
enum : unsigned { memoryOfHost = 1, memoryOfDevice = 2 };
struct CUmemcpySide {
  size_t x, y, z, level;
  unsigned memoryType;
  CUdeviceptr host; // an address
  CUdeviceptr device;
  void *array, *reserved;
  size_t pitch, height;
};
struct CUmemcpy3D {
  CUmemcpySide source, target;
  size_t width, height, depth;
};
static_assert(sizeof(CUmemcpy3D) == 200 && offsetof(CUmemcpy3D, target) == 88);

/// The functions, each under its name in the library.
#define TENON_CUDA_FUNCTIONS(F)                                                            \
  F(cuInit, "cuInit", (unsigned))                                                          \
  F(cuDriverGetVersion, "cuDriverGetVersion", (int *))                                     \
  F(cuGetErrorName, "cuGetErrorName", (CUresult, const char **))                           \
  F(cuGetErrorString, "cuGetErrorString", (CUresult, const char **))                       \
  F(cuDeviceGetCount, "cuDeviceGetCount", (int *))                                         \
  F(cuDeviceGet, "cuDeviceGet", (CUdevice *, int))                                         \
  F(cuDeviceGetName, "cuDeviceGetName", (char *, int, CUdevice))                           \
  F(cuDeviceGetAttribute, "cuDeviceGetAttribute", (int *, int, CUdevice))                  \
  F(cuPrimaryRetain, "cuDevicePrimaryCtxRetain", (CUcontext *, CUdevice))                  \
  F(cuPrimaryRelease, "cuDevicePrimaryCtxRelease_v2", (CUdevice))                          \
  F(cuPrimaryReset, "cuDevicePrimaryCtxReset_v2", (CUdevice))                              \
  F(cuCtxGetCurrent, "cuCtxGetCurrent", (CUcontext *))                                     \
  F(cuCtxSetCurrent, "cuCtxSetCurrent", (CUcontext))                                       \
  F(cuCtxSynchronize, "cuCtxSynchronize", ())                                              \
  F(cuMemGetInfo, "cuMemGetInfo_v2", (size_t *, size_t *))                                 \
  F(cuMemAlloc, "cuMemAlloc_v2", (CUdeviceptr *, size_t))                                  \
  F(cuMemFree, "cuMemFree_v2", (CUdeviceptr))                                              \
  F(cuMemHostAlloc, "cuMemHostAlloc", (void **, size_t, unsigned))                         \
  F(cuMemFreeHost, "cuMemFreeHost", (void *))                                              \
  F(cuMemcpyHtoD, "cuMemcpyHtoD_v2", (CUdeviceptr, const void *, size_t))                  \
  F(cuMemcpyDtoH, "cuMemcpyDtoH_v2", (void *, CUdeviceptr, size_t))                        \
  F(cuMemcpyDtoD, "cuMemcpyDtoD_v2", (CUdeviceptr, CUdeviceptr, size_t))                   \
  F(cuMemsetD8, "cuMemsetD8_v2", (CUdeviceptr, unsigned char, size_t))                     \
  F(cuMemcpyHtoDAsync, "cuMemcpyHtoDAsync_v2",                                             \
    (CUdeviceptr, const void *, size_t, CUstream))                                         \
  F(cuMemcpyDtoHAsync, "cuMemcpyDtoHAsync_v2", (void *, CUdeviceptr, size_t, CUstream))    \
  F(cuMemcpyDtoDAsync, "cuMemcpyDtoDAsync_v2",                                             \
    (CUdeviceptr, CUdeviceptr, size_t, CUstream))                                          \
  F(cuStreamCreate, "cuStreamCreate", (CUstream *, unsigned))                              \
  F(cuStreamDestroy, "cuStreamDestroy_v2", (CUstream))                                     \
  F(cuStreamWaitEvent, "cuStreamWaitEvent", (CUstream, CUevent, unsigned))                 \
  F(cuEventCreate, "cuEventCreate", (CUevent *, unsigned))                                 \
  F(cuEventRecord, "cuEventRecord", (CUevent, CUstream))                                   \
  F(cuEventElapsedTime, "cuEventElapsedTime", (float *, CUevent, CUevent))                 \
  F(cuStreamWaitValue32, "cuStreamWaitValue32_v2",                                         \
    (CUstream, CUdeviceptr, uint32_t, unsigned))                                           \
  F(cuEventSynchronize, "cuEventSynchronize", (CUevent))                                   \
  F(cuEventDestroy, "cuEventDestroy_v2", (CUevent))                                        \
  F(cuStreamSynchronize, "cuStreamSynchronize", (CUstream))                                \
  F(cuLinkCreate, "cuLinkCreate_v2", (unsigned, int *, void **, CUlinkState *))            \
  F(cuLinkAddData, "cuLinkAddData_v2",                                                     \
    (CUlinkState, int, void *, size_t, const char *, unsigned, int *, void **))            \
  F(cuLinkComplete, "cuLinkComplete", (CUlinkState, void **, size_t *))                    \
  F(cuLinkDestroy, "cuLinkDestroy", (CUlinkState))                                         \
  F(cuModuleLoadDataEx, "cuModuleLoadDataEx",                                              \
    (CUmodule *, const void *, unsigned, int *, void **))                                  \
  F(cuModuleUnload, "cuModuleUnload", (CUmodule))                                          \
  F(cuModuleGetFunction, "cuModuleGetFunction", (CUfunction *, CUmodule, const char *))    \
  F(cuFuncGetAttribute, "cuFuncGetAttribute", (int *, int, CUfunction))                    \
  F(cuFuncSetAttribute, "cuFuncSetAttribute", (CUfunction, int, int))                      \
  F(cuLaunchKernelEx, "cuLaunchKernelEx",                                                  \
    (const CUlaunchConfig *, CUfunction, void **, void **))                                \
  F(cuGraphCreate, "cuGraphCreate", (CUgraph *, unsigned))                                 \
  F(cuGraphDestroy, "cuGraphDestroy", (CUgraph))                                           \
  F(cuGraphAddKernelNode, "cuGraphAddKernelNode_v2",                                       \
    (CUgraphNode *, CUgraph, const CUgraphNode *, size_t, const CUkernelNodeParams *))     \
  F(cuGraphAddMemcpyNode, "cuGraphAddMemcpyNode",                                          \
    (CUgraphNode *, CUgraph, const CUgraphNode *, size_t, const CUmemcpy3D *, CUcontext))  \
  F(cuGraphKernelNodeSetAttribute, "cuGraphKernelNodeSetAttribute",                        \
    (CUgraphNode, int, const void *))                                                      \
  F(cuGraphInstantiate, "cuGraphInstantiateWithFlags",                                     \
    (CUgraphExec *, CUgraph, unsigned long long))                                          \
  F(cuGraphExecKernelNodeSetParams, "cuGraphExecKernelNodeSetParams_v2",                   \
    (CUgraphExec, CUgraphNode, const CUkernelNodeParams *))                                \
  F(cuGraphExecMemcpyNodeSetParams, "cuGraphExecMemcpyNodeSetParams",                      \
    (CUgraphExec, CUgraphNode, const CUmemcpy3D *, CUcontext))                             \
  F(cuGraphLaunch, "cuGraphLaunch", (CUgraphExec, CUstream))                               \
  F(cuGraphExecDestroy, "cuGraphExecDestroy", (CUgraphExec))                               \
  F(cuTensorMapEncodeTiled, "cuTensorMapEncodeTiled",                                      \
    (CUtensorMap *, int, unsigned, void *, const uint64_t *, const uint64_t *,             \
     const unsigned *, const unsigned *, int, int, int, int))                              \
  F(cuTensorMapEncodeIm2col, "cuTensorMapEncodeIm2col",                                    \
    (CUtensorMap *, int, unsigned, void *, const uint64_t *, const uint64_t *, const int *,\
     const int *, unsigned, unsigned, const unsigned *, int, int, int, int))

/// The library, loaded and initialized.
struct Driver {
#define TENON_CUDA_MEMBER(member, symbol, parameters) CUresult(*member) parameters = nullptr;
  TENON_CUDA_FUNCTIONS(TENON_CUDA_MEMBER)
#undef TENON_CUDA_MEMBER

  /// Since CUDA 12.3; null before.
  CUresult (*cuGraphAddDependencies)(CUgraph, const CUgraphNode *, const CUgraphNode *,
                                     const CUgraphEdge *, size_t) = nullptr;

  int version = 0; // 12040: CUDA 12.4
  int count = 0;   // of GPUs

  /// Fails, with the driver's words, unless `result` is success. `what` was asked for.
  void check(CUresult result, const std::string &what) const;
  /// "CUDA_ERROR_OUT_OF_MEMORY: out of memory"
  std::string describe(CUresult result) const;
};

/// Whether the context, and with it all memory of the GPU, is of no use after `result`.
bool isFatal(CUresult result);

/// "12.4" of 12040.
std::string printVersion(int version);

/// What there is, without a failure: the driver, or null and the reason.
struct DriverState {
  const Driver *driver = nullptr;
  bool isAbsent = false; // there is no driver or no GPU; else it is there and at fault
  std::string reason;
};

/// Loads the driver once in a process; TENON_CUDA_DRIVER names another library.
const DriverState &driverState();

/// The driver; fails where there is none.
const Driver &requireDriver();

} // namespace tenon::rt::cuda

#endif // TENON_RUNTIME_CUDA_DRIVER_H
