// A model's bytes without its large tensors, which become external data of the
// model file itself.

#ifndef TENON_LIB_IMPORT_ONNX_SLIMMODEL_H
#define TENON_LIB_IMPORT_ONNX_SLIMMODEL_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>

namespace tenon::import {

/// The location that stands for the model file. A file cannot have this name.
constexpr llvm::StringRef kModelItself("\0model", 6);

/// Copies a serialized ModelProto; a `raw_data` of more than kDenseLimit bytes
/// becomes external data at kModelItself. Reads only tags and lengths of what it
/// leaves out, so that its cost is that of the graph and not of the weights.
llvm::Expected<std::string> slimModel(llvm::ArrayRef<char> file);

} // namespace tenon::import

#endif // TENON_LIB_IMPORT_ONNX_SLIMMODEL_H
