// ONNX's protobuf classes (namespace ::onnx), without their warnings.

#ifndef TENON_ONNXADAPTOR_PROTOBUF_H
#define TENON_ONNXADAPTOR_PROTOBUF_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#include "onnx/onnx_pb.h"
#pragma GCC diagnostic pop

#endif // TENON_ONNXADAPTOR_PROTOBUF_H
