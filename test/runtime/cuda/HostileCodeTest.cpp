// Claims about code for GPUs that is damaged, or made to do harm: it is refused.
#include "runtime/format/FileHeader.h"
#include "test/runtime/SessionHelpers.h"
#include "test/runtime/cuda/CudaModels.h"

using namespace tenon;
using namespace tenon::test;

static void expectRefused(Model &model, const std::vector<std::string> &parts) {
  std::string path = model.write();
  expectFailure(rt::Status::corrupt, parts, [&] { open(path); });
}

static format::StagedKernelT &staged(Model &model, size_t kernel = 0) {
  return *model.manifest.codes[0]->kernels[kernel];
}
static format::StageT &stage(Model &model) { return *staged(model).stages[0]; }

/// The model whose stage has a map, with names for what it is now.
static Model makeMapModel() {
  Model model = makeCudaScaleModel();
  model.manifest.codes[0]->kernels.clear();
  model.manifest.kernels.clear();
  for (const char *name : {"add_f32", "scale_f32"})
    addKernel(model, name, 2, ElementType::f32, {{exprN, 128, 0, 1, true}});
  nameStages(model);
  return model;
}

// Every index and count of a stage is checked, with a right hash.
TEST(HostileCode, StagesOutOfRange) {
  using Change = void (*)(Model &);
  const std::pair<Change, const char *> cases[] = {
      {[](Model &m) { stage(m).image = 7; }, "an image below 1"},
      {[](Model &m) { stage(m).grid = 99; }, "an expression below"},
      {[](Model &m) { stage(m).threads = 0; }, "threads from 1 to 1024"},
      {[](Model &m) { stage(m).threads = 1025; }, "threads from 1 to 1024"},
      {[](Model &m) { stage(m).cluster = 0; }, "blocks in a cluster"},
      {[](Model &m) { stage(m).shared = 1 << 30; }, "bytes of shared memory"},
      {[](Model &m) { staged(m).workspace = 99; }, "an expression below"},
      {[](Model &m) { staged(m).stages.clear(); }, "at least one stage"},
      {[](Model &m) { stage(m).maps[0]->buffer = 9; }, "3 arguments or the workspace"},
      {[](Model &m) { stage(m).maps[0]->type = ElementType(77); }, "an element type"},
      {[](Model &m) { stage(m).maps[0]->dims[0] = 99; }, "an expression below"},
      {[](Model &m) { stage(m).maps[0]->strides[0] = 99; }, "an expression below"},
      {[](Model &m) { stage(m).maps[0]->strides.clear(); }, "1 strides"},
      {[](Model &m) { stage(m).maps[0]->dims.assign(6, exprN); }, "dimensions from 1 to 5"},
      {[](Model &m) { stage(m).maps[0]->box[1] = 257; }, "extent from 1 to 256"},
      {[](Model &m) { stage(m).maps[0]->box[0] = 3; }, "multiple of 16 bytes"},
      {[](Model &m) { stage(m).maps[0]->lower = {exprN}; }, "windows along 2 dimensions"},
      {[](Model &m) { stage(m).maps[0]->steps = {1}; }, "windows along 2 dimensions"},
      {[](Model &m) { stage(m).maps[0]->upper = {99}; }, "an expression below"},
      {[](Model &m) {
         stage(m).maps[0]->dims = {exprN, exprN, exprN};
         stage(m).maps[0]->lower = stage(m).maps[0]->upper = {exprN};
         stage(m).maps[0]->steps = {9};
       },
       "a step of windows"},
      {[](Model &m) { stage(m).maps[0]->swizzle = 48; }, "a swizzle of 0, 32"},
      {[](Model &m) {
         stage(m).maps[0]->swizzle = 32;
         stage(m).maps[0]->box[0] = 16;
       },
       "at most 32"}};
  for (const auto &[change, part] : cases) {
    Model model = makeMapModel();
    change(model);
    nameStages(model);
    expectRefused(model, {"code 0 'cuda:sm_80'", "kernel 0 'add_f32'", part});
  }
}

