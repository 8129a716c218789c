// The report for people.
#include "tools/tenon-inspect/Facts.h"
#include "tools/tenon-inspect/Report.h"

#include "runtime/support/Failure.h"

#include <algorithm>
#include <cstdio>

namespace tenon::inspect {

using rt::concat;

static std::string printSection(const rt::Section &section) {
  char hash[24];
  std::snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)section.hash);
  return concat(section.size, " bytes at ", section.offset, ", hash ", hash);
}

/// What an instruction set's code is and needs.
static std::string printNeeds(const rt::Code &code) {
  if (code.form == format::CodeForm::elf) {
    std::string text = printSection(code.section) + "\n   ";
    for (std::string_view feature : code.features)
      text += concat(" ", feature);
    return text;
  }
  return concat(imageBytes(code), " bytes of ", format::EnumNameCodeForm(code.form), " in ",
                code.images.size(), " images", code.assembler.empty() ? "" : ", made by ",
                code.assembler, "\n    compute capability ", code.capability / 10, '.',
                code.capability % 10, code.isExact ? " alone" : " or later",
                ", driver for CUDA ", rt::cuda::printVersion(code.driver), " or later");
}

static std::string printCode(const rt::Artifact &artifact, size_t index,
                             const Machine &machine) {
  const rt::Code &code = artifact.codes[index];
  format::Device device = code.isFor(format::Device::cuda) ? format::Device::cuda
                                                           : format::Device::cpu;
  std::string reason = whyNot(code, machine);
  bool chosen = int(index) == chosenFor(artifact, device, machine);
  std::string place = device == format::Device::cuda && machine.gpu
                          ? concat("on ", machine.gpu->name)
                          : "here";
  return concat("  ", code.target, ": ", printNeeds(code), "\n    ",
                !reason.empty() ? concat("does not run ", place, ": ", reason)
                : chosen        ? concat("runs ", place, ": this one is taken")
                                : concat("runs ", place, ", but a later one is taken"),
                "\n");
}

static std::string printStage(const rt::Artifact &artifact, const rt::Code &code,
                              size_t kernel, size_t index, const Machine &machine) {
  const rt::Stage &stage = code.kernels[kernel].stages[index];
  auto use = useOf(artifact, code, kernel, index, machine);
  return concat(stage.form.empty() ? "" : concat(" ", stage.form, ":"), " ", stage.threads,
                " threads, ", stage.shared, " bytes shared",
                use.registers ? concat(", ", use.registers, " registers, ", use.localBytes,
                                       " bytes local")
                              : "",
                stage.cluster > 1 ? concat(", clusters of ", stage.cluster) : "",
                stage.maps.empty() ? "" : concat(", ", stage.maps.size(), " tensor maps"),
                index + 1 == code.kernels[kernel].stages.size() ? "\n" : ";");
}

static std::string printKernel(const rt::Artifact &artifact, size_t index,
                               const Machine &machine) {
  const rt::Kernel &kernel = artifact.kernels[index];
  size_t numSteps = std::count(kernel.isStep.begin(), kernel.isStep.end(), true);
  std::string text = concat("  ", kernel.name, ": ", kernel.uses, " uses",
                            numSteps ? concat(", ", numSteps, " sizes in memory") : "",
                            kernel.f32Products.empty() ? "" : ", products of f32 by ",
                            kernel.f32Products, "\n");
  for (const rt::Code &code : artifact.codes) {
    if (kernel.device != format::Device::cuda || !code.isFor(kernel.device))
      continue;
    text += concat("    ", code.target, ":");
    for (size_t i = 0; i < code.kernels[index].stages.size(); ++i)
      text += printStage(artifact, code, index, i, machine);
  }
  return text;
}

static std::string printTensors(const rt::Program &program, const char *what,
                                const std::vector<rt::Signature> &tensors) {
  std::string text;
  for (const rt::Signature &tensor : tensors)
    text += concat("    ", what, " '", tensor.name, "': ", rt::elementName(tensor.type),
                   printDims(program, tensor.dims), "\n");
  return text;
}

