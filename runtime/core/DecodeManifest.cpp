// Decodes the tables around the programs: kernels, weights, entries.
#include "runtime/core/Decode.h"
#include "runtime/core/Expressions.h"
#include "runtime/support/Failure.h"
#include "runtime/format/FileHeader.h"
#include "runtime/format/KernelHash.h"

#include <algorithm>
#include <cstdio>
#include <tuple>

namespace tenon::rt {

void DecodeBudget::spend(uint64_t elements) {
  if (elements > left)
    fail(Status::corrupt, "expected a manifest whose tables are about as large as "
                          "its bytes, but got one that repeats them without bound");
  left -= elements;
}

static ElementType decodeType(ElementType type, const std::string &where) {
  if (!elementBytes(type))
    fail(Status::corrupt, where, ": expected a known element type, but got ",
         unsigned(type));
  return type;
}

/// The symbol's hash, where it has one, is that of the signature in the manifest.
static void checkSymbol(const format::Kernel &kernel, std::string_view symbol,
                        const std::string &where) {
  size_t dot = symbol.rfind('.');
  if (dot == std::string_view::npos)
    return;
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx",
                static_cast<unsigned long long>(format::hashKernel(kernel)));
  if (symbol.substr(dot + 1) != digits)
    fail(Status::corrupt, where, ": expected the signature that symbol '", symbol,
         "' was compiled for, but got one of hash ", digits);
}

static void decodeBounds(const format::Kernel &kernel, Kernel &result,
                         const std::string &where, DecodeBudget &budget) {
  size_t count = sizeOf(kernel.bounds());
  budget.spend(count);
  if (count % 2)
    fail(Status::corrupt, where, ": expected pairs of bounds, but got ", count,
         " expressions");
  for (size_t i = 0; i < count; i += 2) {
    uint32_t low = kernel.bounds()->Get(i), high = kernel.bounds()->Get(i + 1);
    if (std::max(low, high) >= result.exprs.size())
      fail(Status::corrupt, where, ": expected bounds of expressions below ",
           result.exprs.size(), ", but got ", std::max(low, high));
    result.bounds.push_back({low, high});
  }
}

static void decodeStepSymbols(const format::Kernel &kernel, Kernel &result,
                              const std::string &where, DecodeBudget &budget) {
  if (!sizeOf(kernel.step_symbols()))
    return;
  budget.spend(sizeOf(kernel.step_symbols()) + kernel.num_symbols());
  result.isStep.assign(kernel.num_symbols(), false);
  for (uint32_t symbol : *kernel.step_symbols()) {
    if (symbol >= kernel.num_symbols())
      fail(Status::corrupt, where, ": expected step symbols among ",
           kernel.num_symbols(), ", but got ", symbol);
    result.isStep[symbol] = true;
  }
}

static Kernel decodeKernel(const format::Kernel &kernel, size_t index,
                           DecodeBudget &budget) {
  std::string where = concat("kernel ", index, " '", view(kernel.name()), "'");
  Kernel result{view(kernel.name()), view(kernel.symbol()), kernel.uses(),
                kernel.num_symbols(), kernel.results(), kernel.grid(),
                kernel.workspace(), {}, {}, kernel.device(),
                view(kernel.f32_products())};
  if (result.device > format::Device::MAX)
    fail(Status::corrupt, where, ": expected a device, but got ", unsigned(result.device));
  bool isStaged = result.device == format::Device::cuda;
  if (result.symbol.empty() && !isStaged)
    fail(Status::corrupt, where, ": expected a symbol, but got none");
  result.exprs = decodeExprs(kernel.exprs(), kernel.num_symbols(), where, budget);
  if (!isStaged)
    checkSymbol(kernel, result.symbol, where);
  decodeBounds(kernel, result, where, budget);
  decodeStepSymbols(kernel, result, where, budget);
  for (size_t i = 0; i < sizeOf(kernel.arguments()); ++i) {
    const format::KernelArgument *argument = kernel.arguments()->Get(i);
    KernelArgument decoded{decodeType(argument->type(), where), {}};
    budget.spend(1 + sizeOf(argument->dims()));
    for (size_t d = 0; d < sizeOf(argument->dims()); ++d) {
      uint32_t dim = argument->dims()->Get(d);
      if (dim >= result.exprs.size())
        fail(Status::corrupt, where, " argument ", i, ": expected an expression below ",
             result.exprs.size(), ", but got ", dim);
      decoded.dims.push_back(dim);
    }
    result.arguments.push_back(std::move(decoded));
  }
  if (result.arguments.empty() && isStaged)
    fail(Status::corrupt, where, ": expected arguments of a kernel for cuda, but got none");
  if (result.arguments.empty())
    return result;
  bool hasSizes = isStaged || (result.grid < result.exprs.size() &&
                               result.workspace < result.exprs.size());
  if (!hasSizes || result.results > result.arguments.size())
    fail(Status::corrupt, where, ": expected grid, workspace and results of the kernel's "
                                 "own, but got others");
  return result;
}

