// Claims about branches, loops and states of a program on a GPU.
#include "test/runtime/cuda/CudaFixture.h"

#include <cstdio>

using namespace tenon;
using namespace tenon::test;

static void copyStep(Steps &steps, uint32_t source, uint32_t target) {
  format::CopyT copy;
  copy.source = source;
  copy.target = target;
  add(steps, std::move(copy));
}

// A condition is read once the launch that makes it is done; one branch runs.
TEST_F(Cuda, RunsOneBranch) {
  Model model = makeCudaModel();
  uint32_t below = addKernel(model, "below_f32", 1, ElementType::boolean, {{expr1}});
  uint32_t sum = addKernel(model, "add_f32", 2, ElementType::f32, {StageSpec()});
  model.manifest.kernels[below]->arguments[0]->dims = {expr1};
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), zero = p.constant(0), ten = p.constant(10);
  uint32_t x = p.input("x", ElementType::f32, {n}), y = p.output("y", ElementType::f32, {n});
  uint32_t flag = p.arena(ElementType::boolean, {}, zero);
  p.program.arena = p.constant(64);
  cudaLaunch(p.program.steps, below, {x, flag}, ten, "Less");
  format::IfT branch;
  branch.condition = flag;
  branch.then_steps = std::make_unique<format::BlockT>();
  branch.else_steps = std::make_unique<format::BlockT>();
  cudaLaunch(branch.then_steps->steps, sum, {x, x, y}, n, "Add");
  copyStep(branch.else_steps->steps, x, y);
  add(p.program.steps, std::move(branch));
  nameStages(model);
  auto s = open(model.write());
  std::vector<float> small = {1, 2}, large = {20, 2};
  // Each part of a run is replayed where it has been before.
  for (int round = 0; round < 4; ++round) {
    s->setInput(0, floats(small));
    s->run();
    EXPECT_EQ(read<float>(*s, 0), (std::vector<float>{2, 4}));
    EXPECT_EQ(s->statistics().transfers.hostReads, 1);
    EXPECT_EQ(s->statistics().isReplay, round > 0);
  }
  s->setInput(0, floats(large));
  s->run();
  EXPECT_EQ(read<float>(*s, 0), large);
}

// A loop by a condition reads it each round; its trip count is read where the caller's
// input has it, without waiting for the GPU.
TEST_F(Cuda, RunsLoops) {
  Model model = makeCudaModel();
  uint32_t below = addKernel(model, "below_f32", 1, ElementType::boolean, {{expr1}});
  uint32_t sum = addKernel(model, "add_f32", 2, ElementType::f32, {StageSpec()});
  model.manifest.kernels[below]->arguments[0]->dims = {expr1};
  ProgramBuilder p(model.program());
  uint32_t trips = p.dataSymbol("trips"), zero = p.constant(0), one = p.constant(1);
  uint32_t x = p.input("x", ElementType::f32, {one});
  uint32_t m = p.input("m", ElementType::i64, {});
  uint32_t y = p.output("y", ElementType::f32, {one});
  uint32_t runs = p.output("runs", ElementType::i64, {});
  uint32_t flag = p.arena(ElementType::boolean, {}, zero);
  uint32_t counter = p.arena(ElementType::i64, {}, p.constant(64));
  uint32_t twice = p.arena(ElementType::f32, {one}, p.constant(128));
  p.program.arena = p.constant(192);
  copyStep(p.program.steps, x, y);
  format::ReadSymbolT step;
  step.value = m;
  step.symbol = 0;
  add(p.program.steps, std::move(step));
  uint32_t limit = p.constant(100);
  cudaLaunch(p.program.steps, below, {y, flag}, limit, "Less");
  format::LoopT loop;
  loop.condition = flag;
  loop.trip_count = trips;
  loop.counter = counter;
  loop.has_condition = loop.has_trip_count = true;
  loop.body = std::make_unique<format::BlockT>();
  cudaLaunch(loop.body->steps, sum, {y, y, twice}, one, "Add");
  copyStep(loop.body->steps, twice, y);
  cudaLaunch(loop.body->steps, below, {y, flag}, limit, "Less");
  add(p.program.steps, std::move(loop));
  copyStep(p.program.steps, counter, runs);
  nameStages(model);
  auto s = open(model.write());
  for (auto [limitOfRuns, expected, count, reads] :
       {std::tuple<int64_t, float, int64_t, int64_t>{1000, 128, 7, 8}, {3, 8, 3, 3},
        {0, 1, 0, 0}}) {
    std::vector<float> start = {1};
    std::vector<int64_t> most = {limitOfRuns};
    s->setInput(0, floats(start));
    s->setInput(1, tensor(ElementType::i64, most, {}));
    s->run();
    EXPECT_EQ(read<float>(*s, 0), std::vector<float>{expected});
    EXPECT_EQ(read<int64_t>(*s, 1), std::vector<int64_t>{count});
    EXPECT_EQ(s->statistics().transfers.hostReads, reads); // of the condition alone
  }
}

