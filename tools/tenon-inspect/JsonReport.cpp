// The report for programs: one object, keys in a fixed order.
#include "tools/tenon-inspect/Facts.h"
#include "tools/tenon-inspect/Report.h"

#include "runtime/support/Failure.h"
#include "runtime/cpu/Features.h"

#include <cstdio>

namespace tenon::inspect {

using rt::concat;

static std::string quote(std::string_view text) {
  std::string result = "\"";
  for (unsigned char c : text) {
    char escaped[8];
    std::snprintf(escaped, sizeof(escaped), "\\u%04x", c);
    if (c < 0x20)
      result += escaped;
    else if (c == '"' || c == '\\')
      result += {'\\', char(c)};
    else
      result += char(c);
  }
  return result + "\"";
}

/// "[...]" of what `print` makes of each item.
template <typename Items, typename Print>
static std::string list(const Items &items, Print print) {
  std::string text;
  for (const auto &item : items)
    text += (text.empty() ? "" : ", ") + print(item);
  return "[" + text + "]";
}

static std::string section(const rt::Section &section) {
  char hash[24];
  std::snprintf(hash, sizeof(hash), "\"%016llx\"", (unsigned long long)section.hash);
  return concat("\"offset\": ", section.offset, ", \"bytes\": ", section.size,
                ", \"hash\": ", hash);
}

static std::string image(const rt::Section &image) { return "{" + section(image) + "}"; }

static std::string code(const rt::Code &code, const Machine &machine) {
  std::string reason = whyNot(code, machine);
  std::string head = concat("{\"target\": ", quote(code.target),
                            ", \"features\": ", list(code.features, quote),
                            ", \"runs_here\": ", reason.empty() ? "true" : "false",
                            ", \"why_not\": ", quote(reason));
  if (code.form == format::CodeForm::elf)
    return concat(head, ", \"missing\": ", quote(rt::missingFeature(code.features)), ", ",
                  section(code.section), "}");
  return concat(head, ", \"form\": ", quote(format::EnumNameCodeForm(code.form)),
                ", \"capability\": ", code.capability,
                ", \"is_exact\": ", code.isExact ? "true" : "false",
                ", \"driver\": ", code.driver, ", \"assembler\": ", quote(code.assembler),
                ", \"bytes\": ", imageBytes(code), ", \"images\": ", list(code.images, image),
                "}");
}

/// "[0, 3]": indices of a table.
static std::string indices(const std::vector<uint32_t> &items) {
  return list(items, [](uint32_t item) { return std::to_string(item); });
}

/// The pool, whole: ["constant", 4], ["symbol", 0], or an operator and two earlier nodes.
static std::string expressions(const std::vector<rt::Expr> &exprs) {
  return list(exprs, [](const rt::Expr &expr) {
    bool isLeaf = expr.op == rt::ExprOp::constant || expr.op == rt::ExprOp::symbol;
    return concat("[", quote(format::EnumNameExprOp(expr.op)), ", ",
                  isLeaf ? std::to_string(expr.value) : concat(expr.a, ", ", expr.b), "]");
  });
}

static std::string stage(const rt::Stage &stage, const rt::cuda::LoadedCode::Use &use) {
  return concat("{\"symbol\": ", quote(stage.symbol), ", \"form\": ", quote(stage.form),
                ", \"image\": ", stage.image,
                ", \"grid\": ", stage.grid, ", \"threads\": ", stage.threads,
                ", \"shared_bytes\": ", stage.shared,
                ", \"registers\": ", use.registers, ", \"local_bytes\": ", use.localBytes,
                ", \"cluster\": ", stage.cluster, ", \"tensor_maps\": ", stage.maps.size(),
                "}");
}

static std::string stepSymbols(const rt::Kernel &kernel) {
  std::vector<uint32_t> numbers;
  for (size_t i = 0; i < kernel.isStep.size(); ++i)
    if (kernel.isStep[i])
      numbers.push_back(i);
  return indices(numbers);
}

static std::string kernel(const rt::Artifact &artifact, const rt::Kernel &kernel,
                          const Machine &machine) {
  std::string codes, workspaces;
  size_t index = &kernel - artifact.kernels.data();
  for (const rt::Code &code : artifact.codes) {
    if (kernel.device != format::Device::cuda || !code.isFor(kernel.device))
      continue;
    const std::vector<rt::Stage> &stages = code.kernels[index].stages;
    workspaces += concat(workspaces.empty() ? "" : ", ", quote(code.target), ": ",
                         code.kernels[index].workspace);
    codes += concat(codes.empty() ? "" : ", ", quote(code.target), ": ",
                    list(stages, [&](const rt::Stage &each) {
                      return stage(each, useOf(artifact, code, index, &each - stages.data(),
                                               machine));
                    }));
  }
  return concat("{\"name\": ", quote(kernel.name), ", \"uses\": ", kernel.uses,
                ", \"device\": ", quote(format::EnumNameDevice(kernel.device)),
                ", \"f32_products\": ",
                quote(kernel.f32Products.empty() ? "ieee" : kernel.f32Products),
                ", \"step_symbols\": ", stepSymbols(kernel),
                ", \"exprs\": ", expressions(kernel.exprs), ", \"workspace\": {", workspaces,
                "}, \"stages\": {", codes, "}}");
}

/// The GPU that it would run on, if any.
static std::string gpu(const Machine &machine) {
  if (!machine.gpu)
    return concat("null, \"why_no_gpu\": ", quote(machine.whyNoGpu));
  return concat("{\"name\": ", quote(machine.gpu->name),
                ", \"capability\": ", machine.gpu->capability,
                ", \"driver\": ", machine.gpu->driver, "}");
}

static std::string weight(const rt::WeightInfo &weight) {
  return concat("{\"name\": ", quote(weight.name),
                ", \"type\": ", quote(rt::elementName(weight.type)), ", \"dims\": ",
                list(weight.dims, [](int64_t dim) { return std::to_string(dim); }),
                ", \"encoding\": ", quote(weight.encoding), ", ", section(weight.section),
                "}");
}

static std::string symbol(const rt::Symbol &symbol) {
  return concat("{\"name\": ", quote(symbol.name), ", \"min\": ", symbol.min, ", \"max\": ",
                symbol.max == -1 ? "null" : std::to_string(symbol.max),
                ", \"residency\": ", quote(residencyName(symbol.residency)), "}");
}

/// Where a value's bytes are; `index` and `offset` as the manifest has them.
static std::string value(const rt::Value &value) {
  return concat("{\"name\": ", quote(value.name), ", \"type\": ",
                quote(rt::elementName(value.type)), ", \"dims\": ", indices(value.dims),
                ", \"storage\": ", quote(format::EnumNameStorage(value.storage)),
                ", \"index\": ", value.index, ", \"offset\": ", value.offset, "}");
}

static std::string launch(const rt::Launch &launch) {
  return concat("{\"kernel\": ", launch.kernel, ", \"node\": ", quote(launch.node),
                ", \"buffers\": ", indices(launch.buffers), ", \"symbols\": ",
                indices(launch.symbols), "}");
}

static std::string readSymbol(const rt::ReadSymbol &read) {
  return concat("{\"value\": ", read.value, ", \"element\": ", read.element,
                ", \"symbol\": ", read.symbol, "}");
}

static std::string hostTensor(const rt::HostTensor &tensor) {
  return concat("{\"value\": ", tensor.value, ", \"elements\": ", indices(tensor.elements),
                "}");
}

static std::string copy(const rt::Copy &copy) {
  return concat("{\"source\": ", copy.source, ", \"target\": ", copy.target, "}");
}

/// A step's kind, and its place in the list of those of its kind.
static std::string step(const rt::Step &step) {
  static const char *const kinds[] = {"launch",      "host_tensor", "copy",   "insert",
                                      "read_symbol", "check",       "branch", "loop"};
  return concat("[", quote(kinds[int(step.kind)]), ", ", step.index, "]");
}

static std::string bytesOrNull(int64_t bytes) {
  return bytes < 0 ? "null" : std::to_string(bytes);
}

/// What a session keeps, or the caller hands in.
static std::string cache(const rt::Program &program, const rt::Cache &cache) {
  std::vector<std::string> tensors;
  for (uint32_t input : cache.inputs)
    tensors.push_back(concat("{\"input\": ", quote(program.inputs[input].name), "}"));
  for (const rt::StateTensor &state : program.states) {
    if (&program.caches[state.cache] != &cache)
      continue;
    const rt::Value &value = program.values[state.value];
    tensors.push_back(concat(
        "{\"state\": ", quote(state.name), ", \"value\": ", state.value, ", \"type\": ", quote(rt::elementName(value.type)),
        ", \"dims\": ",
        list(value.dims, [&](uint32_t dim) { return quote(printExpr(program, dim)); }),
        ", \"replaces_input\": ", quote(state.replacesInput),
        ", \"replaces_output\": ", quote(state.replacesOutput),
        ", \"shared_inputs\": ", list(state.sharedInputs, quote),
        ", \"shared_outputs\": ", list(state.sharedOutputs, quote), "}"));
  }
  return concat("{\"name\": ", quote(cache.name),
                ", \"kept_by_session\": ", cache.isKept() ? "true" : "false",
                ", \"rows\": ",
                cache.hasLength ? quote(printExpr(program, cache.length)) : "null",
                ", \"capacity\": ",
                cache.hasCapacity ? quote(program.symbols[cache.capacity].name) : "null",
                ", \"rows_after\": ",
                cache.hasNext ? quote(printExpr(program, cache.next)) : "null",
                ", \"budget\": ", cache.budget ? std::to_string(cache.budget) : "null",
                ", \"recurrent\": ", cache.isRecurrent ? "true" : "false",
                ", \"snapshots\": ", cache.numSnapshots,
                ", \"bytes_per_token\": ", bytesOrNull(bytesPerToken(program, cache)),
                ", \"tensors\": ", list(tensors, [](const std::string &t) { return t; }), "}");
}

static std::string program(const rt::Program &program) {
  auto tensor = [&](const rt::Signature &tensor) {
    return concat("{\"name\": ", quote(tensor.name),
                  ", \"type\": ", quote(rt::elementName(tensor.type)), ", \"dims\": ",
                  list(tensor.dims,
                       [&](uint32_t dim) { return quote(printExpr(program, dim)); }),
                  ", \"value\": ", tensor.value, "}");
  };
  return concat("{\"variant\": ", quote(program.variant),
                ", \"device\": ", quote(format::EnumNameDevice(program.device)),
                ", \"symbols\": ", list(program.symbols, symbol),
                ", \"inputs\": ", list(program.inputs, tensor),
                ", \"outputs\": ", list(program.outputs, tensor),
                ", \"arena_bytes\": ", quote(printExpr(program, program.arena)),
                ", \"caches\": ",
                list(program.caches, [&](const rt::Cache &c) { return cache(program, c); }),
                ", \"kv_bytes_per_token\": ", bytesOrNull(bytesPerToken(program)),
                ", \"steps\": ", countSteps(program),
                ", \"launches\": ", program.launches.size(),
                ", \"exprs\": ", expressions(program.exprs), ", \"arena\": ", program.arena,
                ", \"values\": ", list(program.values, value), ", \"launch_list\": ",
                list(program.launches, launch), ", \"symbol_reads\": ",
                list(program.reads, readSymbol), ", \"host_tensors\": ",
                list(program.hostTensors, hostTensor), ", \"copies\": ",
                list(program.copies, copy), ", \"step_list\": ",
                list(program.steps, step), "}");
}

std::string reportAsJson(const rt::Artifact &artifact, const Machine &machine) {
  int onCpu = chosenFor(artifact, format::Device::cpu, machine);
  int onCuda = chosenFor(artifact, format::Device::cuda, machine);
  auto entry = [](const rt::Entry &entry) {
    return concat("{\"name\": ", quote(entry.name),
                  ", \"programs\": ", list(entry.programs, program), "}");
  };
  return concat("{\"file\": ", quote(artifact.path), ", \"bytes\": ", artifact.fileSize(),
                ", \"format\": ", artifact.formatVersion, ", \"producer\": ", quote(artifact.producer),
                ", \"manifest_bytes\": ", artifact.manifestSize,
                ", \"runs_here\": ", onCpu >= 0 || onCuda >= 0 ? "true" : "false",
                ", \"chosen_code\": ", onCpu, ", \"chosen_cuda_code\": ", onCuda,
                ", \"gpu\": ", gpu(machine), ", \"codes\": ",
                list(artifact.codes, [&](const rt::Code &c) { return code(c, machine); }),
                ", \"kernels\": ",
                list(artifact.kernels, [&](const rt::Kernel &k) { return kernel(artifact, k, machine); }),
                ", \"weight_bytes_stored\": ", storedWeightBytes(artifact),
                ", \"weight_bytes_model\": ", modelWeightBytes(artifact),
                ", \"weights\": ", list(artifact.weights, weight),
                ", \"entries\": ", list(artifact.entries, entry), "}\n");
}

} // namespace tenon::inspect
