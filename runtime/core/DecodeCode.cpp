// Decodes the codes: sections, and how each kernel for cuda is launched as stages.
#include "runtime/core/Decode.h"
#include "runtime/format/FileHeader.h"
#include "runtime/format/KernelHash.h"
#include "runtime/support/Failure.h"

#include <cstdio>

namespace tenon::rt {

Section decodeSection(const format::Section *section, uint64_t fileSize,
                             const std::string &where) {
  if (!section)
    fail(Status::corrupt, where, ": expected a section, but got none");
  Section result{section->offset(), section->size(), section->hash()};
  if (result.offset % format::sectionAlignment)
    fail(Status::corrupt, where, ": expected a section at a multiple of ",
         format::sectionAlignment, ", but got offset ", result.offset);
  if (result.offset > fileSize || result.size > fileSize - result.offset)
    fail(Status::corrupt, where, ": expected a section within the file's ", fileSize,
         " bytes, but got ", result.size, " bytes at ", result.offset);
  return result;
}

namespace {

/// The stages of one kernel in one code.
class StageDecoder {
public:
  StageDecoder(const format::StagedKernel &source, const Kernel &kernel, size_t numImages,
               uint64_t hash, std::string where, DecodeBudget &budget)
      : source(source), kernel(kernel), numImages(numImages), hash(hash),
        where(std::move(where)), budget(budget) {}

  StagedKernel decode();

private:
  Stage decodeStage(const format::Stage &stage, size_t index);
  TensorMap decodeMap(const format::TensorMap &map, const std::string &at);
  void checkBox(const TensorMap &map, const std::string &at);
  void decodeWindows(const format::TensorMap &map, TensorMap &result, const std::string &at);
  void checkSymbol(std::string_view symbol, size_t index, const std::string &at);
  uint32_t expr(uint32_t index, const std::string &at);
  std::vector<uint32_t> exprList(const flatbuffers::Vector<uint32_t> *indices,
                                 const std::string &at);
  void inRange(uint64_t value, uint64_t least, uint64_t most, const char *what,
               const std::string &at) {
    if (value < least || value > most)
      fail(Status::corrupt, at, ": expected ", what, " from ", least, " to ", most,
           ", but got ", value);
  }