// A signature or a stage that was changed does not fit the symbol any more.
TEST(HostileCode, ChangedStages) {
  using Change = void (*)(Model &);
  const Change cases[] = {[](Model &m) { stage(m).threads = 64; },
                          [](Model &m) { stage(m).shared = 16; },
                          [](Model &m) { stage(m).waits_itself = true; },
                          [](Model &m) { stage(m).maps[0]->swizzle = 128; },
                          [](Model &m) { staged(m).workspace = exprN; },
                          [](Model &m) { m.manifest.kernels[0]->arguments[0]->dims[0] = expr1; },
                          [](Model &m) { stage(m).symbol = "add_f32"; },
                          [](Model &m) { stage(m).symbol.back() = '1'; }};
  for (Change change : cases) {
    Model model = makeMapModel();
    change(model);
    expectRefused(model, {"stage 0", "was compiled for"});
  }
}

// Each code has each kernel for cuda once, and none for the CPU.
TEST(HostileCode, KernelsOfACode) {
  Model model = makeCudaScaleModel();
  model.manifest.codes[0]->kernels.pop_back();
  expectRefused(model, {"code for kernel 1 'scale_f32'", "none"});
  model = makeCudaScaleModel();
  staged(model, 1).kernel = 0;
  nameStages(model);
  expectRefused(model, {"each kernel for cuda once"});
  model = makeCudaScaleModel();
  staged(model, 1).kernel = 9;
  expectRefused(model, {"a kernel below 2"});
  model = makeScaleModelForBoth();
  staged(model, 1).kernel = 0; // the CPU's
  nameStages(model);
  expectRefused(model, {"each kernel for cuda once"});
}

// A program launches kernels for its own device; devices and forms are known ones.
TEST(HostileCode, DevicesThatDoNotFit) {
  Model model = makeCudaScaleModel();
  model.program().device = format::Device::cpu;
  expectRefused(model, {"kernel for the program's device cpu"});
  model = makeCudaScaleModel();
  model.program().device = format::Device(9);
  expectRefused(model, {"a device"});
  model = makeCudaScaleModel();
  model.manifest.kernels[0]->device = format::Device(9);
  expectRefused(model, {"a device"});
  model = makeCudaScaleModel();
  model.manifest.kernels[0]->arguments.clear();
  expectRefused(model, {"arguments of a kernel for cuda"});
  model = makeCudaScaleModel();
  model.manifest.codes[0]->target = "cpu:x86-64-v3";
  expectRefused(model, {"of form elf"});
  model = makeCudaScaleModel();
  model.manifest.codes[0]->capability = 0;
  expectRefused(model, {"a compute capability"});
}

// Images lie within the file, at pages' boundaries, apart from all other sections.
TEST(HostileCode, ImagesOutsideTheFile) {
  Model model = makeCudaScaleModel();
  Bytes file = model.serialize();
  const format::SectionT good = *model.manifest.codes[0]->images[0];
  auto expectRefusedSection = [&](uint64_t offset, uint64_t size, const char *part) {
    *model.manifest.codes[0]->images[0] = good;
    model.manifest.codes[0]->images[0]->offset = offset;
    model.manifest.codes[0]->images[0]->size = size;
    Bytes whole(file.begin(), file.begin() + 3 * 4096); // header, image, weight
    std::string path = Model::writeFile(finish(model.manifest, whole));
    expectFailure(rt::Status::corrupt, {part}, [&] { open(path); });
  };
  expectRefusedSection(1 << 20, 8, "within the file");
  expectRefusedSection(good.offset, UINT64_MAX, "within the file");
  expectRefusedSection(good.offset + 8, 8, "multiple of 4096");
  expectRefusedSection(model.manifest.weights[0]->section->offset, 4, "do not overlap");
}

// Version 3 knows no bounds of kernels: its files are read.
TEST(HostileCode, OlderVersion) {
  Model model = makeScaleModel();
  model.manifest.version = format::oldestVersion;
  Bytes bytes = model.serialize();
  bytes[8] = format::oldestVersion;
  auto s = session(Model::writeFile(bytes));
  std::vector<float> x = {1};
  s->setInput(0, floats(x));
  s->run();
  EXPECT_EQ(read<float>(*s, 0), std::vector<float>{6});
}
