// Claims about runs: symbols, ranges, weights, views, outputs, threads, sessions.
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/SessionHelpers.h"

#include <thread>

using namespace tenon;
using namespace tenon::test;

// A program computes, at several sizes of its symbol, in any order.
TEST(Session, RunsAtEverySize) {
  auto s = session(makeScaleModel().write(), 2);
  for (int64_t n : {5, 64, 1, 33}) {
    std::vector<float> x(n), expected(n);
    for (int64_t i = 0; i < n; ++i) {
      x[i] = i;
      expected[i] = 6 * i;
    }
    s->setInput(0, floats(x));
    EXPECT_EQ(s->outputDims(0), std::vector<int64_t>{n});
    s->run();
    EXPECT_EQ(read<float>(*s, 0), expected);
    EXPECT_EQ(s->statistics().launches, 2);
  }
}

// A size outside the symbol's range is refused, naming input, dimension, symbol.
TEST(Session, RefusesASizeOutOfRange) {
  auto s = session(makeScaleModel().write());
  std::vector<float> x(65);
  s->setInput(0, floats(x));
  expectFailure(rt::Status::input, {"'x'", "dimension 0", "'n' in 1..64", "65"},
                [&] { s->run(); });
}

// A wrong element type or rank is refused, naming the input.
TEST(Session, RefusesAWrongTypeOrRank) {
  auto s = session(makeScaleModel().write());
  std::vector<int32_t> ints(4);
  expectFailure(rt::Status::input, {"'x'", "f32", "i32"},
                [&] { s->setInput(0, tensor(ElementType::i32, ints, {4})); });
  std::vector<float> x(4);
  s->setInput(0, tensor(ElementType::f32, x, {2, 2}));
  expectFailure(rt::Status::input, {"'x'", "1 dimensions", "2"}, [&] { s->run(); });
}

// A run without an input says which one is missing.
TEST(Session, NamesTheMissingInput) {
  auto s = session(makeScaleModel().write());
  expectFailure(rt::Status::input, {"'x'", "none was given"}, [&] { s->run(); });
}

static Model makeAddModel() {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), zero = p.constant(0);
  uint32_t twice = p.node(ExprOp::mul, n, p.constant(2));
  uint32_t a = p.input("a", ElementType::f32, {n});
  uint32_t b = p.input("b", ElementType::f32, {n});
  p.input("both", ElementType::f32, {twice});
  uint32_t y = p.output("y", ElementType::f32, {n});
  p.program.arena = zero;
  launch(p.program.steps, model.kernel("add_f32"), {a, b, y}, {n}, n, zero, "Add");
  return model;
}

// Dimensions with one symbol are equal, and an expression of it is checked.
TEST(Session, ChecksDependentDimensions) {
  auto s = session(makeAddModel().write());
  std::vector<float> three(3), four(4), six(6), seven(7);
  s->setInput(0, floats(three));
  s->setInput(1, floats(four));
  s->setInput(2, floats(six));
  expectFailure(rt::Status::input, {"'b' dimension 0", "expected 3", "'a'", "got 4"},
                [&] { s->run(); });
  s->setInput(1, floats(three));
  s->run();
  s->setInput(2, floats(seven));
  expectFailure(rt::Status::input, {"'both' dimension 0", "expected 6", "got 7"},
                [&] { s->run(); });
}

// Tensors without elements run, and give outputs without elements.
TEST(Session, RunsEmptyTensors) {
  auto s = session(makeAddModel().write());
  std::vector<float> none;
  for (size_t i = 0; i < 3; ++i)
    s->setInput(i, tensor(ElementType::f32, none, {0}));
  s->run();
  EXPECT_EQ(s->output(0).dims, std::vector<int64_t>{0});
}

// A strided input is gathered, a contiguous one is used where it is.
TEST(Session, GathersStridedInputs) {
  auto s = session(makeScaleModel().write());
  std::vector<float> x = {1, -1, 2, -2, 3, -3};
  rt::TensorView view = tensor(ElementType::f32, x, {3});
  view.strides = {2};
  s->setInput(0, view);
  s->run();
  EXPECT_EQ(read<float>(*s, 0), (std::vector<float>{6, 12, 18}));
}

// A bound output is written in place; one that is too small is refused.
TEST(Session, WritesToBoundMemory) {
  auto s = session(makeScaleModel().write());
  std::vector<float> x = {1, 2}, y(3, -1);
  s->setInput(0, floats(x));
  s->bindOutput(0, floats(y), 12);
  s->run();
  EXPECT_EQ(y, (std::vector<float>{6, 12, -1}));
  EXPECT_EQ(s->output(0).data, reinterpret_cast<uint8_t *>(y.data()));
  s->bindOutput(0, floats(y), 4);
  expectFailure(rt::Status::usage, {"'y'", "8 bytes", "4"}, [&] { s->run(); });
}