static WeightInfo decodeWeight(const format::Weight &weight, size_t index,
                               uint64_t fileSize, DecodeBudget &budget) {
  std::string where = concat("weight ", index, " '", view(weight.name()), "'");
  WeightInfo result{view(weight.name()), view(weight.encoding()),
                    weight.type(), {},
                    decodeSection(weight.section(), fileSize, where), {}};
  unsigned bits = elementBits(result.type);
  if (!bits)
    fail(Status::corrupt, where, ": expected a known element type, but got ",
         unsigned(result.type));
  budget.spend(1 + sizeOf(weight.dims()));
  if (weight.dims())
    result.dims.assign(weight.dims()->begin(), weight.dims()->end());
  for (int64_t dim : result.dims)
    if (dim < 0)
      fail(Status::corrupt, where, ": expected dimensions of 0 at least, but got ", dim);
  std::optional<format::Encoding> layout =
      format::parseEncoding(result.encoding, result.dims, bits);
  if (!layout)
    fail(Status::unsupported, where, ": expected the encoding ", format::knownEncodings,
         ", but got '", result.encoding, "'");
  result.layout = *layout;
  std::optional<int64_t> bytes = format::encodedSize(*layout, result.dims, bits);
  if (!bytes)
    fail(Status::corrupt, where, ": expected dimensions whose product fits 64 bits");
  if (uint64_t(*bytes) != result.section.size)
    fail(Status::corrupt, where, ": expected a section of ", *bytes,
         " bytes, but got ", result.section.size);
  return result;
}

/// Sections of code overlap nothing; weights may share a section whole.
static void checkOverlaps(const Artifact &artifact) {
  struct Range {
    uint64_t begin, size;
    std::string_view name;
    bool isWeight;
  };
  std::vector<Range> ranges;
  for (const Code &code : artifact.codes) {
    ranges.push_back({code.section.offset, code.section.size, code.target, false});
    for (const Section &image : code.images)
      ranges.push_back({image.offset, image.size, code.target, false});
  }
  for (const WeightInfo &weight : artifact.weights)
    ranges.push_back({weight.section.offset, weight.section.size, weight.name, true});
  std::sort(ranges.begin(), ranges.end(), [](const Range &a, const Range &b) {
    return std::tie(a.begin, a.size) < std::tie(b.begin, b.size);
  });
  uint64_t end = sizeof(format::FileHeader);
  const Range *last = nullptr;
  for (const Range &range : ranges) {
    if (range.size == 0)
      continue;
    bool shared = last && last->isWeight && range.isWeight &&
                  last->begin == range.begin && last->size == range.size;
    if (range.begin < end && !shared)
      fail(Status::corrupt, "expected sections that do not overlap, but got '",
           range.name, "' within ", last ? last->name : "the header");
    end = std::max(end, range.begin + range.size);
    last = &range;
  }
}

static void checkSameSignature(const Program &program, const Program &first,
                               const std::string &where) {
  auto same = [](const std::vector<Signature> &a, const std::vector<Signature> &b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const Signature &x, const Signature &y) {
                        return x.name == y.name && x.type == y.type;
                      });
  };
  if (!same(program.inputs, first.inputs) || !same(program.outputs, first.outputs))
    fail(Status::corrupt, where,
         ": expected the inputs and outputs of the entry's first program for the device, "
         "but got others");
}

static Entry decodeEntry(const format::Entry &entry, const Artifact &artifact,
                         DecodeBudget &budget) {
  Entry result{view(entry.name()), {}};
  if (sizeOf(entry.programs()) == 0)
    fail(Status::corrupt, "entry '", result.name, "': expected a program, but got none");
  for (size_t i = 0; i < entry.programs()->size(); ++i) {
    const format::Program *program = entry.programs()->Get(i);
    std::string where =
        concat("entry '", result.name, "' program ", i, " '", view(program->variant()), "'");
    budget.spend(1);
    result.programs.push_back(decodeProgram(*program, artifact, where, budget));
    for (const Program &first : result.programs)
      if (first.device == result.programs.back().device) {
        checkSameSignature(result.programs.back(), first, where);
        break;
      }
  }
  return result;
}

void decodeManifest(const format::Manifest &manifest, Artifact &artifact) {
  DecodeBudget budget(artifact.manifestSize * 16 + 65536);
  artifact.producer = view(manifest.producer());
  for (size_t i = 0; i < sizeOf(manifest.kernels()); ++i) {
    budget.spend(1);
    artifact.kernels.push_back(decodeKernel(*manifest.kernels()->Get(i), i, budget));
  }
  decodeCodes(manifest, artifact, budget);
  for (size_t i = 0; i < sizeOf(manifest.weights()); ++i)
    artifact.weights.push_back(decodeWeight(*manifest.weights()->Get(i), i,
                                            artifact.fileSize(), budget));
  checkOverlaps(artifact);
  for (size_t i = 0; i < sizeOf(manifest.entries()); ++i) {
    budget.spend(1);
    artifact.entries.push_back(decodeEntry(*manifest.entries()->Get(i), artifact, budget));
  }
  if (artifact.entries.empty())
    fail(Status::corrupt, "expected at least one entry, but got none");
}

} // namespace tenon::rt
