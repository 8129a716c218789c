// The command line, parsed here and not by llvm::cl, which exits with 1 on wrong usage
// and accepts the flags of every library that is linked in.

#include "tools/tenon-compile/Options.h"

#include "runtime/core/Version.h"
#include "tenon/Pipelines/Passes.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

#include <optional>

using llvm::StringRef;
using namespace tenon;
using namespace tenon::compile;

static constexpr StringRef kHelp =
    R"(usage: tenon-compile MODEL.onnx -o MODEL.tenon [options]

Compiles an ONNX model to an artifact that tenon-run and libtenon_rt execute.

  -o FILE                  the file to write; it appears when it is complete
  --target=cpu[:ISA]       cpu: code for x86-64-v3 and -v4 (default); cpu:host: the
                           best of them for this machine; cpu:x86-64-v3, cpu:x86-64-v4
  --target=cuda[:SM]       code for NVIDIA GPUs: the baseline sm_80, which later ones
                           run too, and sm_90a; cuda:SM: the baseline and that one
  --target=cpu,cuda        for both, in one artifact
  --no-baseline            leaves the baseline out
  --ptxas=PATH|auto        cubins in place of PTX, but for the baseline; auto: the ptxas of
                           PATH, of /usr/local/cuda or of Python's nvidia-cuda-nvcc
  --f32-matmul=ieee|tf32|bf16x3
                           on GPUs, products of f32 as IEEE 754 says (default), of factors
                           rounded to 11 bits, or of factors as two bf16, 16 bits; the
                           last two on tensor cores. Sums are f32
  --join-launches, --no-join-launches
                           fewer and larger kernels, or one for each product: products of the
                           same rows in one (default), and on GPUs norms within the products
                           that read them
  --schedules=FILE.json    measured schedules for GPUs in place of the compiler's own
                           (tools/dev/tune writes them)
  --dim NAME=N             gives a symbolic dimension a fixed size
  --dim NAME=LO..HI        promises that a dimension is within LO and HI
  --variant NAME:DIM=RANGE,...
                           code for these sizes alone, tried in the order given;
                           RANGE is N, LO..HI or LO..; `NAME:` takes all other sizes
  --entry NAME=FILE.onnx   one more graph; equal weights are stored once
  --kv=io                  caches stay inputs and outputs (default)
  --kv=session             a session keeps the caches; they leave the signature
  --emit=LEVEL             print IR instead of compiling: onnx-mlir, kv, kernel, plan
                           (to -o FILE, or to the standard output)
  --passes=PIPELINE        more passes on the simplified model, before anything else:
                           'NAME{OPTION=VALUE ...},...', as tenon-opt --help lists them;
                           the only way to passes that are lossy, as
                           'quantize-weights{bits=4 group=32}'
  --emit=onnx [--opset=N]  write a simplified ONNX model to -o FILE.onnx, its weights
                           to FILE.onnx.data; N defaults to the model's own opset
  --report=FILE.{json,html}
                           what each pass did and why not more, sizes, memory, kernels,
                           FLOPs and bytes of each entry (docs/report.md)
  --explain                compile, write nothing, and list each node that stops the
                           compilation with the reason and what to do
  --pass-limit=N           run the first N passes, and later ones that lowering needs:
                           tenon-debug looks for a pass at fault in this way
  --timing                 print the time of each step to the standard error
  --version, --help

MODEL may also be a module at the onnx, kv or kernel level (*.mlir).
Exit codes: 0 done, 1 the model or the machine does not allow it, 2 wrong usage.
)";

static int usage(const llvm::Twine &message) {
  llvm::errs() << "tenon-compile: " << message << "; see tenon-compile --help\n";
  return 2;
}

