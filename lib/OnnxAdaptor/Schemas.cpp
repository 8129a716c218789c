// Builds ONNX's schemas operator by operator; compiled with exceptions because
// ONNX throws.

#include "tenon/OnnxAdaptor/Schemas.h"
#include "OpSchemas.h"

#include "onnx/defs/operator_sets.h"
#include "onnx/defs/operator_sets_ml.h"
#include "onnx/defs/operator_sets_preview.h"
#include "llvm/ADT/StringMap.h"

#include <map>
#include <mutex>

using namespace tenon;
using ::onnx::OpSchema;

namespace {
/// One version of an operator, in any domain.
struct Form {
  llvm::StringLiteral name;
  OpSchema (*build)();
};
/// Versions of an operator, by domain.
using Versions = std::map<std::string, std::map<int, OpSchema>>;
} // namespace

static constexpr Form kForms[] = {
#define FORM(name, type) {#name, ::onnx::GetOpSchema<::onnx::type>},
#include "OpSchemaForms.inc"
#undef FORM
};

static Versions buildVersions(llvm::StringRef name) {
  Versions versions;
  for (const Form &form : kForms) {
    if (form.name != name)
      continue;
    OpSchema schema = form.build();
    schema.Finalize();
    versions[schema.domain()].emplace(schema.SinceVersion(), std::move(schema));
  }
  return versions;
}

const OpSchema *tenon::findOpSchema(const std::string &domain,
                                    const std::string &name, int version) {
  static std::mutex mutex;
  static llvm::StringMap<Versions> operators;
  std::lock_guard<std::mutex> lock(mutex);
  auto [known, isNew] = operators.try_emplace(name);
  if (isNew)
    known->second = buildVersions(name);
  const std::map<int, OpSchema> &versions = known->second[domain];
  auto next = versions.upper_bound(version);
  return next == versions.begin() ? nullptr : &std::prev(next)->second;
}

std::optional<SchemaInfo> tenon::findSchema(llvm::StringRef domain,
                                            llvm::StringRef name, int version) {
  const OpSchema *schema = findOpSchema(domain.str(), name.str(), version);
  if (!schema)
    return std::nullopt;
  SchemaInfo info{schema->since_version(), schema->deprecated(), {}};
  for (const auto &attribute : schema->attributes())
    info.attributes.push_back(attribute.first);
  return info;
}
