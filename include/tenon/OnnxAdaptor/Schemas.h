// What ONNX's registry of operator schemas says, without protobuf.

#ifndef TENON_ONNXADAPTOR_SCHEMAS_H
#define TENON_ONNXADAPTOR_SCHEMAS_H

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>

namespace tenon {

/// The opset whose meaning the onnx dialect has.
constexpr int kNewestOpset = 28;
constexpr int kOldestOpset = 7;
/// In an opset before the oldest one, an operator is taken if it is the same in
/// the oldest one.
constexpr int kFirstOpset = 1;

/// One operator as of some opset version.
struct SchemaInfo {
  int sinceVersion;
  bool deprecated;
  llvm::SmallVector<std::string> attributes;
};

/// The operator as of `version` of `domain` ("" is the default one).
std::optional<SchemaInfo> findSchema(llvm::StringRef domain,
                                     llvm::StringRef name, int version);

} // namespace tenon

#endif // TENON_ONNXADAPTOR_SCHEMAS_H