// A view has the bytes of its source under another shape.
TEST(Session, ViewsShareBytes) {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), zero = p.constant(0), two = p.constant(2);
  uint32_t all = p.node(ExprOp::mul, n, two);
  uint32_t x = p.input("x", ElementType::f32, {n, two});
  uint32_t flat = p.view(x, ElementType::f32, {all});
  uint32_t y = p.output("y", ElementType::f32, {all});
  p.program.arena = zero;
  add(p.program.steps, [&] {
    format::CopyT copy;
    copy.source = flat;
    copy.target = y;
    return copy;
  }());
  auto s = session(model.write());
  std::vector<float> values = {1, 2, 3, 4};
  s->setInput(0, tensor(ElementType::f32, values, {2, 2}));
  s->run();
  EXPECT_EQ(s->output(0).dims, std::vector<int64_t>{4});
  EXPECT_EQ(read<float>(*s, 0), values);
}

// A replaced weight serves the sessions made from the same weights, others not.
TEST(Session, ReplacesAWeightByName) {
  auto artifact = open(makeScaleModel().write());
  auto replaced = std::make_shared<rt::Weights>(artifact);
  std::vector<float> ten = {10}, two = {1, 2}, x = {1};
  replaced->replace("w", floats(ten));
  expectFailure(rt::Status::input, {"'w'", "f32[1]", "f32[2]"},
                [&] { replaced->replace("w", floats(two)); });
  auto a = session(replaced), b = session(std::make_shared<rt::Weights>(artifact));
  for (auto *s : {a.get(), b.get()}) {
    s->setInput(0, floats(x));
    s->run();
  }
  EXPECT_EQ(read<float>(*a, 0), std::vector<float>{20});
  EXPECT_EQ(read<float>(*b, 0), std::vector<float>{6});
}

// Sessions in several threads share weights and the pool without mixing results.
TEST(Session, ManySessionsAtOnce) {
  auto weights = std::make_shared<rt::Weights>(open(makeScaleModel().write()));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      auto s = session(weights, 0);
      for (int round = 0; round < 200; ++round) {
        std::vector<float> x(1 + (t * 7 + round) % 64, float(t + 1));
        s->setInput(0, floats(x));
        s->run();
        for (float y : read<float>(*s, 0))
          wrong += y != 6 * (t + 1);
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

// The program whose ranges fit the inputs runs; none fitting names every reason.
TEST(Session, PicksTheVariantThatFits) {
  Model model = makeScaleModel();
  model.program().variant = "small";
  model.program().symbols[0]->max = 8;
  Model large = makeScaleModel();
  large.program().variant = "large";
  model.manifest.entries[0]->programs.push_back(
      std::make_unique<format::ProgramT>(std::move(large.program())));
  auto s = session(model.write());
  for (auto [n, name] : {std::pair<int, const char *>{9, "large"}, {8, "small"}, {64, "large"}}) {
    std::vector<float> x(n, 1);
    s->setInput(0, floats(x));
    s->run();
    EXPECT_EQ(s->statistics().variant, name);
    EXPECT_EQ(read<float>(*s, 0), std::vector<float>(n, 6));
  }
  std::vector<float> x(65);
  s->setInput(0, floats(x));
  expectFailure(rt::Status::input, {"'small'", "1..8", "'large'", "1..64"}, [&] { s->run(); });
}

// A launch is traced under its node's name, with its kernel.
TEST(Session, TracesLaunches) {
  auto s = session(makeScaleModel().write());
  std::vector<float> x = {1};
  s->setInput(0, floats(x));
  std::vector<std::string> seen;
  s->observers.trace = [&](const rt::LaunchEvent &event) {
    EXPECT_LE(event.begin, event.end);
    seen.push_back(std::string(event.node) + "/" + std::string(event.kernel));
  };
  s->run();
  EXPECT_EQ(seen, (std::vector<std::string>{"Add_0/add_f32", "Mul_1/scale_f32"}));
}

// Each thread's scratch is its own while it works on an item.
TEST(Session, GivesThreadsTheirOwnScratch) {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t n = p.constant(4096);
  uint32_t y = p.output("y", ElementType::i64, {n});
  p.program.arena = p.constant(0);
  launch(p.program.steps, model.kernel("scratch_i64"), {y}, {}, n, p.constant(128), "S");
  auto s = session(model.write(), 4);
  for (int round = 0; round < 50; ++round) {
    s->run();
    std::vector<int64_t> values = read<int64_t>(*s, 0);
    for (int64_t i = 0; i < 4096; ++i)
      ASSERT_EQ(values[i], 16 * i);
  }
}
