// ONNX's operator schemas. ONNX's own registry builds all 659 of them, every
// version of every operator, when it is asked for one; that takes longer than
// to import a small model.

#ifndef TENON_LIB_ONNXADAPTOR_OPSCHEMAS_H
#define TENON_LIB_ONNXADAPTOR_OPSCHEMAS_H

#include "onnx/defs/schema.h"

#include <limits>
#include <string>

namespace tenon {

/// The newest schema that is no newer than `version`, or null. Threads may
/// share it.
const ::onnx::OpSchema *
findOpSchema(const std::string &domain, const std::string &name,
             int version = std::numeric_limits<int>::max());

} // namespace tenon

#endif // TENON_LIB_ONNXADAPTOR_OPSCHEMAS_H