/// Appends x, of n rows, to the cache "c" of two numbers a row and returns its tensor
/// [batch, 1, capacity, 2], with the same x for each batch row.
static Model makeAppendModel() {
  Model model = makeCudaModel();
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), past = p.symbol("past");
  uint32_t one = p.constant(1), two = p.constant(2);
  uint32_t capacity = p.symbol("capacity");
  uint32_t x = p.input("x", ElementType::f32, {n, two});
  auto cache = std::make_unique<format::CacheT>();
  cache->name = "c";
  cache->has_length = cache->has_next = cache->has_capacity = true;
  cache->length = past;
  cache->next = p.node(ExprOp::add, past, n);
  cache->capacity = 2; // the third symbol
  model.program().caches.push_back(std::move(cache));
  uint32_t state = p.state("c.rows", ElementType::f32, {one, one, capacity, two}, 0);
  uint32_t y = p.output("y", ElementType::f32, {one, one, capacity, two});
  format::InsertT insert;
  insert.source = x;
  insert.target = state;
  insert.offset = p.node(ExprOp::mul, past, p.constant(8));
  add(model.program().steps, insert);
  copyStep(model.program().steps, state, y);
  nameStages(model);
  return model;
}

/// Runs on rows that all have the value `fill`; returns what the cache then holds.
static std::vector<float> append(rt::Session &session, int64_t rows, float fill) {
  std::vector<float> x(2 * rows, fill);
  session.setInput(0, tensor(ElementType::f32, x, {rows, 2}));
  session.run();
  std::vector<float> all = read<float>(session, 0);
  all.resize(2 * session.states().length("c"));
  return all;
}

static std::vector<float> rows(std::vector<std::pair<int, float>> parts) {
  std::vector<float> all;
  for (auto [count, fill] : parts)
    all.insert(all.end(), 2 * count, fill);
  return all;
}

// Rows stay on the GPU from call to call, step by step, also when room has to be made.
TEST_F(Cuda, KeepsStates) {
  auto s = open(makeAppendModel().write());
  EXPECT_EQ(append(*s, 3, 1), rows({{3, 1}}));
  for (int step = 0; step < 6; ++step)
    append(*s, 1, 7);
  EXPECT_TRUE(s->statistics().isReplay);
  int64_t room = s->states().room();
  EXPECT_EQ(append(*s, int(room), 2), rows({{3, 1}, {6, 7}, {int(room), 2}}));
  EXPECT_GT(s->states().room(), room);
  s->states().rewind(-1, 4);
  EXPECT_EQ(append(*s, 1, 5), rows({{3, 1}, {1, 7}, {1, 5}}));
  s->states().reset();
  EXPECT_EQ(append(*s, 1, 5), rows({{1, 5}}));
}

// States are copied to another session, chosen, saved and loaded.
TEST_F(Cuda, MovesStates) {
  std::string path = makeAppendModel().write(), file = path + ".states";
  auto s = open(path), fork = open(path), loaded = open(path);
  append(*s, 2, 1);
  fork->states().copyFrom(s->states());
  EXPECT_EQ(append(*fork, 1, 3), rows({{2, 1}, {1, 3}}));
  EXPECT_EQ(append(*s, 1, 4), rows({{2, 1}, {1, 4}}));
  s->states().save(file);
  loaded->states().load(file);
  std::remove(file.c_str());
  EXPECT_EQ(append(*loaded, 1, 5), rows({{2, 1}, {1, 4}, {1, 5}}));
  s->states().selectRows({0, 0});
  EXPECT_EQ(s->states().find("c.rows")->dims[0], 2);
  std::vector<float> second(6);
  s->states().find("c.rows")->memory.read(second.data(), s->states().room() * 8, 24);
  EXPECT_EQ(second, rows({{2, 1}, {1, 4}}));
}

// States of a session on another device are refused.
TEST_F(Cuda, RefusesStatesOfAnotherDevice) {
  std::string path = makeAppendModel().write();
  rt::SessionOptions options;
  options.states = std::make_shared<rt::States>(0);
  expectFailure(rt::Status::usage, {"cuda:0", "another device"},
                [&] { open(path, options); });
}
