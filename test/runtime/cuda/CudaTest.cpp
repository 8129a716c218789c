// Claims about sessions on a GPU, with a fake driver in place of libcuda.so.1.
#include "test/runtime/cuda/CudaFixture.h"

using namespace tenon;
using namespace tenon::test;

using Strings = std::vector<std::string>;

// Inputs go up once, launches follow in order, outputs come down once, then one wait.
TEST_F(Cuda, RunsInOrderWithOneWait) {
  auto s = open(makeCudaScaleModel().write());
  for (int64_t n : {5, 64, 1}) {
    std::vector<float> x(n, 2), expected(n, 12);
    s->setInput(0, floats(x));
    s->run(); // grows what it needs
    fake->log.clear();
    s->run();
    if (fake->log.front() == "graph") // the same, as one launch
      fake->log.erase(fake->log.begin());
    std::string bytes = std::to_string(4 * n);
    EXPECT_EQ(fake->log, (Strings{"HtoD " + bytes, "launch add_f32", "launch scale_f32",
                                  "DtoH " + bytes, "wait"}));
    EXPECT_EQ(read<float>(*s, 0), expected);
    EXPECT_EQ(s->statistics().launches, 2);
    EXPECT_EQ(s->statistics().transfers.toDevice, 4 * n);
    EXPECT_EQ(s->statistics().transfers.toHost, 4 * n);
    EXPECT_EQ(s->statistics().transfers.hostReads, 0);
  }
}

// Outputs are not given away: neither the device's memory nor the host's copies.
TEST_F(Cuda, GivesNoOutputsAway) {
  auto s = open(makeCudaScaleModel().write());
  std::vector<float> x = {1};
  s->setInput(0, floats(x));
  s->run();
  expectFailure(rt::Status::unsupported, {"'y'", "on the CPU", "cuda:0"},
                [&] { s->takeOutput(0); });
  EXPECT_EQ(read<float>(*s, 0), std::vector<float>{6});
}

// Weights of all sizes arrive whole, through buffers that are used again and again.
TEST_F(Cuda, UploadsWeights) {
  fake->freeBytes = 1 << 28;
  Model model = makeCudaModel();
  ProgramBuilder p(model.program());
  p.program.arena = p.constant(0);
  std::vector<Bytes> expected;
  for (int64_t size : {0, 1, 300, 40 << 20, (9 << 20) + 5, 0, 77}) {
    Bytes bytes(size);
    for (int64_t i = 0; i < size; ++i)
      bytes[i] = uint8_t(i * 7 + (i >> 12) + size);
    uint32_t w = model.addWeight("w" + std::to_string(expected.size()), ElementType::u8,
                                 {size}, bytes);
    p.weight(w, ElementType::u8, {p.constant(size)});
    expected.push_back(std::move(bytes));
  }
  model.addWeight("unused", ElementType::u8, {3}, {1, 2, 3}); // as the CPU's are
  nameStages(model);
  auto s = open(model.write());
  const std::vector<const uint8_t *> &addresses = s->device->weights(*s->weights);
  ASSERT_EQ(addresses.size(), expected.size() + 1);
  for (size_t w = 0; w < expected.size(); ++w) {
    Bytes found(expected[w].size());
    s->device->space()->download(found.data(), addresses[w], found.size());
    EXPECT_TRUE(found == expected[w]) << w;
  }
  EXPECT_EQ(addresses.back(), nullptr);
}

// Weights go up once for all sessions that share them.
TEST_F(Cuda, SharesWeights) {
  std::string path = makeCudaScaleModel().write();
  auto artifact = std::make_shared<rt::Artifact>(path, rt::ArtifactOptions{});
  auto weights = std::make_shared<rt::Weights>(artifact);
  rt::Session a(weights, rt::openDevice("cuda:0", artifact, 0));
  fake->log.clear();
  rt::Session b(weights, rt::openDevice("cuda:0", artifact, 0));
  EXPECT_EQ(fake->log, Strings{});
}

