// Claims about runs that become CUDA graphs.
#include "test/runtime/cuda/CudaFixture.h"

using namespace tenon;
using namespace tenon::test;

using Strings = std::vector<std::string>;

namespace {
class Replay : public Cuda {
protected:
  /// Runs y = 6 x at size n and returns how many graphs were launched.
  size_t run(rt::Session &s, int64_t n, float value = 2) {
    std::vector<float> x(n, value);
    s.setInput(0, floats(x));
    fake->log.clear();
    s.run();
    EXPECT_EQ(read<float>(s, 0), std::vector<float>(n, 6 * value)) << n;
    return std::count(fake->log.begin(), fake->log.end(), "graph");
  }
};
} // namespace

// The second run of a form makes the graph, the others replay it with fresh inputs.
TEST_F(Replay, RepeatsARun) {
  auto s = open(makeCudaScaleModel().write());
  EXPECT_EQ(run(*s, 8), 0u);
  EXPECT_FALSE(s->statistics().isReplay);
  for (float value : {1, 2, 3}) {
    EXPECT_EQ(run(*s, 8, value), 1u);
    EXPECT_EQ(fake->log, (Strings{"graph", "HtoD 32", "launch add_f32", "launch scale_f32",
                                  "DtoH 32", "wait"}));
    EXPECT_TRUE(s->statistics().isReplay);
  }
  EXPECT_EQ(fake->graphs, 1);
  EXPECT_EQ(fake->updates, 0);
}

// A run that is not waited for ends later; its inputs are kept until then, while the host
// prepares the next one, and waits for the one before that.
TEST_F(Replay, LeavesRuns) {
  rt::SessionOptions options;
  options.keepsOutputs = true;
  auto s = open(makeCudaScaleModel().write(), options);
  std::vector<float> x(2, 1);
  s->setInput(0, floats(x));
  s->run();
  s->run();
  std::vector<std::vector<float>> seen;
  auto leave = [&](float value) {
    x.assign(2, value);
    s->setInput(0, floats(x));
    s->run(/*waits=*/false);
    seen.push_back(read<float>(*s, 0)); // the fake GPU's memory is the host's
  };
  fake->log.clear();
  leave(2);
  leave(3);
  EXPECT_EQ(seen, (std::vector<std::vector<float>>{{6, 6}, {6, 6}}));
  EXPECT_EQ(std::count(fake->log.begin(), fake->log.end(), "wait"), 0);
  EXPECT_TRUE(s->statistics().isReplay);
  leave(4);
  EXPECT_EQ(seen.back(), (std::vector<float>{18, 18})); // 2 has been fetched, 3 is done too
  s->wait();
  EXPECT_EQ(read<float>(*s, 0), (std::vector<float>{24, 24}));
  EXPECT_EQ(std::count(fake->log.begin(), fake->log.end(), "wait"), 1);
  s->wait(); // for nothing
  EXPECT_EQ(std::count(fake->log.begin(), fake->log.end(), "wait"), 1);
}

// What the host is to have, it has to wait for.
TEST_F(Replay, LeavesNoOutputsForTheHost) {
  auto s = open(makeCudaScaleModel().write());
  std::vector<float> x(2, 1);
  s->setInput(0, floats(x));
  expectFailure(rt::Status::usage, {"output 'y'", "memory of cuda:0", "the host's"},
                [&] { s->run(/*waits=*/false); });
}

// Another size changes the nodes that differ, and no graph is made again.
TEST_F(Replay, ChangesWhatDiffers) {
  auto s = open(makeCudaScaleModel().write());
  run(*s, 64);
  run(*s, 64);
  for (int64_t n : {63, 1, 64, 17})
    EXPECT_EQ(run(*s, n), 1u);
  EXPECT_GE(fake->updates, 4);
  EXPECT_LE(fake->graphs, 2); // at most the two instances
}

/// y = x < n, six times; n is the size of an input that no kernel reads.
static Model makeBelowModel(const std::string &name) {
  Model model = makeCudaModel();
  uint32_t kernel = addKernel(model, name, 1, ElementType::boolean, {{expr1}});
  model.manifest.kernels[kernel]->arguments[0]->dims = {expr1};
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), one = p.constant(1);
  uint32_t x = p.input("x", ElementType::f32, {one});
  p.input("past", ElementType::f32, {n});
  uint32_t y = p.output("y", ElementType::boolean, {one});
  p.program.arena = p.constant(0);
  for (int i = 0; i < 6; ++i)
    cudaLaunch(p.program.steps, kernel, {x, y}, n, "Less");
  return model;
}

// Where parameters go on as they did, the next run finds them in its instance.
TEST_F(Replay, ForeseesTheNextStep) {
  Model model = makeBelowModel("below_f32");
  nameStages(model);
  auto s = open(model.write());
  std::vector<float> five = {5}, past(100000);
  s->setInput(0, floats(five));
  auto step = [&](int64_t rows) {
    // Large inputs go up beside the graph.
    s->setInput(1, tensor(ElementType::f32, past, {rows}));
    fake->updates = 0;
    s->run();
    EXPECT_EQ(read<uint8_t>(*s, 0)[0], 5 < rows);
  };
  fake->freeBytes = 1 << 24;
  int64_t rows = 20000;
  for (int i = 0; i < 3; ++i)
    step(rows++);
  for (int i = 0; i < 5; ++i) {
    step(rows++);
    EXPECT_EQ(fake->updates, 6); // of the step to come, none of this one
  }
  step(17000); // what nobody foresaw is right too
  EXPECT_GT(fake->updates, 6);
}

