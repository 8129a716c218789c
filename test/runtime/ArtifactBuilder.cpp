// Packs manifests into files, as the compiler's artifact writer does.
#include "test/runtime/ArtifactBuilder.h"

#include "runtime/format/FileHeader.h"
#include "runtime/format/Hash.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace tenon::test {

uint32_t ProgramBuilder::node(ExprOp op, uint32_t a, uint32_t b, int64_t value) {
  program.exprs.emplace_back(op, a, b, value);
  return program.exprs.size() - 1;
}

uint32_t ProgramBuilder::symbol(const std::string &name, int64_t min, int64_t max,
                                format::Residency residency) {
  auto symbol = std::make_unique<format::SymbolT>();
  symbol->name = name;
  symbol->min = min;
  symbol->max = max;
  symbol->residency = residency;
  program.symbols.push_back(std::move(symbol));
  return node(ExprOp::symbol, 0, 0, program.symbols.size() - 1);
}

uint32_t ProgramBuilder::value(const std::string &name, ElementType type,
                               std::vector<uint32_t> dims, Storage storage, uint32_t index,
                               uint32_t offset) {
  auto value = std::make_unique<format::ValueT>();
  value->name = name;
  value->type = type;
  value->dims = std::move(dims);
  value->storage = storage;
  value->index = index;
  value->offset = offset;
  program.values.push_back(std::move(value));
  return program.values.size() - 1;
}

static uint32_t addTensor(std::vector<std::unique_ptr<format::TensorT>> &tensors,
                          const std::string &name, ElementType type,
                          const std::vector<uint32_t> &dims, uint32_t value) {
  auto tensor = std::make_unique<format::TensorT>();
  tensor->name = name;
  tensor->type = type;
  tensor->dims = dims;
  tensor->value = value;
  tensors.push_back(std::move(tensor));
  return value;
}

uint32_t ProgramBuilder::input(const std::string &name, ElementType type,
                               std::vector<uint32_t> dims) {
  uint32_t index = value(name, type, dims, Storage::input, program.inputs.size(), 0);
  return addTensor(program.inputs, name, type, dims, index);
}

uint32_t ProgramBuilder::output(const std::string &name, ElementType type,
                                std::vector<uint32_t> dims) {
  uint32_t index = value(name, type, dims, Storage::output, program.outputs.size(), 0);
  return addTensor(program.outputs, name, type, dims, index);
}

uint32_t ProgramBuilder::weight(uint32_t index, ElementType type,
                                std::vector<uint32_t> dims) {
  return value("weight", type, dims, Storage::weight, index, 0);
}

uint32_t ProgramBuilder::arena(ElementType type, std::vector<uint32_t> dims,
                               uint32_t offset) {
  return value("arena", type, dims, Storage::arena, 0, offset);
}

uint32_t ProgramBuilder::view(uint32_t source, ElementType type,
                              std::vector<uint32_t> dims) {
  return value("view", type, dims, Storage::view, source, 0);
}

uint32_t ProgramBuilder::heap(ElementType type, std::vector<uint32_t> dims,
                              uint32_t block) {
  return value("heap", type, dims, Storage::heap, block, 0);
}

uint32_t ProgramBuilder::state(const std::string &name, ElementType type,
                               std::vector<uint32_t> dims, uint32_t cache) {
  auto state = std::make_unique<format::StateT>();
  state->name = name;
  state->cache = cache;
  state->value = value(name, type, dims, Storage::state, program.states.size(), 0);
  program.states.push_back(std::move(state));
  return program.states.back()->value;
}

void launch(Steps &steps, uint32_t kernel, std::vector<uint32_t> buffers,
            std::vector<uint32_t> symbols, uint32_t grid, uint32_t workspace,
            const std::string &node) {
  format::LaunchT launch;
  launch.kernel = kernel;
  launch.buffers = std::move(buffers);
  launch.symbols = std::move(symbols);
  launch.grid = grid;
  launch.workspace = workspace;
  launch.node = node;
  launch.results = 1;
  add(steps, std::move(launch));
}