/// "seq=8", "seq=1..8" or "seq=9..".
static std::optional<DimRange> parseDim(StringRef text) {
  auto [name, range] = text.split('=');
  auto [low, high] = range.split("..");
  DimRange dim{name.str(), 0, 0};
  bool isRange = range.contains("..");
  if (name.empty() || low.getAsInteger(10, dim.low) || dim.low < 0)
    return std::nullopt;
  dim.high = dim.low;
  if (isRange && high.empty())
    dim.high = INT64_MAX;
  else if (isRange && (high.getAsInteger(10, dim.high) || dim.high < dim.low))
    return std::nullopt;
  return dim;
}

/// "decode:seq=1,batch=1..4"
static std::optional<Variant> parseVariant(StringRef text) {
  auto [name, ranges] = text.split(':');
  if (name.empty() || !text.contains(':'))
    return std::nullopt;
  Variant variant{name.str(), {}};
  llvm::SmallVector<StringRef> parts;
  ranges.split(parts, ',', -1, /*KeepEmpty=*/false);
  for (StringRef part : parts) {
    std::optional<DimRange> dim = parseDim(part);
    if (!dim)
      return std::nullopt;
    variant.dims.push_back(*dim);
  }
  return variant;
}

/// Sets the level; false if the name is none.
static bool parseLevel(StringRef name, CompileOptions &options) {
  if (name == "onnx" || name == "onnx-mlir")
    options.emit = Level::onnx;
  else if (name == "kv")
    options.emit = Level::kv;
  else if (name == "kernel")
    options.emit = Level::kernel;
  else if (name == "plan")
    options.emit = Level::plan;
  else
    return false;
  options.onnxForm = name == "onnx" ? OnnxForm::model : OnnxForm::mlir;
  return true;
}

/// Sets one option; -1 to go on, else the exit code.
static int setOption(StringRef name, StringRef value, Options &options) {
  if (name == "-o") {
    options.output = value.str();
  } else if (name == "--target") {
    options.compile.target = value.str();
  } else if (name == "--ptxas") {
    options.compile.ptxas = value.str();
  } else if (name == "--f32-matmul") {
    options.compile.f32Products = value.str();
    if (value != "ieee" && value != "tf32" && value != "bf16x3")
      return usage("expected --f32-matmul of ieee, tf32 or bf16x3, but got '" + value +
                   "'");
  } else if (name == "--schedules") {
    options.compile.schedules = value.str();
  } else if (name == "--kv") {
    options.compile.caches =
        value == "session" ? CacheMode::session : CacheMode::io;
    if (value != "io" && value != "session")
      return usage("expected --kv=io or --kv=session, but got '" + value + "'");
  } else if (name == "--emit") {
    if (!parseLevel(value, options.compile))
      return usage("expected --emit of onnx, onnx-mlir, kv, kernel or plan, but got '" +
                   value + "'");
  } else if (name == "--passes") {
    std::string error = checkPasses(value);
    if (!error.empty())
      return usage("expected --passes of registered passes, but got '" + value +
                   "': " + error);
    options.compile.passes = value.str();
  } else if (name == "--pass-limit") {
    if (value.getAsInteger(10, options.compile.passLimit) ||
        options.compile.passLimit < 0)
      return usage("expected --pass-limit=N, but got '" + value + "'");
  } else if (name == "--plant-fault") {
    options.compile.faultyPass = value.str();
  } else if (name == "--report") {
    if (!value.ends_with(".json") && !value.ends_with(".html"))
      return usage("expected --report=FILE.json or FILE.html, but got '" + value +
                   "'");
    options.report = value.str();
  } else if (name == "--opset") {
    if (value.getAsInteger(10, options.compile.opset) || options.compile.opset < 1)
      return usage("expected --opset=N, but got '" + value + "'");
  } else if (name == "--variant") {
    std::optional<Variant> variant = parseVariant(value);
    if (!variant)
      return usage("expected --variant NAME:DIM=RANGE,..., but got '" + value +
                   "'");
    options.compile.variants.push_back(*variant);
  } else if (name == "--entry") {
    auto [entry, file] = value.split('=');
    if (entry.empty() || file.empty())
      return usage("expected --entry NAME=FILE.onnx, but got '" + value + "'");
    options.compile.entries.push_back({entry.str(), file.str()});
  } else if (name == "--dim") {
    std::optional<DimRange> dim = parseDim(value);
    if (!dim)
      return usage("expected --dim NAME=N or NAME=LO..HI, but got '" + value +
                   "'");
    options.compile.dims.push_back(*dim);
  } else {
    return usage("expected an option, but got '" + name + "'");
  }
  return -1;
}