// Grid, threads, shared memory and clusters are those of the stage; more than 48 KiB and
// clusters are asked for.
TEST_F(Cuda, LaunchesAsTheStageSays) {
  Model model = makeCudaModel();
  uint32_t kernel = addKernel(model, "add_f32", 2, ElementType::f32,
                              {{exprQuarter, 256, 100000, 2, false}});
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n");
  uint32_t x = p.input("x", ElementType::f32, {n}), y = p.output("y", ElementType::f32, {n});
  p.program.arena = p.constant(0);
  cudaLaunch(p.program.steps, kernel, {x, x, y}, n, "Add");
  nameStages(model);
  auto s = open(model.write());
  std::vector<float> x8(8, 1), x12(12, 1);
  s->setInput(0, floats(x8));
  s->run();
  ASSERT_EQ(fake->launches.size(), 1u);
  EXPECT_EQ(fake->launches[0].grid, 2u);
  EXPECT_EQ(fake->launches[0].threads, 256u);
  EXPECT_EQ(fake->launches[0].shared, 100000u);
  EXPECT_EQ(fake->launches[0].cluster, 2u);
  EXPECT_EQ(fake->dynamicShared["add_f32"], 100000);
  s->setInput(0, floats(x12)); // three blocks are no clusters of two
  expectFailure(rt::Status::execution, {"'Add'", "multiple of 2", "3"}, [&] { s->run(); });
}

// The stages of a kernel run in order and share the workspace; a grid of 0 is no launch.
TEST_F(Cuda, RunsStagesWithAWorkspace) {
  Model model = makeCudaModel();
  uint32_t kernel = addKernel(model, "sum_f32", 1, ElementType::f32,
                              {{exprQuarter}, {expr1}}, exprQuarterBytes);
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), one = p.constant(1);
  uint32_t x = p.input("x", ElementType::f32, {n});
  uint32_t y = p.output("y", ElementType::f32, {one});
  p.program.arena = p.constant(0);
  cudaLaunch(p.program.steps, kernel, {x, y}, n, "ReduceSum");
  nameStages(model);
  auto s = open(model.write());
  std::vector<float> x10 = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, none;
  s->setInput(0, floats(x10));
  s->run();
  EXPECT_EQ(read<float>(*s, 0), std::vector<float>{55});
  fake->launches.clear();
  s->setInput(0, tensor(ElementType::f32, none, {0}));
  s->run();
  EXPECT_EQ(fake->launches.size(), 1u);
  EXPECT_EQ(read<float>(*s, 0), std::vector<float>{0});
}

/// y = x, by a kernel with a tensor map, which `change` may change.
static Model makeMapCopyModel(void (*change)(format::TensorMapT &) = nullptr) {
  Model model = makeCudaModel();
  uint32_t kernel = addKernel(model, "copy_by_map", 1, ElementType::f32,
                              {{exprN, 128, 0, 1, true}});
  if (change)
    change(*model.manifest.codes[0]->kernels.back()->stages[0]->maps[0]);
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n");
  uint32_t x = p.input("x", ElementType::f32, {n}), y = p.output("y", ElementType::f32, {n});
  p.program.arena = p.constant(0);
  cudaLaunch(p.program.steps, kernel, {x, y}, n, "Copy");
  nameStages(model);
  return model;
}

// A tensor map has the buffer's address, its sizes and its box, and is checked.
TEST_F(Cuda, EncodesTensorMaps) {
  auto s = open(makeMapCopyModel().write());
  std::vector<float> x8 = {1, 2, 3, 4, 5, 6, 7, 8}, x7(7);
  s->setInput(0, floats(x8));
  s->run();
  EXPECT_EQ(read<float>(*s, 0), x8);
  EXPECT_EQ(fake->mapDims, (std::vector<uint64_t>{4, 2}));
  EXPECT_EQ(fake->mapStrides, std::vector<uint64_t>{16});
  EXPECT_EQ(fake->mapBox, (std::vector<unsigned>{4, 2}));
  EXPECT_EQ(fake->mapType, 7); // f32
  fake->mapsEncoded = 0;
  s->run();
  EXPECT_EQ(fake->mapsEncoded, 0); // it is known from the run before
  std::vector<float> x4 = {5, 6, 7, 8};
  s->setInput(0, floats(x4));
  s->run();
  EXPECT_EQ(fake->mapsEncoded, 1);
  EXPECT_EQ(read<float>(*s, 0), x4);
  fake->mapsEncoded = 0;
  std::vector<float> none;
  s->setInput(0, tensor(ElementType::f32, none, {0})); // rows of no elements
  s->run();
  EXPECT_EQ(fake->mapsEncoded, 0);
  s->setInput(0, floats(x7)); // two rows of 4 do not fit in 7
  expectFailure(rt::Status::execution, {"tensor map", "28 bytes", "32"}, [&] { s->run(); });
}