static Bytes readAll(const char *path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

Model::Model() : code(readAll(TENON_TEST_KERNELS)) {
  manifest.version = format::fileVersion;
  manifest.producer = "test";
  auto cpu = std::make_unique<format::CodeT>();
  cpu->target = "cpu";
  cpu->features = {"sse2"};
  cpu->section = std::make_unique<format::SectionT>();
  manifest.codes.push_back(std::move(cpu));
  manifest.entries.push_back(std::make_unique<format::EntryT>());
  manifest.entries[0]->name = "main";
  manifest.entries[0]->programs.push_back(std::make_unique<format::ProgramT>());
}

uint32_t Model::kernel(const std::string &symbol) {
  for (size_t i = 0; i < manifest.kernels.size(); ++i)
    if (manifest.kernels[i]->symbol == symbol)
      return i;
  auto kernel = std::make_unique<format::KernelT>();
  kernel->name = kernel->symbol = symbol;
  kernel->uses = 1;
  manifest.kernels.push_back(std::move(kernel));
  return manifest.kernels.size() - 1;
}

uint32_t Model::addWeight(const std::string &name, ElementType type,
                          std::vector<int64_t> dims, Bytes bytes) {
  auto weight = std::make_unique<format::WeightT>();
  weight->name = name;
  weight->type = type;
  weight->dims = std::move(dims);
  weight->section = std::make_unique<format::SectionT>();
  manifest.weights.push_back(std::move(weight));
  weights.push_back(std::move(bytes));
  return weights.size() - 1;
}

/// Places a section behind the file's end so far.
static void append(Bytes &file, const Bytes &bytes, format::SectionT &section) {
  file.resize((file.size() + format::sectionAlignment - 1) / format::sectionAlignment *
              format::sectionAlignment);
  section.offset = file.size();
  section.size = bytes.size();
  section.hash = format::hashBytes(bytes.data(), bytes.size());
  file.insert(file.end(), bytes.begin(), bytes.end());
}

Bytes finish(const format::ManifestT &manifest, Bytes file) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(format::Manifest::Pack(builder, &manifest), format::ManifestIdentifier());
  file.resize((file.size() + 7) / 8 * 8);
  format::FileHeader header{};
  std::memcpy(header.magic, format::fileMagic, sizeof(header.magic));
  header.version = format::fileVersion;
  header.manifestOffset = file.size();
  header.manifestSize = builder.GetSize();
  header.manifestHash = format::hashBytes(builder.GetBufferPointer(), builder.GetSize());
  file.insert(file.end(), builder.GetBufferPointer(),
              builder.GetBufferPointer() + builder.GetSize());
  header.fileSize = file.size();
  std::memcpy(file.data(), &header, sizeof(header));
  return file;
}

Bytes Model::serialize() {
  Bytes file(sizeof(format::FileHeader));
  for (auto &part : manifest.codes) {
    if (part->form == format::CodeForm::elf)
      append(file, code, *part->section);
    for (size_t i = 0; i < part->images.size(); ++i)
      append(file, images[i], *part->images[i]);
  }
  for (size_t i = 0; i < weights.size(); ++i)
    append(file, weights[i], *manifest.weights[i]->section);
  return finish(manifest, std::move(file));
}

namespace {
/// The files of this process.
struct TemporaryFiles {
  ~TemporaryFiles() {
    for (const std::string &path : paths)
      unlink(path.c_str());
  }
  std::vector<std::string> paths;
};
} // namespace

std::string Model::writeFile(const Bytes &bytes) {
  static TemporaryFiles files;
  const char *folder = std::getenv("TMPDIR");
  std::string path = std::string(folder ? folder : "/tmp") + "/tenon-test-" +
                     std::to_string(getpid()) + "-" + std::to_string(files.paths.size()) +
                     ".tenon";
  files.paths.push_back(path);
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  return path;
}

Model makeScaleModel() {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n", 1, 64), zero = p.constant(0), one = p.constant(1);
  uint32_t x = p.input("x", ElementType::f32, {n});
  uint32_t y = p.output("y", ElementType::f32, {n});
  uint32_t w = p.weight(model.addWeight("w", ElementType::f32, {1}, bytesOf<float>({3})),
                        ElementType::f32, {one});
  uint32_t sum = p.arena(ElementType::f32, {n}, zero);
  p.program.arena = p.node(ExprOp::mul, n, p.constant(4));
  launch(p.program.steps, model.kernel("add_f32"), {x, x, sum}, {n}, n, zero, "Add_0");
  launch(p.program.steps, model.kernel("scale_f32"), {sum, w, y}, {n}, n, zero, "Mul_1");
  return model;
}

Model makeTwiceModel() {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), zero = p.constant(0);
  uint32_t x = p.input("x", ElementType::f32, {n});
  uint32_t y = p.output("y", ElementType::f32, {n});
  p.program.arena = zero;
  launch(p.program.steps, model.kernel("add_f32"), {x, x, y}, {n}, n, zero, "Add");
  return model;
}

} // namespace tenon::test
