#include "test/runtime/cuda/CudaModels.h"

#include "runtime/format/KernelHash.h"

#include <cstdio>

namespace tenon::test {

static std::unique_ptr<format::TensorMapT> makeMap() {
  auto map = std::make_unique<format::TensorMapT>();
  map->buffer = 0;
  map->type = ElementType::f32;
  map->dims = {expr4, exprQuarter};
  map->strides = {exprQuarterBytes};
  map->box = {4, 2};
  return map;
}

static std::unique_ptr<format::StagedKernelT> makeStages(uint32_t kernel,
                                                         const std::vector<StageSpec> &specs,
                                                         uint32_t workspace) {
  auto staged = std::make_unique<format::StagedKernelT>();
  staged->kernel = kernel;
  staged->workspace = workspace;
  for (const StageSpec &spec : specs) {
    auto stage = std::make_unique<format::StageT>();
    stage->image = 0;
    stage->grid = spec.grid;
    stage->threads = spec.threads;
    stage->shared = spec.shared;
    stage->cluster = spec.cluster;
    stage->waits_itself = spec.waitsItself;
    if (spec.hasMap)
      stage->maps.push_back(makeMap());
    staged->stages.push_back(std::move(stage));
  }
  return staged;
}

uint32_t addKernel(Model &model, const std::string &name, size_t operands,
                   ElementType result, std::vector<StageSpec> stages, uint32_t workspace) {
  auto kernel = std::make_unique<format::KernelT>();
  kernel->name = name;
  kernel->uses = 1;
  kernel->num_symbols = 1;
  kernel->results = 1;
  kernel->device = format::Device::cuda;
  kernel->exprs = {{ExprOp::symbol, 0, 0, 0},   {ExprOp::constant, 0, 0, 0},
                   {ExprOp::constant, 0, 0, 1}, {ExprOp::constant, 0, 0, 4},
                   {ExprOp::ceildiv, 0, 3, 0},  {ExprOp::constant, 0, 0, 16}};
  for (size_t i = 0; i <= operands; ++i) {
    auto argument = std::make_unique<format::KernelArgumentT>();
    bool isResult = i == operands;
    argument->type = isResult ? result : ElementType::f32;
    bool isScalar = (isResult && result != ElementType::f32) ||
                    (name == "scale_f32" && i == 1) || (name == "sum_f32" && isResult);
    argument->dims = {uint32_t(isScalar ? expr1 : exprN)};
    kernel->arguments.push_back(std::move(argument));
  }
  uint32_t index = model.manifest.kernels.size();
  model.manifest.kernels.push_back(std::move(kernel));
  model.manifest.codes[0]->kernels.push_back(makeStages(index, stages, workspace));
  return index;
}

static std::unique_ptr<format::CodeT> makeCode(const std::string &target, unsigned capability,
                                               bool isExact, format::CodeForm form) {
  auto code = std::make_unique<format::CodeT>();
  code->target = target;
  code->form = form;
  code->capability = capability;
  code->is_exact = isExact;
  code->driver = 12000;
  code->images.push_back(std::make_unique<format::SectionT>());
  return code;
}

Model makeCudaModel() {
  Model model;
  model.manifest.codes.clear();
  model.manifest.codes.push_back(
      makeCode("cuda:sm_80", 80, false, format::CodeForm::ptx));
  model.images.emplace_back();
  model.program().device = format::Device::cuda;
  return model;
}

format::CodeT &addCode(Model &model, const std::string &target, unsigned capability,
                       bool isExact, format::CodeForm form) {
  auto code = makeCode(target, capability, isExact, form);
  for (const auto &staged : model.manifest.codes[0]->kernels)
    code->kernels.push_back(std::make_unique<format::StagedKernelT>(*staged));
  model.manifest.codes.push_back(std::move(code));
  return *model.manifest.codes.back();
}

template <typename Table, typename TableT>
static const Table *pack(flatbuffers::FlatBufferBuilder &builder, const TableT &table) {
  builder.Finish(Table::Pack(builder, &table));
  return flatbuffers::GetRoot<Table>(builder.GetBufferPointer());
}

void nameStages(Model &model) {
  std::string image = "// the functions of this image\n";
  for (auto &code : model.manifest.codes)
    for (auto &staged : code->kernels) {
      flatbuffers::FlatBufferBuilder kernels, stages;
      const format::KernelT &kernel = *model.manifest.kernels[staged->kernel];
      uint64_t hash = format::hashStages(*pack<format::Kernel>(kernels, kernel),
                                         *pack<format::StagedKernel>(stages, *staged));
      for (size_t i = 0; i < staged->stages.size(); ++i) {
        char symbol[128];
        std::snprintf(symbol, sizeof(symbol), "%s_%016llx_%zu", kernel.name.c_str(),
                      static_cast<unsigned long long>(hash), i);
        staged->stages[i]->symbol = symbol;
        image += staged->stages[i]->symbol + "\n";
      }
    }
  for (Bytes &bytes : model.images)
    bytes.assign(image.begin(), image.end());
}

void cudaLaunch(Steps &steps, uint32_t kernel, std::vector<uint32_t> buffers, uint32_t n,
                const std::string &node) {
  launch(steps, kernel, std::move(buffers), {n}, 0, 0, node);
}

/// Fills in a program whose weight is number `weight`.
static void addScaleProgram(Model &model, format::ProgramT &program, uint32_t weight) {
  uint32_t add = addKernel(model, "add_f32", 2, ElementType::f32, {StageSpec()});
  uint32_t scale = addKernel(model, "scale_f32", 2, ElementType::f32, {StageSpec()});
  program.device = format::Device::cuda;
  ProgramBuilder p(program);
  uint32_t n = p.symbol("n", 1, 64), zero = p.constant(0), one = p.constant(1);
  uint32_t x = p.input("x", ElementType::f32, {n});
  uint32_t y = p.output("y", ElementType::f32, {n});
  uint32_t w = p.weight(weight, ElementType::f32, {one});
  uint32_t sum = p.arena(ElementType::f32, {n}, zero);
  p.program.arena = p.node(ExprOp::mul, n, p.constant(4));
  cudaLaunch(p.program.steps, add, {x, x, sum}, n, "Add_0");
  cudaLaunch(p.program.steps, scale, {sum, w, y}, n, "Mul_1");
}

Model makeCudaScaleModel() {
  Model model = makeCudaModel();
  uint32_t weight = model.addWeight("w", ElementType::f32, {1}, bytesOf<float>({3}));
  addScaleProgram(model, model.program(), weight);
  nameStages(model);
  return model;
}

Model makeScaleModelForBoth() {
  Model model = makeScaleModel(), cuda = makeCudaModel();
  model.manifest.codes.insert(model.manifest.codes.begin(),
                              std::move(cuda.manifest.codes[0]));
  model.images = cuda.images;
  auto program = std::make_unique<format::ProgramT>();
  addScaleProgram(model, *program, 0);
  model.manifest.entries[0]->programs.push_back(std::move(program));
  nameStages(model);
  return model;
}

} // namespace tenon::test