// An image of windows has corners and steps as well, and they are checked.
TEST_F(Cuda, EncodesImagesOfWindows) {
  auto s = open(makeMapCopyModel([](format::TensorMapT &map) {
                  map.dims = {expr4, exprQuarter, expr1};
                  map.strides = {exprQuarterBytes, exprQuarterBytes};
                  map.box = {4, 2};
                  map.lower = {expr0};
                  map.upper = {expr4};
                  map.steps = {2};
                }).write());
  std::vector<float> x8 = {1, 2, 3, 4, 5, 6, 7, 8};
  s->setInput(0, floats(x8));
  s->run();
  EXPECT_EQ(fake->mapDims, (std::vector<uint64_t>{4, 2, 1}));
  EXPECT_EQ(fake->mapBox, (std::vector<unsigned>{4, 2}));
  EXPECT_EQ(fake->mapLower, std::vector<int>{0});
  EXPECT_EQ(fake->mapUpper, std::vector<int>{4});
  EXPECT_EQ(fake->mapSteps, (std::vector<unsigned>{1, 2, 1}));
}

/// y = the elements of x above zero; their number is read from data.
static Model makeKeepModel() {
  Model model = makeCudaModel();
  uint32_t count = addKernel(model, "count_positive", 1, ElementType::i64, {StageSpec()});
  uint32_t keep = addKernel(model, "keep_positive", 1, ElementType::f32, {StageSpec()});
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), one = p.constant(1), zero = p.constant(0);
  uint32_t m = p.dataSymbol("m");
  uint32_t x = p.input("x", ElementType::f32, {n}), y = p.output("y", ElementType::f32, {m});
  uint32_t number = p.arena(ElementType::i64, {one}, zero);
  uint32_t kept = p.arena(ElementType::f32, {n}, p.constant(64));
  uint32_t head = p.view(kept, ElementType::f32, {m});
  p.program.arena = p.node(ExprOp::add, p.node(ExprOp::mul, n, p.constant(4)), p.constant(64));
  cudaLaunch(p.program.steps, count, {x, number}, n, "Count");
  format::ReadSymbolT read;
  read.value = number;
  read.symbol = 1;
  add(p.program.steps, std::move(read));
  cudaLaunch(p.program.steps, keep, {x, kept}, n, "Keep");
  format::CopyT copy;
  copy.source = head;
  copy.target = y;
  add(p.program.steps, std::move(copy));
  nameStages(model);
  return model;
}

// A size that depends on data is read once the launch that makes it is done, and counted;
// a session that refuses such reads says which symbol asks.
TEST_F(Cuda, ReadsSymbols) {
  std::string path = makeKeepModel().write();
  auto s = open(path);
  std::vector<float> x = {1, -1, 2, -2, 3};
  s->setInput(0, floats(x));
  s->run();
  EXPECT_EQ(read<float>(*s, 0), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(s->statistics().transfers.hostReads, 1);
  EXPECT_EQ(s->statistics().transfers.toHost, 8 + 12);
  rt::SessionOptions options;
  options.refusesHostReads = true;
  auto strict = open(path, options);
  strict->setInput(0, floats(x));
  expectFailure(rt::Status::execution, {"without transfers to the host", "'m'"},
                [&] { strict->run(); });
}

// Shapes are written from staged memory, which stays until the GPU has fetched it.
TEST_F(Cuda, WritesHostTensors) {
  Model model = makeCudaModel();
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), two = p.constant(2);
  p.input("x", ElementType::f32, {n});
  uint32_t a = p.output("a", ElementType::i64, {two}), b = p.output("b", ElementType::i32, {two});
  p.program.arena = p.constant(0);
  for (uint32_t value : {a, b}) {
    format::HostTensorT step;
    step.value = value;
    step.elements = {n, two};
    add(p.program.steps, std::move(step));
  }
  nameStages(model);
  auto s = open(model.write());
  std::vector<float> x(7);
  s->setInput(0, floats(x));
  s->run();
  EXPECT_EQ(read<int64_t>(*s, 0), (std::vector<int64_t>{7, 2}));
  EXPECT_EQ(read<int32_t>(*s, 1), (std::vector<int32_t>{7, 2}));
}

