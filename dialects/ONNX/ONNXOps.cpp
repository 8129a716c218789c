// One shard of the generated operation classes: CMake includes this file once for
// each shard, with GET_OP_DEFS_<n> defined, so that the build is parallel.

#include "dialects/ONNX/ONNXDialect.h"

#include "dialects/ONNX/ONNXOps.cpp.inc"
