// Claims about files that are damaged, or made to do harm: each is refused with a
// message, at load or in the run, and nothing outside the buffers is touched.
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/SessionHelpers.h"
#include "test/runtime/cuda/CudaModels.h"

#include "runtime/format/FileHeader.h"
#include "runtime/format/Hash.h"
#include "runtime/format/KernelHash.h"

#include <cstdio>
#include <random>
#include <thread>
#include <unistd.h>

using namespace tenon;
using namespace tenon::test;

/// Expects the model's file to be refused when it is opened.
static void expectRefused(Model &model, const std::vector<std::string> &parts) {
  std::string path = model.write();
  expectFailure(rt::Status::corrupt, parts, [&] { open(path); });
}

static format::LaunchT &firstLaunch(Model &model) {
  return *model.program().steps[0]->action.AsLaunch();
}

/// Expects one run on x = {1, 2} to fail.
static void expectRunFails(Model &model, const std::vector<std::string> &parts) {
  auto s = session(model.write());
  std::vector<float> x = {1, 2};
  s->setInput(0, floats(x));
  expectFailure(rt::Status::execution, parts, [&] { s->run(); });
}

// A file that ends anywhere before its end is refused.
TEST(Hostile, TruncatedFiles) {
  Bytes whole = makeScaleModel().serialize();
  for (size_t size = 0; size < whole.size(); size += 1 + size / 16) {
    std::string path = Model::writeFile(Bytes(whole.begin(), whole.begin() + size));
    expectFailure(rt::Status::corrupt, {path}, [&] { open(path); });
  }
}

// A newer format is refused with both numbers.
TEST(Hostile, NewerVersion) {
  Bytes bytes = makeScaleModel().serialize();
  bytes[8] = 9;
  expectFailure(rt::Status::unsupported,
                {rt::concat("version ", format::oldestVersion), "9"},
                [&] { open(Model::writeFile(bytes)); });
}

// One flipped bit in manifest or code is found at load, in a weight on request.
TEST(Hostile, FlippedBits) {
  Model model = makeScaleModel();
  Bytes bytes = model.serialize();
  format::FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  const auto &code = *model.manifest.codes[0]->section;
  for (uint64_t at : {header.manifestOffset + header.manifestSize / 2, code.offset + 100,
                      code.offset + code.size - 1}) {
    Bytes damaged = bytes;
    damaged[at] ^= 4;
    expectFailure(rt::Status::corrupt, {"damaged"}, [&] { open(Model::writeFile(damaged)); });
  }
  bytes[model.manifest.weights[0]->section->offset] ^= 4;
  std::string path = Model::writeFile(bytes);
  open(path);
  rt::ArtifactOptions verify;
  verify.verifyWeights = true;
  expectFailure(rt::Status::corrupt, {"'w'", "damaged"}, [&] { rt::Artifact(path, verify); });
}

// Code for another machine is refused, naming what is missing.
TEST(Hostile, MissingFeature) {
  Model model = makeScaleModel();
  model.manifest.codes[0]->features = {"sse2", "no-such-feature"};
  std::string path = model.write();
  expectFailure(rt::Status::unsupported, {"no-such-feature"}, [&] { open(path); });
}

// The last code that this machine has the features for is taken.
TEST(Hostile, TakesTheLastCodeThatRuns) {
  Model model = makeScaleModel();
  for (const char *feature : {"sse4.2", "no-such-feature"}) {
    model.manifest.codes.push_back(std::make_unique<format::CodeT>());
    model.manifest.codes.back()->target = "cpu";
    model.manifest.codes.back()->features = {feature};
    model.manifest.codes.back()->section = std::make_unique<format::SectionT>();
  }
  EXPECT_EQ(rt::chooseCpuCode(*open(model.write())), 1);
}

// A kernel that the code does not have is refused by name.
TEST(Hostile, MissingKernel) {
  Model model = makeScaleModel();
  model.manifest.kernels[0]->symbol = "nowhere";
  expectRefused(model, {"'nowhere'"});
}

