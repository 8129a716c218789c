// Asks ONNX's registry; compiled with exceptions because the registry throws.

#include "tenon/OnnxAdaptor/Schemas.h"

#include "onnx/defs/schema.h"

using namespace tenon;

std::optional<SchemaInfo> tenon::findSchema(llvm::StringRef domain,
                                            llvm::StringRef name,
                                            int version) {
  const ::onnx::OpSchema *schema = ::onnx::OpSchemaRegistry::Schema(
      name.str(), version, domain.str());
  if (!schema)
    return std::nullopt;
  SchemaInfo info{schema->since_version(), schema->deprecated(), {}};
  for (const auto &attribute : schema->attributes())
    info.attributes.push_back(attribute.first);
  return info;
}
