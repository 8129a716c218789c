// tenon_rt.h over Artifact, Weights and Session. No exception leaves this file.
#include "runtime/api/CApi.h"

#include "runtime/core/Version.h"
#include "runtime/cpu/CpuDevice.h"

using namespace tenon::rt;

struct tenon_error {
  tenon_status code;
  std::string message, node;
};

namespace tenon::rt {

void reportError(tenon_error **error, Status code, const char *message, const char *node) {
  if (!error)
    return;
  try {
    *error = new tenon_error{static_cast<tenon_status>(code), message, node};
  } catch (...) {
    *error = nullptr; // no memory even for the message: the code has to do
  }
}

DLDataType toDLPack(ElementType type) {
  uint8_t bits = elementBits(type);
  switch (type) {
  case ElementType::boolean:
    return {kDLBool, 8, 1};
  case ElementType::bf16:
    return {kDLBfloat, 16, 1};
  case ElementType::f16:
  case ElementType::f32:
  case ElementType::f64:
    return {kDLFloat, bits, 1};
  case ElementType::i2:
  case ElementType::i4:
  case ElementType::i8:
  case ElementType::i16:
  case ElementType::i32:
  case ElementType::i64:
    return {kDLInt, bits, 1};
  default:
    return {kDLUInt, bits, 1};
  }
}

TensorView fromDLPack(const DLTensor *tensor, const char *kind, std::string_view name) {
  if (!tensor || tensor->ndim < 0 || (tensor->ndim && !tensor->shape))
    fail(Status::usage, kind, " '", name, "': expected a tensor with a shape, but got none");
  bool isCuda = tensor->device.device_type == kDLCUDA;
  if (tensor->device.device_type != kDLCPU && !isCuda)
    fail(Status::usage, kind, " '", name, "': expected memory of the CPU or of CUDA, but got device type ",
         int(tensor->device.device_type));
  TensorView view{ElementType::undefined, {}, {}, nullptr};
  if (isCuda) {
    view.device = format::Device::cuda;
    view.ordinal = tensor->device.device_id;
  }
  view.dims.assign(tensor->shape, tensor->shape + tensor->ndim);
  if (tensor->strides)
    view.strides.assign(tensor->strides, tensor->strides + tensor->ndim);
  for (int type = 1; type <= int(ElementType::MAX); ++type) {
    DLDataType candidate = toDLPack(ElementType(type));
    if (elementBits(ElementType(type)) && candidate.code == tensor->dtype.code &&
        candidate.bits == tensor->dtype.bits && tensor->dtype.lanes == 1)
      view.type = ElementType(type);
  }
  if (view.type == ElementType::undefined)
    fail(Status::input, kind, " '", name, "': expected an element type of the runtime, "
         "but got code ", int(tensor->dtype.code), " with ", int(tensor->dtype.bits), " bits");
  if (tensor->data)
    view.data = static_cast<const uint8_t *>(tensor->data) + tensor->byte_offset;
  return view;
}

} // namespace tenon::rt

uint32_t tenon_abi_version(void) { return TENON_RT_ABI_VERSION; }
const char *tenon_version(void) { return version(); }

tenon_status tenon_error_code(const tenon_error *error) {
  return error ? error->code : TENON_OK;
}
const char *tenon_error_message(const tenon_error *error) {
  return error ? error->message.c_str() : "";
}
const char *tenon_error_node(const tenon_error *error) {
  return error ? error->node.c_str() : "";
}
void tenon_error_free(tenon_error *error) { delete error; }

void tenon_set_log_callback(tenon_log_callback callback, void *user) {
  setLogCallback(callback, user);
}

tenon_status tenon_artifact_open(const char *path, const tenon_artifact_options *options,
                                 tenon_artifact **artifact, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(path, "path");
    requirePointer(artifact, "artifact");
    ArtifactOptions chosen;
    tenon_artifact_options given = readOptions(options);
    chosen.verifyWeights = given.verify_weights != 0;
    auto made = std::make_unique<tenon_artifact>();
    made->artifact = std::make_shared<Artifact>(path, chosen);
    for (const Entry &entry : made->artifact->entries)
      made->entryNames.emplace_back(entry.name);
    // What can only run on the CPU is refused at once where it cannot.
    if (!made->artifact->isFor(tenon::format::Device::cuda))
      loadCpuCode(*made->artifact);
    logMessage(0, concat("loaded '", path, "'"));
    *artifact = made.release();
  });
}

void tenon_artifact_close(tenon_artifact *artifact) { delete artifact; }

size_t tenon_artifact_num_entries(const tenon_artifact *artifact) {
  return artifact ? artifact->entryNames.size() : 0;
}

const char *tenon_artifact_entry_name(const tenon_artifact *artifact, size_t index) {
  return artifact && index < artifact->entryNames.size()
             ? artifact->entryNames[index].c_str()
             : nullptr;
}

tenon_status tenon_weights_create(const tenon_artifact *artifact, tenon_weights **weights,
                                  tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(artifact, "artifact");
    requirePointer(weights, "weights");
    auto made = std::make_unique<tenon_weights>();
    made->weights = std::make_shared<Weights>(artifact->artifact);
    *weights = made.release();
  });
}

tenon_status tenon_weights_replace(tenon_weights *weights, const char *name,
                                   const DLTensor *tensor, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(weights, "weights");
    requirePointer(name, "name");
    if (weights->weights.use_count() > 1)
      fail(Status::usage, "weight '", name,
           "': expected weights that no session uses yet, but one does");
    TensorView view = fromDLPack(tensor, "weight", name);
    weights->weights->replace(name, view);
  });
}

void tenon_weights_close(tenon_weights *weights) { delete weights; }