/// An option without a value; -1 to go on, else the exit code; nothing if it is none.
static std::optional<int> setFlag(StringRef name, Options &options) {
  if (name == "--help" || name == "-h") {
    llvm::outs() << kHelp;
    return 0;
  }
  if (name == "--version") {
    llvm::outs() << "tenon-compile " << rt::version() << '\n';
    return 0;
  }
  if (name == "--join-launches" || name == "--no-join-launches") {
    options.compile.joinsLaunches = name == "--join-launches";
    return -1;
  }
  if (name == "--no-baseline") {
    options.compile.withBaseline = false;
    return -1;
  }
  if (name == "--explain") {
    options.explain = true;
    return -1;
  }
  if (name != "--timing")
    return std::nullopt;
  options.compile.timing = true;
  return -1;
}

/// Whether writing the file would end a model.
static bool isInput(StringRef file, const Options &options) {
  return llvm::sys::fs::equivalent(file, options.input) ||
         llvm::any_of(options.compile.entries, [&](const EntryFile &entry) {
           return llvm::sys::fs::equivalent(file, entry.path);
         });
}

int compile::parseOptions(int argc, char **argv, Options &options) {
  options.compile.producer = std::string("tenon ") + rt::version();
  llvm::ArrayRef<char *> arguments(argv + 1, argc - 1);
  while (!arguments.empty()) {
    StringRef argument = arguments.front();
    arguments = arguments.drop_front();
    if (!argument.starts_with("-") || argument == "-") {
      if (!options.input.empty())
        return usage("expected one model, but got '" + options.input +
                     "' and '" + argument + "'");
      options.input = argument.str();
      continue;
    }
    int code;
    if (std::optional<int> flag = setFlag(argument, options)) {
      code = *flag;
    } else {
      auto [name, value] = argument.split('=');
      if (!argument.contains('=')) {
        if (arguments.empty())
          return usage("expected a value after '" + name + "', but got none");
        value = arguments.front();
        arguments = arguments.drop_front();
      }
      code = setOption(name, value, options);
    }
    if (code >= 0)
      return code;
  }
  if (options.input.empty() && options.compile.entries.empty())
    return usage("expected a model, but got none");
  bool exports = options.compile.emit == Level::onnx &&
                 options.compile.onnxForm == OnnxForm::model;
  if (options.output.empty() && !options.explain &&
      (exports || options.compile.emit == Level::artifact))
    return usage("expected -o FILE, but got none");
  if (!options.compile.passes.empty() &&
      StringRef(options.input).ends_with(".mlir"))
    return usage("expected --passes with an ONNX model, but got '" +
                 options.input + "'");
  if (!options.compile.schedules.empty() &&
      !StringRef(options.compile.target).contains("cuda"))
    return usage("expected --schedules with --target=cuda, but got --target=" +
                 options.compile.target);
  if (options.compile.f32Products != "ieee" &&
      !StringRef(options.compile.target).contains("cuda"))
    return usage("expected --f32-matmul=" + options.compile.f32Products +
                 " with --target=cuda, but got --target=" + options.compile.target +
                 ", which multiplies as IEEE 754 says");
  if (isInput(options.output, options) || isInput(options.report, options))
    return usage("expected an output beside the model, but got '" +
                 (isInput(options.output, options) ? options.output
                                                   : options.report) +
                 "', which is the model");
  if (options.explain && !options.report.empty())
    return usage("expected --report or --explain, but got both");
  if (options.compile.opset != 0 && !exports)
    return usage("expected --opset with --emit=onnx alone, but got it without");
  if (options.output.empty())
    options.output = "-";
  return -1;
}