// Memory of the GPU that the caller hands over is used where it is.
TEST_F(Cuda, BindsMemoryOfTheGpu) {
  auto s = open(makeCudaScaleModel().write());
  rt::Memory x(s->device->space()), y(s->device->space());
  std::vector<float> ones(8, 1), back(8);
  x.grow(32, 0, "x");
  y.grow(32, 0, "y");
  x.write(0, ones.data(), 32);
  rt::TensorView view{ElementType::f32, {8}, {}, x.data(), format::Device::cuda, 0};
  s->setInput(0, view);
  view.data = y.data();
  s->bindOutput(0, view, 32);
  fake->log.clear();
  s->run();
  EXPECT_EQ(fake->log, (Strings{"launch add_f32", "launch scale_f32", "wait"}));
  EXPECT_EQ(s->output(0).data, y.data());
  EXPECT_EQ(s->output(0).device, format::Device::cuda);
  y.read(back.data(), 0, 32);
  EXPECT_EQ(back, std::vector<float>(8, 6));
  view.ordinal = 1;
  expectFailure(rt::Status::usage, {"'x'", "cuda:0", "cuda:1"}, [&] { s->setInput(0, view); });
  view.ordinal = 0;
  view.data += 4;
  expectFailure(rt::Status::usage, {"'x'", "aligned to 16"}, [&] { s->setInput(0, view); });
}

// Outputs stay on the GPU for who wants that, else they are the host's; bound memory of
// the host is written to.
TEST_F(Cuda, KeepsOutputsWhereTheyAreWanted) {
  std::string path = makeCudaScaleModel().write();
  rt::SessionOptions options;
  options.keepsOutputs = true;
  auto s = open(path, options);
  std::vector<float> x = {1, 2}, y(2);
  s->setInput(0, floats(x));
  s->run();
  EXPECT_EQ(s->output(0).device, format::Device::cuda);
  EXPECT_EQ(s->statistics().transfers.toHost, 0);
  s->bindOutput(0, floats(y), 8);
  s->run();
  EXPECT_EQ(y, (std::vector<float>{6, 12}));
  EXPECT_EQ(s->output(0).device, format::Device::cpu);
  EXPECT_EQ(s->output(0).data, reinterpret_cast<uint8_t *>(y.data()));
}

// Dumps show the values, and do not count as transfers.
TEST_F(Cuda, DumpsValues) {
  auto s = open(makeCudaScaleModel().write());
  std::vector<float> x = {1, 2}, seen;
  s->setInput(0, floats(x));
  s->observers.dump = [&](const rt::LaunchResult &result) {
    const float *data = reinterpret_cast<const float *>(result.data);
    seen.insert(seen.end(), data, data + result.dims[0]);
  };
  s->run();
  EXPECT_EQ(seen, (std::vector<float>{2, 4, 6, 12}));
  EXPECT_EQ(s->statistics().transfers.toHost, 8);
}

// A traced run has the GPU's times, under the names of its nodes, of as many launches as
// there are, also beyond one batch.
TEST_F(Cuda, TracesLaunches) {
  Model model = makeCudaModel();
  uint32_t sum = addKernel(model, "add_f32", 2, ElementType::f32, {StageSpec()});
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n");
  uint32_t x = p.input("x", ElementType::f32, {n}), y = p.output("y", ElementType::f32, {n});
  p.program.arena = p.constant(0);
  constexpr size_t count = 150;
  for (size_t i = 0; i < count; ++i)
    cudaLaunch(p.program.steps, sum, {x, i ? y : x, y}, n, "Add_" + std::to_string(i));
  nameStages(model);
  auto s = open(model.write());
  std::vector<float> ones(3, 1);
  s->setInput(0, floats(ones));
  std::vector<rt::LaunchEvent> events;
  s->observers.trace = [&](const rt::LaunchEvent &event) { events.push_back(event); };
  s->run();
  EXPECT_EQ(read<float>(*s, 0), std::vector<float>(3, count + 1));
  ASSERT_EQ(events.size(), count);
  for (size_t i = 0; i < count; ++i) {
    EXPECT_EQ(events[i].node, "Add_" + std::to_string(i));
    EXPECT_EQ(events[i].end - events[i].begin, 1000) << i; // a tick of the fake's clock
    EXPECT_GE(events[i].begin, i ? events[i - 1].end : events[0].begin);
  }
}

