#ifndef TENON_LIB_CONVERSION_ONNXTOKERNEL_CHANNELSLAST_H
#define TENON_LIB_CONVERSION_ONNXTOKERNEL_CHANNELSLAST_H

#include "Lowering.h"

#include "dialects/ONNX/ONNXDialect.h"

namespace tenon {

/// Marks the function's operators on windows: convolutions are computed with
/// channels last, and windows are padded within the launch that reads them.
void chooseChannelsLast(mlir::Operation *function);
/// Whether the operator was marked.
bool isChannelsLast(mlir::Operation *op);
/// Whether it was marked, and the number of filters and of their channels is
/// known.
bool canConvolveChannelsLast(onnx::ConvOp op, Lowering &lowering);
/// The convolution of floats, computed with channels last.
mlir::Value convolveChannelsLast(onnx::ConvOp op, Lowering &lowering);

} // namespace tenon

#endif // TENON_LIB_CONVERSION_ONNXTOKERNEL_CHANNELSLAST_H
