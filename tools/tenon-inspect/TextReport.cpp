// The report for people.
#include "tools/tenon-inspect/Facts.h"
#include "tools/tenon-inspect/Report.h"

#include "runtime/support/Failure.h"
#include "runtime/cpu/Features.h"

#include <cstdio>

namespace tenon::inspect {

using rt::concat;

static std::string printSection(const rt::Section &section) {
  char hash[24];
  std::snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)section.hash);
  return concat(section.size, " bytes at ", section.offset, ", hash ", hash);
}

static std::string printCode(const rt::Artifact &artifact, size_t index) {
  const rt::Code &code = artifact.codes[index];
  std::string text = concat("  ", code.target, ": ", printSection(code.section), "\n   ");
  for (std::string_view feature : code.features)
    text += concat(" ", feature);
  std::string missing = rt::missingFeature(code.features);
  bool chosen = int(index) == artifact.chosenCode;
  return text + "\n    " +
         (chosen            ? "runs here: this one is taken"
          : missing.empty() ? "runs here, but a later one is taken"
                            : "does not run here: this machine lacks " + missing) +
         "\n";
}

static std::string printTensors(const rt::Program &program, const char *what,
                                const std::vector<rt::Signature> &tensors) {
  std::string text;
  for (const rt::Signature &tensor : tensors)
    text += concat("    ", what, " '", tensor.name, "': ", rt::elementName(tensor.type),
                   printDims(program, tensor.dims), "\n");
  return text;
}

static std::string printCaches(const rt::Program &program) {
  if (program.caches.empty())
    return "";
  std::string text;
  for (const rt::Cache &cache : program.caches) {
    int64_t bytes = bytesPerToken(program, cache);
    text += concat("    cache '", cache.name, "': ",
                   cache.isKept() ? "kept by the session, " : "inputs and outputs, ",
                   bytes < 0 ? "unknown" : concat(bytes), " bytes a token\n");
    for (const rt::StateTensor &state : program.states)
      if (&program.caches[state.cache] == &cache && !state.replacesInput.empty())
        text += concat("      '", state.name, "' stands for input '", state.replacesInput,
                       "' and output '", state.replacesOutput, "'\n");
  }
  int64_t all = bytesPerToken(program);
  return text + concat("    caches: ", all < 0 ? "unknown" : concat(all), " bytes a token\n");
}

static std::string printProgram(const rt::Program &program) {
  std::string text = concat("  program '", program.variant, "': ", countSteps(program),
                            " steps, ", program.launches.size(), " launches\n");
  for (const rt::Symbol &symbol : program.symbols)
    text += concat("    symbol '", symbol.name, "': ", printRange(symbol), ", ",
                   residencyName(symbol.residency), "\n");
  text += printTensors(program, "input", program.inputs);
  text += printTensors(program, "output", program.outputs);
  text += printCaches(program);
  return text + concat("    arena: ", printExpr(program, program.arena), " bytes\n");
}

std::string reportAsText(const rt::Artifact &artifact) {
  std::string text =
      concat("artifact '", artifact.path, "': ", artifact.fileSize(), " bytes, format ", artifact.formatVersion, ", by '",
             artifact.producer, "'\nmanifest: ", artifact.manifestSize, " bytes\ncode:\n");
  for (size_t i = 0; i < artifact.codes.size(); ++i)
    text += printCode(artifact, i);
  text += concat("kernels: ", artifact.kernels.size(), "\n");
  for (const rt::Kernel &kernel : artifact.kernels)
    text += concat("  ", kernel.name, ": ", kernel.uses, " uses\n");
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