// Every index of the manifest is checked when the file is opened.
TEST(Hostile, IndicesOutOfRange) {
  using Change = void (*)(Model &);
  const std::pair<Change, const char *> cases[] = {
      {[](Model &m) { firstLaunch(m).kernel = 99; }, "kernel"},
      {[](Model &m) { firstLaunch(m).buffers[0] = 99; }, "value"},
      {[](Model &m) { firstLaunch(m).grid = 99; }, "expression"},
      {[](Model &m) { firstLaunch(m).workspace = 99; }, "expression"},
      {[](Model &m) { firstLaunch(m).symbols[0] = 99; }, "expression"},
      {[](Model &m) { firstLaunch(m).results = 9; }, "results"},
      {[](Model &m) { firstLaunch(m).buffers[2] = 0; }, "target in the arena"},
      {[](Model &m) { m.program().arena = 99; }, "expression"},
      {[](Model &m) { m.program().values[2]->index = 9; }, "weight"},
      {[](Model &m) { m.program().values[0]->dims[0] = 99; }, "expression"},
      {[](Model &m) { m.program().values[0]->index = 1; }, "input"},
      {[](Model &m) { m.program().inputs[0]->value = 1; }, "own value"},
      {[](Model &m) { m.program().outputs[0]->value = 99; }, "value"},
      {[](Model &m) { m.program().exprs[0] = {ExprOp::symbol, 0, 0, 7}; }, "symbol"},
      {[](Model &m) { m.program().values[3]->type = ElementType(77); }, "type"},
      {[](Model &m) { m.program().values[3]->storage = Storage(9); }, "storage"},
      {[](Model &m) { m.program().steps[0]->action.Reset(); }, "action"},
  };
  for (auto [change, part] : cases) {
    Model model = makeScaleModel();
    change(model);
    expectRefused(model, {part});
  }
}

// An expression refers to earlier ones only, so that no cycle can be made.
TEST(Hostile, ForwardExpressions) {
  Model model = makeScaleModel();
  auto &exprs = model.program().exprs;
  exprs.emplace_back(ExprOp::add, exprs.size(), 0, 0);
  expectRefused(model, {"operands before it"});
}

// Sections lie in the file, at page boundaries, apart from each other.
TEST(Hostile, Sections) {
  Model model = makeScaleModel();
  Bytes file = model.serialize();
  auto &weight = *model.manifest.weights[0]->section;
  uint64_t manifestAt, good = weight.offset;
  std::memcpy(&manifestAt, file.data() + offsetof(format::FileHeader, manifestOffset), 8);
  file.resize(manifestAt);
  auto refused = [&](const char *part) {
    std::string path = Model::writeFile(finish(model.manifest, file));
    expectFailure(rt::Status::corrupt, {part}, [&] { open(path); });
  };
  weight.offset = good + 4;
  refused("multiple of 4096");
  weight.offset = uint64_t(1) << 63;
  refused("within the file");
  weight.offset = model.manifest.codes[0]->section->offset;
  refused("overlap");
  weight.offset = good;
  weight.size = 8;
  refused("section of 4 bytes");
  weight.size = UINT64_MAX;
  refused("within the file");
}

// A nest of If deeper than the limit is refused, not recursed into.
TEST(Hostile, DeepNests) {
  Model model = makeScaleModel();
  ProgramBuilder p(model.program());
  uint32_t flag = p.arena(ElementType::boolean, {}, 1);
  for (int depth = 0; depth < 36; ++depth) {
    format::IfT branch;
    branch.condition = flag;
    branch.then_steps = std::make_unique<format::BlockT>();
    branch.then_steps->steps = std::move(p.program.steps);
    p.program.steps.clear();
    add(p.program.steps, std::move(branch));
  }
  expectRefused(model, {"deep"});
}

// Values outside their arena, and offsets that overflow, fail before the launch.
TEST(Hostile, ValuesOutsideTheArena) {
  for (int64_t offset : {int64_t(64), INT64_MAX - 63, int64_t(-64), int64_t(4)}) {
    Model model = makeScaleModel();
    ProgramBuilder p(model.program());
    model.program().values[3]->offset = p.constant(offset);
    expectRunFails(model, {"value 3"});
  }
  Model model = makeScaleModel();
  ProgramBuilder p(model.program());
  uint32_t huge = p.constant(INT64_MAX / 2);
  model.program().values[3]->dims = {huge, huge};
  expectRunFails(model, {"value 3", "64 bits"});
}

// A value larger than the input, weight or view source behind it fails.
TEST(Hostile, ValuesLargerThanTheirOwner) {
  for (int value : {0, 2}) {
    Model model = makeScaleModel();
    ProgramBuilder p(model.program());
    model.program().values[value]->dims = {p.constant(1000)};
    expectRunFails(model, {"4000"});
  }
  Model model = makeScaleModel();
  ProgramBuilder p(model.program());
  firstLaunch(model).buffers[0] = p.view(0, ElementType::f32, {p.constant(1000)});
  expectRunFails(model, {"4000"});
}

// An arena that cannot be had is an error, and so is a negative one.
TEST(Hostile, ImpossibleArenas) {
  for (int64_t size : {INT64_MAX, int64_t(-1)}) {
    Model model = makeScaleModel();
    ProgramBuilder p(model.program());
    model.program().arena = p.constant(size);
    auto s = session(model.write());
    std::vector<float> x = {1};
    s->setInput(0, floats(x));
    EXPECT_THROW(s->run(), rt::Failure);
  }
}