/// What a session keeps, or the caller hands in.
static std::string printKind(const rt::Program &program, const rt::Cache &cache) {
  std::string kept = cache.isKept() ? "kept by the session, " : "inputs and outputs, ";
  if (cache.isRecurrent)
    return concat(kept, "replaced by each call, ", cache.numSnapshots, " earlier values kept");
  int64_t bytes = bytesPerToken(program, cache);
  return kept + (bytes < 0 ? "unknown" : concat(bytes)) + " bytes a token" +
         (cache.budget ? concat(", at most ", cache.budget, " rows") : "");
}

static std::string printReplaced(const rt::StateTensor &state) {
  std::string text = concat("      '", state.name, "' stands for input '", state.replacesInput,
                            "' and output '", state.replacesOutput, "'\n");
  for (std::string_view input : state.sharedInputs)
    text += concat("        and for input '", input, "'\n");
  for (std::string_view output : state.sharedOutputs)
    text += concat("        and for output '", output, "'\n");
  return text;
}

static std::string printCaches(const rt::Program &program) {
  if (program.caches.empty())
    return "";
  std::string text;
  for (const rt::Cache &cache : program.caches) {
    text += concat(cache.isRecurrent ? "    recurrent state '" : "    cache '", cache.name,
                   "': ", printKind(program, cache), "\n");
    for (const rt::StateTensor &state : program.states)
      if (&program.caches[state.cache] == &cache && !state.replacesInput.empty())
        text += printReplaced(state);
  }
  int64_t all = bytesPerToken(program);
  return text + concat("    caches: ", all < 0 ? "unknown" : concat(all), " bytes a token\n");
}

static std::string printProgram(const rt::Program &program) {
  std::string text = concat("  program '", program.variant, "' for ",
                            format::EnumNameDevice(program.device), ": ", countSteps(program),
                            " steps, ", program.launches.size(), " launches\n");
  for (const rt::Symbol &symbol : program.symbols)
    text += concat("    symbol '", symbol.name, "': ", printRange(symbol), ", ",
                   residencyName(symbol.residency), "\n");
  text += printTensors(program, "input", program.inputs);
  text += printTensors(program, "output", program.outputs);
  text += printCaches(program);
  return text + concat("    arena: ", printExpr(program, program.arena), " bytes\n");
}

std::string reportAsText(const rt::Artifact &artifact, const Machine &machine) {
  std::string text =
      concat("artifact '", artifact.path, "': ", artifact.fileSize(), " bytes, format ", artifact.formatVersion, ", by '",
             artifact.producer, "'\nmanifest: ", artifact.manifestSize, " bytes\ncode:\n");
  for (size_t i = 0; i < artifact.codes.size(); ++i)
    text += printCode(artifact, i, machine);
  text += concat("kernels: ", artifact.kernels.size(), "\n");
  for (size_t i = 0; i < artifact.kernels.size(); ++i)
    text += printKernel(artifact, i, machine);
  text += concat("weights: ", artifact.weights.size(), ", ", storedWeightBytes(artifact),
                 " bytes stored, ", modelWeightBytes(artifact), " in the model\n");
  for (const rt::WeightInfo &weight : artifact.weights) {
    std::string dims;
    for (int64_t dim : weight.dims)
      dims += concat(dims.empty() ? "" : ", ", dim);
    text += concat("  '", weight.name, "': ", rt::elementName(weight.type), "[", dims, "], ",
                   weight.encoding.empty() ? "as in the model" : weight.encoding, ", ",
                   printSection(weight.section), "\n");
  }
  for (const rt::Entry &entry : artifact.entries) {
    text += concat("entry '", entry.name, "'\n");
    for (const rt::Program &program : entry.programs)
      text += printProgram(program);
  }
  return text;
}

} // namespace tenon::inspect