  const format::StagedKernel &source;
  const Kernel &kernel;
  const size_t numImages;
  const uint64_t hash; // of the signature and the stages
  const std::string where;
  DecodeBudget &budget;
};

uint32_t StageDecoder::expr(uint32_t index, const std::string &at) {
  if (index >= kernel.exprs.size())
    fail(Status::corrupt, at, ": expected an expression below ", kernel.exprs.size(),
         ", but got ", index);
  return index;
}

std::vector<uint32_t> StageDecoder::exprList(const flatbuffers::Vector<uint32_t> *indices,
                                             const std::string &at) {
  std::vector<uint32_t> result;
  budget.spend(sizeOf(indices));
  for (size_t i = 0; i < sizeOf(indices); ++i)
    result.push_back(expr(indices->Get(i), at));
  return result;
}

/// What the hardware asks of a box: its rows are multiples of 16 bytes, and not longer
/// than what they are swizzled in.
void StageDecoder::checkBox(const TensorMap &map, const std::string &at) {
  for (uint32_t extent : map.box)
    inRange(extent, 1, 256, "a box's extent", at);
  uint64_t row = uint64_t(map.box[0]) * elementBytes(map.type);
  if (row % 16 || (map.swizzle && row > map.swizzle))
    fail(Status::corrupt, at, ": expected a box whose rows are a multiple of 16 bytes",
         map.swizzle ? concat(", at most ", map.swizzle) : "", ", but got ", row);
}

/// What an image of windows has beside a tensor.
void StageDecoder::decodeWindows(const format::TensorMap &map, TensorMap &result,
                                 const std::string &at) {
  constexpr uint32_t longestStep = 8;
  result.lower = exprList(map.lower(), at);
  result.upper = exprList(map.upper(), at);
  budget.spend(sizeOf(map.steps()));
  if (map.steps())
    result.steps.assign(map.steps()->begin(), map.steps()->end());
  if (!result.hasWindows() && result.upper.empty() && result.steps.empty())
    return;
  size_t positions = result.lower.size();
  if (positions + 2 != result.dims.size() || result.upper.size() != positions ||
      result.steps.size() != positions)
    fail(Status::corrupt, at, ": expected windows along ", result.dims.size(),
         " dimensions but the first and the last, but got ", positions, ", ",
         result.upper.size(), " and ", result.steps.size());
  for (uint32_t step : result.steps)
    inRange(step, 1, longestStep, "a step of windows", at);
}

TensorMap StageDecoder::decodeMap(const format::TensorMap &map, const std::string &at) {
  TensorMap result{map.buffer(),
                   map.type(),
                   exprList(map.dims(), at),
                   exprList(map.strides(), at),
                   {},
                   map.swizzle(),
                   {},
                   {},
                   {}};
  if (result.buffer > kernel.arguments.size())
    fail(Status::corrupt, at, ": expected one of ", kernel.arguments.size(),
         " arguments or the workspace, but got ", result.buffer);
  if (!elementBytes(result.type))
    fail(Status::corrupt, at, ": expected an element type, but got ", unsigned(result.type));
  constexpr size_t mostDims = 5;
  inRange(result.dims.size(), 1, mostDims, "dimensions", at);
  budget.spend(1 + sizeOf(map.box()));
  if (map.box())
    result.box.assign(map.box()->begin(), map.box()->end());
  decodeWindows(map, result, at);
  size_t boxed = result.hasWindows() ? 2 : result.dims.size();
  if (result.strides.size() + 1 != result.dims.size() || result.box.size() != boxed)
    fail(Status::corrupt, at, ": expected ", result.dims.size() - 1, " strides and a box of ",
         boxed, " dimensions, but got ", result.strides.size(), " and ", result.box.size());
  if (result.swizzle != 0 && result.swizzle != 32 && result.swizzle != 64 &&
      result.swizzle != 128)
    fail(Status::corrupt, at, ": expected a swizzle of 0, 32, 64 or 128 bytes, but got ",
         result.swizzle);
  checkBox(result, at);
  return result;
}

void StageDecoder::checkSymbol(std::string_view symbol, size_t index, const std::string &at) {
  char ending[40];
  std::snprintf(ending, sizeof(ending), "_%016llx_%zu", static_cast<unsigned long long>(hash),
                index);
  std::string_view expected = ending;
  if (symbol.size() <= expected.size() ||
      symbol.substr(symbol.size() - expected.size()) != expected)
    fail(Status::corrupt, at, ": expected the signature and the stages that symbol '", symbol,
         "' was compiled for, but got those of '", expected, "'");
}

Stage StageDecoder::decodeStage(const format::Stage &stage, size_t index) {
  std::string at = concat(where, " stage ", index);
  budget.spend(1 + sizeOf(stage.maps()));
  Stage result{view(stage.symbol()), stage.image(),  expr(stage.grid(), at),
               stage.threads(),      stage.shared(), stage.cluster(),
               {},                   stage.waits_itself(),
               stage.registers(),    stage.local_bytes(), view(stage.form())};
  checkSymbol(result.symbol, index, at);
  if (result.image >= numImages)
    fail(Status::corrupt, at, ": expected an image below ", numImages, ", but got ",
         result.image);
  inRange(result.threads, 1, 1024, "threads", at);
  inRange(result.cluster, 1, 16, "blocks in a cluster", at);
  inRange(result.shared, 0, 1 << 20, "bytes of shared memory", at);
  for (size_t i = 0; i < sizeOf(stage.maps()); ++i)
    result.maps.push_back(
        decodeMap(*stage.maps()->Get(i), concat(at, " tensor map ", i)));
  return result;
}

StagedKernel StageDecoder::decode() {
  StagedKernel result;
  result.workspace = expr(source.workspace(), where);
  budget.spend(sizeOf(source.stages()));
  for (size_t i = 0; i < sizeOf(source.stages()); ++i)
    result.stages.push_back(decodeStage(*source.stages()->Get(i), i));
  if (result.stages.empty())
    fail(Status::corrupt, where, ": expected at least one stage, but got none");
  return result;
}

} // namespace

/// Each kernel for cuda once, and no other.
static void decodeStages(const format::Manifest &manifest, const format::Code &source,
                         Code &code, const Artifact &artifact, const std::string &where,
                         DecodeBudget &budget) {
  budget.spend(artifact.kernels.size());
  code.kernels.resize(artifact.kernels.size());
  for (size_t i = 0; i < sizeOf(source.kernels()); ++i) {
    const format::StagedKernel &staged = *source.kernels()->Get(i);
    if (staged.kernel() >= artifact.kernels.size())
      fail(Status::corrupt, where, ": expected a kernel below ", artifact.kernels.size(),
           ", but got ", staged.kernel());
    const Kernel &kernel = artifact.kernels[staged.kernel()];
    std::string at = concat(where, " kernel ", staged.kernel(), " '", kernel.name, "'");
    if (kernel.device != format::Device::cuda || !code.kernels[staged.kernel()].stages.empty())
      fail(Status::corrupt, at, ": expected each kernel for cuda once, but got another");
    uint64_t hash = format::hashStages(*manifest.kernels()->Get(staged.kernel()), staged);
    code.kernels[staged.kernel()] =
        StageDecoder(staged, kernel, code.images.size(), hash, at, budget).decode();
  }
  for (size_t k = 0; k < artifact.kernels.size(); ++k)
    if (artifact.kernels[k].device == format::Device::cuda && code.kernels[k].stages.empty())
      fail(Status::corrupt, where, ": expected code for kernel ", k, " '",
           artifact.kernels[k].name, "', but got none");
}

static void decodeImages(const format::Code &source, Code &code, uint64_t fileSize,
                         const std::string &where, DecodeBudget &budget) {
  budget.spend(sizeOf(source.images()));
  for (size_t i = 0; i < sizeOf(source.images()); ++i)
    code.images.push_back(
        decodeSection(source.images()->Get(i), fileSize, concat(where, " image ", i)));
}

static Code decodeCode(const format::Manifest &manifest, const format::Code &source,
                       const Artifact &artifact, const std::string &where,
                       DecodeBudget &budget) {
  Code code{view(source.target()), {}, {0, 0, 0}, source.form(),
            {},  {}, source.capability(), source.is_exact(),
            source.driver(), view(source.assembler())};
  budget.spend(1 + sizeOf(source.features()));
  for (size_t f = 0; f < sizeOf(source.features()); ++f)
    code.features.push_back(view(source.features()->Get(f)));
  if (code.form > format::CodeForm::MAX)
    fail(Status::corrupt, where, ": expected a form of code, but got ", unsigned(code.form));
  bool isForCpu = code.target == "cpu" || code.target.substr(0, 4) == "cpu:";
  bool isForCuda = code.target.substr(0, 5) == "cuda:";
  if (code.form == format::CodeForm::elf ? isForCuda : isForCpu || !isForCuda)
    fail(Status::corrupt, where, ": expected code of form ",
         isForCuda ? "ptx or cubin" : "elf", ", but got ",
         format::EnumNameCodeForm(code.form));
  if (code.form == format::CodeForm::elf) {
    code.section = decodeSection(source.section(), artifact.fileSize(), where);
    return code;
  }
  if (code.capability == 0)
    fail(Status::corrupt, where, ": expected a compute capability, but got 0");
  decodeImages(source, code, artifact.fileSize(), where, budget);
  decodeStages(manifest, source, code, artifact, where, budget);
  return code;
}

void decodeCodes(const format::Manifest &manifest, Artifact &artifact, DecodeBudget &budget) {
  for (size_t i = 0; i < sizeOf(manifest.codes()); ++i) {
    const format::Code &code = *manifest.codes()->Get(i);
    std::string where = concat("code ", i, " '", view(code.target()), "'");
    artifact.codes.push_back(decodeCode(manifest, code, artifact, where, budget));
  }
}

} // namespace tenon::rt