// Where a kernel says what it takes, a smaller buffer fails before the launch.
TEST(Hostile, BuffersSmallerThanTheKernelExpects) {
  Model model = makeScaleModel();
  auto &kernel = *model.manifest.kernels[0]; // add_f32 over its symbol 0
  kernel.num_symbols = 1;
  kernel.exprs.emplace_back(ExprOp::symbol, 0, 0, 0);
  for (int i = 0; i < 3; ++i) {
    kernel.arguments.push_back(std::make_unique<format::KernelArgumentT>());
    kernel.arguments.back()->type = ElementType::f32;
    kernel.arguments.back()->dims = {0};
  }
  kernel.exprs.emplace_back(ExprOp::constant, 0, 0, 0);
  kernel.results = 1;
  kernel.workspace = 1; // none; the grid is the symbol
  auto s = session(model.write());
  std::vector<float> x = {1, 2};
  s->setInput(0, floats(x));
  s->run();
  ProgramBuilder p(model.program());
  firstLaunch(model).symbols[0] = p.constant(3);
  expectRunFails(model, {"node 'Add_0'", "'add_f32' argument 0", "12 bytes", "8"});
  firstLaunch(model).buffers.erase(firstLaunch(model).buffers.begin());
  expectRefused(model, {"3 buffers"});
}

// Where a kernel takes a part of a buffer, a plan that names one outside fails before the
// launch; an empty launch takes none.
TEST(Hostile, PartsOutsideOfBuffers) {
  Model model = makeScaleModel();
  auto &kernel = *model.manifest.kernels[0]; // add_f32 over its symbol 0
  kernel.num_symbols = 2;
  kernel.exprs = {{ExprOp::symbol, 0, 0, 0}, {ExprOp::constant, 0, 0, 0},
                  {ExprOp::symbol, 0, 0, 1}, {ExprOp::add, 0, 2, 0}};
  for (int i = 0; i < 3; ++i) {
    kernel.arguments.push_back(std::make_unique<format::KernelArgumentT>());
    kernel.arguments.back()->type = ElementType::f32;
    kernel.arguments.back()->dims = {0};
  }
  kernel.results = 1;
  kernel.workspace = 1;
  kernel.bounds = {1, 2, 3, 0}; // 0 <= the first element, which + the size is in the size
  ProgramBuilder p(model.program());
  auto &symbols = firstLaunch(model).symbols;
  symbols.push_back(p.constant(0));
  auto s = session(model.write());
  std::vector<float> x = {1, 2};
  s->setInput(0, floats(x));
  s->run();
  symbols[1] = p.constant(1);
  expectRunFails(model, {"node 'Add_0'", "'add_f32'", "within its buffers", "3 is over 2"});
  symbols[1] = p.constant(-1);
  expectRunFails(model, {"'add_f32'", "0 is over -1"});
  kernel.grid = 1;
  auto idle = session(model.write());
  idle->setInput(0, floats(x));
  idle->run();
  kernel.grid = 0;
  kernel.bounds = {1, 2, 3};
  expectRefused(model, {"pairs of bounds", "3"});
  kernel.bounds = {1, 9};
  expectRefused(model, {"bounds", "below 4", "9"});
}

// Bounds are a part of the signature: none can be left out.
TEST(Hostile, BoundsAreInTheSignature) {
  auto hash = [](const format::KernelT &kernel) {
    flatbuffers::FlatBufferBuilder builder;
    builder.Finish(format::CreateKernel(builder, &kernel));
    return format::hashKernel(
        *flatbuffers::GetRoot<format::Kernel>(builder.GetBufferPointer()));
  };
  format::KernelT kernel;
  kernel.exprs.emplace_back(ExprOp::symbol, 0, 0, 0);
  uint64_t none = hash(kernel);
  kernel.bounds = {0, 0};
  uint64_t one = hash(kernel);
  kernel.bounds = {0, 0, 0, 0};
  EXPECT_NE(none, one);
  EXPECT_NE(one, hash(kernel));
}

// A symbol with a hash is only called under the signature that it was made from.
TEST(Hostile, ChangedSignatures) {
  Model model = makeScaleModel();
  auto &kernel = *model.manifest.kernels[0];
  kernel.symbol = "add_f32.0123456789abcdef";
  expectRefused(model, {"signature", "add_f32.0123456789abcdef"});
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(format::CreateKernel(builder, &kernel));
  char symbol[64];
  std::snprintf(symbol, sizeof(symbol), "add_f32.%016llx",
                static_cast<unsigned long long>(format::hashKernel(
                    *flatbuffers::GetRoot<format::Kernel>(builder.GetBufferPointer()))));
  kernel.symbol = symbol;
  expectRefused(model, {"expected kernel", symbol}); // the hash fits, no code has it
}