// Text is compiled once on a machine: the next session takes the file, and a damaged file
// is as if it were not there.
TEST_F(Cuda, CachesWhatItCompiles) {
  std::string path = makeCudaScaleModel().write();
  open(path);
  EXPECT_EQ(fake->linked, 1);
  open(path);
  EXPECT_EQ(fake->linked, 1);
  std::filesystem::path file = *std::filesystem::directory_iterator(cache);
  std::filesystem::resize_file(file, std::filesystem::file_size(file) - 1);
  open(path);
  EXPECT_EQ(fake->linked, 2);
  setenv("TENON_CUDA_CACHE", "off", 1);
  open(path);
  EXPECT_EQ(fake->linked, 3);
}

// Text whose warps hand registers to each other is a whole program, which is not linked.
TEST_F(Cuda, LoadsWholePrograms) {
  Model model = makeCudaScaleModel();
  const std::string_view more = "setmaxnreg.inc.sync.aligned.u32 232;\n";
  model.images[0].insert(model.images[0].end(), more.begin(), more.end());
  fake->wholes = 0;
  auto s = open(model.write());
  EXPECT_EQ(fake->linked, 0);
  EXPECT_EQ(fake->wholes, 1);
  EXPECT_FALSE(std::filesystem::exists(cache));
  std::vector<float> x(3, 2);
  s->setInput(0, floats(x));
  s->run();
  EXPECT_EQ(read<float>(*s, 0), std::vector<float>(3, 12));
}

// Text that the driver refuses is told with the driver's log, linked or not.
TEST_F(Cuda, TellsTheDriversLog) {
  for (std::string text : {"syntax error", "setmaxnreg syntax error"}) {
    Model model = makeCudaScaleModel();
    model.images[0].assign(text.begin(), text.end());
    std::string path = model.write();
    expectFailure(rt::Status::unsupported,
                  {path, "'cuda:sm_80' image 0", "INVALID_PTX", "ptxas fatal: the text"},
                  [&] { open(path); });
  }
}

// The last code that the GPU runs is taken; none names what each needs.
TEST_F(Cuda, ChoosesTheCode) {
  Model model = makeCudaScaleModel();
  addCode(model, "cuda:sm_90a", 90, true).driver = 13000;
  nameStages(model);
  std::string path = model.write();
  fake->linked = 0;
  open(path); // the driver is too old for the second
  EXPECT_EQ(fake->linked, 1);
  model.manifest.codes[0]->capability = 100;
  model.manifest.codes[0]->target = "cuda:sm_100";
  path = model.write();
  expectFailure(rt::Status::unsupported,
                {"'Fake H200'", "'cuda:sm_100'", "10.0 or later", "has 9.0", "'cuda:sm_90a'",
                 "CUDA 13.0", "for 12.4"},
                [&] { open(path); });
}

// Too little memory names what is needed, what is free and what to lower.
TEST_F(Cuda, RunsOutOfMemory) {
  auto s = open(makeCudaScaleModel().write());
  fake->freeBytes = fake->allocated + 100;
  std::vector<float> x(64);
  s->setInput(0, floats(x));
  expectFailure(rt::Status::memory, {"256 bytes for an input", "100 of", "lower the batch"},
                [&] { s->run(); });
  fake->freeBytes = 1 << 20;
  s->run(); // the session goes on
}

// A GPU that fails takes its sessions with it, and no others: a new one works.
TEST_F(Cuda, SurvivesALostGpu) {
  std::string path = makeCudaScaleModel().write();
  auto s = open(path);
  std::vector<float> x = {1};
  s->setInput(0, floats(x));
  fake->failing = 700;
  expectFailure(rt::Status::device, {"ILLEGAL_ADDRESS", "make a new session"},
                [&] { s->run(); });
  expectFailure(rt::Status::device, {"failed before"}, [&] { s->run(); });
  auto fresh = open(path);
  fresh->setInput(0, floats(x));
  fresh->run();
  EXPECT_EQ(read<float>(*fresh, 0), std::vector<float>{6});
}