// Symbols that change from call to call are in memory, which one copy fills:
// the graph stays as it is, and each launch of a call finds that call's.
TEST_F(Replay, ReadsStepsFromMemory) {
  Model model = makeBelowModel("below_step_f32");
  model.manifest.kernels[0]->step_symbols = {0};
  nameStages(model);
  auto s = open(model.write());
  std::vector<float> limit = {20000}, past(100000);
  s->setInput(0, floats(limit));
  auto step = [&](int64_t rows) {
    // Large inputs go up beside the graph.
    s->setInput(1, tensor(ElementType::f32, past, {rows}));
    fake->log.clear();
    s->run();
    EXPECT_EQ(read<uint8_t>(*s, 0)[0], 20000 < rows) << rows;
  };
  fake->freeBytes = 1 << 24;
  for (int64_t rows : {20000, 20001, 18000, 20002})
    step(rows);
  EXPECT_EQ(std::count(fake->log.begin(), fake->log.end(), "HtoD 48"), 1);
  for (int64_t rows : {17000, 20001, 30000, 20000}) {
    step(rows);
    EXPECT_TRUE(s->statistics().isReplay);
  }
  EXPECT_EQ(fake->updates, 0);
  EXPECT_EQ(fake->graphs, 1);
}

// Where nothing is replayed each launch has its own, too.
TEST_F(Replay, ReadsStepsOfTracedRuns) {
  Model model = makeBelowModel("below_step_f32");
  model.manifest.kernels[0]->step_symbols = {0};
  nameStages(model);
  auto s = open(model.write());
  std::vector<float> five = {5}, past(10);
  s->setInput(0, floats(five));
  int traced = 0;
  s->observers.trace = [&](const rt::LaunchEvent &) { ++traced; };
  for (int64_t rows : {3, 9, 4}) {
    s->setInput(1, tensor(ElementType::f32, past, {rows}));
    s->run();
    EXPECT_EQ(read<uint8_t>(*s, 0)[0], 5 < rows) << rows;
  }
  EXPECT_EQ(traced, 18);
}

// A step that is no symbol of the kernel's is an error of the file.
TEST_F(Replay, RefusesStepsThatAreNone) {
  Model model = makeBelowModel("below_step_f32");
  model.manifest.kernels[0]->step_symbols = {1};
  nameStages(model);
  expectFailure(rt::Status::corrupt, {"step symbols among 1", "got 1"},
                [&] { open(model.write()); });
}

// A launch that waits itself may begin before the launch before it has ended, in a graph
// and without; after a copy it does not.
TEST_F(Replay, OverlapsLaunches) {
  Model model = makeCudaModel();
  StageSpec waiting;
  waiting.waitsItself = true;
  uint32_t add = addKernel(model, "add_f32", 2, ElementType::f32, {waiting});
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n");
  uint32_t x = p.input("x", ElementType::f32, {n}), y = p.output("y", ElementType::f32, {n});
  p.program.arena = p.constant(0);
  cudaLaunch(p.program.steps, add, {x, x, y}, n, "Add_0"); // after the input's copy
  cudaLaunch(p.program.steps, add, {y, x, y}, n, "Add_1");
  cudaLaunch(p.program.steps, add, {y, x, y}, n, "Add_2");
  nameStages(model);
  auto s = open(model.write());
  std::vector<float> ones(4, 1);
  s->setInput(0, floats(ones));
  fake->earlyNodes = 0;
  for (int i = 0; i < 3; ++i) {
    s->run();
    EXPECT_EQ(read<float>(*s, 0), std::vector<float>(4, 4));
  }
  ASSERT_EQ(fake->launches.size(), 3u);
  EXPECT_TRUE(fake->launches[1].isEarly);
  EXPECT_EQ(fake->earlyNodes, 2);
}

// Runs that are watched are issued command by command.
TEST_F(Replay, IssuesWhatIsWatched) {
  auto s = open(makeCudaScaleModel().write());
  run(*s, 8);
  run(*s, 8);
  s->observers.trace = [](const rt::LaunchEvent &) {};
  EXPECT_EQ(run(*s, 8), 0u);
  s->observers.trace = nullptr;
  EXPECT_EQ(run(*s, 8), 1u);
}

// Memory that grows between runs, and bound memory, are seen by the graph.
TEST_F(Replay, FollowsMemory) {
  Model model = makeCudaScaleModel();
  model.program().symbols[0]->max = 4096;
  auto s = open(model.write());
  for (int64_t n : {1, 1, 4096, 2, 64})
    run(*s, n);
  std::vector<float> y(64), x(64, 3);
  s->bindOutput(0, floats(y), 256);
  s->setInput(0, floats(x));
  fake->log.clear();
  for (int i = 0; i < 3; ++i) {
    std::fill(y.begin(), y.end(), 0);
    s->run();
    EXPECT_EQ(y, std::vector<float>(64, 18));
  }
  // The graph leaves memory that is not page-locked to a copy of its own.
  EXPECT_EQ(std::count(fake->log.begin(), fake->log.end(), "graph"), 2);
}

// The second instance is made long after the first, when memory that this one's nodes were
// made with may be gone.
TEST_F(Replay, MakesInstancesOfLivingMemory) {
  Model model = makeCudaScaleModel();
  model.program().symbols[0]->max = 4096;
  auto s = open(model.write());
  for (int64_t n : {8, 8, 4096, 7, 6, 5})
    run(*s, n);
  EXPECT_EQ(fake->graphs, 2);
}

// A run that fails on the way leaves nothing behind for the next one.
TEST_F(Replay, ForgetsAFailedRun) {
  auto s = open(makeCudaScaleModel().write());
  run(*s, 8);
  run(*s, 8);
  std::vector<float> x(8, 2);
  s->setInput(0, floats(x));
  s->cancel();
  expectFailure(rt::Status::cancelled, {"cancelled"}, [&] { s->run(); });
  EXPECT_EQ(run(*s, 8), 1u);
}