// Expressions that begin where no expression can are refused: the verifier looks only at
// where their number is.
TEST(Hostile, MisalignedExpressions) {
  Bytes bytes = makeScaleModel().serialize();
  format::FileHeader header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  uint8_t *manifest = bytes.data() + header.manifestOffset;
  auto *program = reinterpret_cast<const flatbuffers::Table *>(
      format::GetManifest(manifest)->entries()->Get(0)->programs()->Get(0));
  uint8_t *field = const_cast<uint8_t *>(program->GetAddressOf(format::Program::VT_EXPRS));
  uint32_t offset, one = 1;
  std::memcpy(&offset, field, sizeof(offset));
  offset += 4;
  std::memcpy(field, &offset, sizeof(offset));
  std::memcpy(field + offset, &one, sizeof(one));
  header.manifestHash = format::hashBytes(manifest, header.manifestSize);
  std::memcpy(bytes.data(), &header, sizeof(header));
  expectFailure(rt::Status::corrupt, {"expressions at a multiple of 8 bytes"},
                [&] { open(Model::writeFile(bytes)); });
}

namespace {
/// The host's memory; launches do nothing, since code is trusted.
class IdleDevice final : public rt::Device {
public:
  explicit IdleDevice(const rt::Artifact &artifact) : artifact(artifact) {}
  std::string name() const override { return "cpu"; }
  format::Device kind() const override { return artifact.entries[0].programs[0].device; }
  std::shared_ptr<rt::Device> another() const override { return nullptr; }
  const std::vector<const uint8_t *> &weights(const rt::Weights &weights) override {
    return weights.data;
  }
  void measure(uint32_t kernel, const std::vector<rt::Evaluated> &exprs,
               rt::LaunchSize &size) override {
    if (artifact.kernels[kernel].device == format::Device::cpu)
      size.grid = rt::valueOf(exprs, artifact.kernels[kernel].grid, "a grid");
  }
  void launch(const rt::LaunchCall &) override {}
  void copy(uint8_t *to, const uint8_t *from, int64_t bytes) override {
    std::memmove(to, from, bytes);
  }
  void write(uint8_t *to, const void *from, int64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void upload(uint8_t *to, const void *from, int64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void download(void *to, const uint8_t *from, int64_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void synchronize() override {}
  int64_t scratchBytes() const override { return 0; }

private:
  const rt::Artifact &artifact;
};
} // namespace

/// Opens the file and runs its plan; kernels do nothing, since code is trusted.
/// Returns whether it ran; any failure but a Failure ends the test.
static bool survives(const std::string &path) {
  try {
    auto artifact = std::make_shared<rt::Artifact>(path, rt::ArtifactOptions{});
    rt::SessionOptions options;
    options.entry = artifact->entries[0].name;
    rt::Session s(std::make_shared<rt::Weights>(artifact),
                  std::make_shared<IdleDevice>(*artifact), options);
    std::vector<uint64_t> data(64, 3);
    for (size_t i = 0; i < s.signature().inputs.size(); ++i) {
      const rt::Signature &input = s.signature().inputs[i];
      s.setInput(i, tensor(input.type, data, std::vector<int64_t>(input.dims.size(), 2)));
    }
    std::atomic<bool> finished{false};
    std::thread watch([&] {
      for (int i = 0; i < 2000 && !finished; ++i)
        std::this_thread::sleep_for(std::chrono::microseconds(500));
      s.cancel();
    });
    bool ran = true;
    try {
      s.run();
    } catch (const rt::Failure &) {
      ran = false;
    }
    finished = true;
    watch.join();
    return ran;
  } catch (const rt::Failure &) {
    return false;
  }
}

/// Changes bytes of the manifest and makes the hashes right; each is refused or runs.
static void mutate(const Bytes &whole) {
  format::FileHeader header;
  std::memcpy(&header, whole.data(), sizeof(header));
  std::mt19937 random(1);
  int ran = 0, refused = 0;
  for (int round = 0; round < 3000; ++round) {
    Bytes bytes = whole;
    uint8_t *manifest = bytes.data() + header.manifestOffset;
    for (int change = 0; change < 1 + int(random() % 3); ++change) {
      static const uint8_t interesting[] = {0, 1, 0x7f, 0x80, 0xff};
      uint32_t how = random();
      manifest[random() % header.manifestSize] =
          how & 1 ? interesting[(how >> 1) % 5] : uint8_t(how >> 8);
    }
    header.manifestHash = format::hashBytes(manifest, header.manifestSize);
    std::memcpy(bytes.data(), &header, sizeof(header));
    std::string path = Model::writeFile(bytes);
    (survives(path) ? ran : refused)++;
    unlink(path.c_str());
  }
  EXPECT_GT(ran, 300);
  EXPECT_GT(refused, 300);
}

// Thousands of manifests with changed bytes and right hashes are refused or run.
TEST(Hostile, MutatedManifestsWithRightHashes) {
  mutate(makeScaleModel().serialize());
  mutate(makeCudaScaleModel().serialize());
}
