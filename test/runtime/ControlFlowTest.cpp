// Claims about If, Loop, ReadSymbol and HostTensor.
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/SessionHelpers.h"

using namespace tenon;
using namespace tenon::test;

static void copyStep(Steps &steps, uint32_t source, uint32_t target) {
  format::CopyT copy;
  copy.source = source;
  copy.target = target;
  add(steps, std::move(copy));
}

static void readStep(Steps &steps, uint32_t value, uint32_t element, uint32_t symbol) {
  format::ReadSymbolT read;
  read.value = value;
  read.element = element;
  read.symbol = symbol;
  add(steps, std::move(read));
}

static void hostStep(Steps &steps, uint32_t value, std::vector<uint32_t> elements) {
  format::HostTensorT host;
  host.value = value;
  host.elements = std::move(elements);
  add(steps, std::move(host));
}

/// y = x + x where x[0] < 10, else 3 x; the branch not taken divides by zero.
static Model makeIfModel() {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), zero = p.constant(0), one = p.constant(1), ten = p.constant(10);
  uint32_t bad = p.node(ExprOp::floordiv, n, zero);
  uint32_t x = p.input("x", ElementType::f32, {n});
  uint32_t y = p.output("y", ElementType::f32, {n});
  uint32_t w = p.weight(model.addWeight("w", ElementType::f32, {1}, bytesOf<float>({3})),
                        ElementType::f32, {one});
  uint32_t flag = p.arena(ElementType::boolean, {}, zero);
  uint32_t broken = p.arena(ElementType::f32, {bad}, zero);
  p.program.arena = p.constant(64);
  launch(p.program.steps, model.kernel("below_f32"), {x, flag}, {ten}, one, zero, "Less");
  format::IfT branch;
  branch.condition = flag;
  branch.then_steps = std::make_unique<format::BlockT>();
  branch.else_steps = std::make_unique<format::BlockT>();
  launch(branch.then_steps->steps, model.kernel("add_f32"), {x, x, y}, {n}, n, zero, "Add");
  launch(branch.else_steps->steps, model.kernel("scale_f32"), {x, w, y}, {n}, n, zero, "Mul");
  copyStep(branch.else_steps->steps, broken, broken);
  add(p.program.steps, std::move(branch));
  return model;
}

// The branch that the condition names runs; a fault in the other one is nobody's.
TEST(ControlFlow, RunsOneBranch) {
  Model model = makeIfModel();
  auto s = session(model.write());
  std::vector<float> small = {1, 2}, large = {20, 2};
  s->setInput(0, floats(small));
  s->run();
  EXPECT_EQ(read<float>(*s, 0), (std::vector<float>{2, 4}));
  s->setInput(0, floats(large));
  expectFailure(rt::Status::execution, {"divides by zero"}, [&] { s->run(); });
}

/// y := x; while y[0] < limit and count < trips: y := y + y. Also gives the count.
static Model makeLoopModel(bool hasCondition, bool hasTripCount) {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t trips = p.dataSymbol("trips"), zero = p.constant(0), one = p.constant(1);
  uint32_t x = p.input("x", ElementType::f32, {one});
  uint32_t m = p.input("m", ElementType::i64, {});
  uint32_t y = p.output("y", ElementType::f32, {one});
  uint32_t runs = p.output("runs", ElementType::i64, {});
  uint32_t flag = p.arena(ElementType::boolean, {}, zero);
  uint32_t counter = p.arena(ElementType::i64, {}, p.constant(64));
  p.program.arena = p.constant(128);
  copyStep(p.program.steps, x, y);
  readStep(p.program.steps, m, 0, 0);
  uint32_t limit = p.constant(100), below = model.kernel("below_f32");
  launch(p.program.steps, below, {y, flag}, {limit}, one, zero, "Less");
  format::LoopT loop;
  loop.condition = flag;
  loop.trip_count = trips;
  loop.counter = counter;
  loop.has_condition = hasCondition;
  loop.has_trip_count = hasTripCount;
  loop.body = std::make_unique<format::BlockT>();
  launch(loop.body->steps, model.kernel("add_f32"), {y, y, y}, {}, one, zero, "Add");
  launch(loop.body->steps, below, {y, flag}, {limit}, one, zero, "Less");
  add(p.program.steps, std::move(loop));
  copyStep(p.program.steps, counter, runs);
  return model;
}

struct LoopCase {
  bool hasCondition, hasTripCount;
  float x;
  int64_t trips;
  float y;
  int64_t runs;
};

// A loop ends with its condition or its trip count, whichever comes first, and
// the counter holds the number of runs.
TEST(ControlFlow, LoopsEndAtConditionOrTripCount) {
  const LoopCase cases[] = {{true, true, 1, 1000, 128, 7}, {true, true, 1, 3, 8, 3},
                            {true, false, 1, 3, 128, 7},   {false, true, 64, 3, 512, 3},
                            {true, true, 200, 5, 200, 0},  {false, true, 1, 0, 1, 0}};
  for (const LoopCase &c : cases) {
    auto s = session(makeLoopModel(c.hasCondition, c.hasTripCount).write());
    std::vector<float> x = {c.x};
    std::vector<int64_t> m = {c.trips};
    s->setInput(0, floats(x));
    s->setInput(1, tensor(ElementType::i64, m, {}));
    s->run();
    EXPECT_EQ(read<float>(*s, 0), std::vector<float>{c.y});
    EXPECT_EQ(read<int64_t>(*s, 1), std::vector<int64_t>{c.runs});
  }
}

// A loop that neither ends is refused when the file is opened.
TEST(ControlFlow, RefusesALoopWithoutEnd) {
  Model model = makeLoopModel(false, false);
  expectFailure(rt::Status::corrupt, {"condition or a trip count"},
                [&] { session(model.write()); });
}

// Cancelling ends a long loop, and the session can run again.
TEST(ControlFlow, CancelEndsALoop) {
  auto s = session(makeLoopModel(false, true).write());
  std::vector<float> x = {1};
  std::vector<int64_t> forever = {INT64_MAX}, once = {1};
  s->setInput(0, floats(x));
  s->setInput(1, tensor(ElementType::i64, forever, {}));
  s->cancel();
  expectFailure(rt::Status::cancelled, {"cancelled"}, [&] { s->run(); });
  s->setInput(1, tensor(ElementType::i64, once, {}));
  s->run();
  EXPECT_EQ(read<float>(*s, 0), std::vector<float>{2});
}

/// y = the positive elements of x: their number is known only from the data.
static Model makeFilterModel(int64_t max = -1) {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), found = p.dataSymbol("found", max);
  uint32_t zero = p.constant(0), one = p.constant(1);
  uint32_t x = p.input("x", ElementType::f32, {n});
  uint32_t y = p.output("y", ElementType::f32, {found});
  uint32_t count = p.arena(ElementType::i64, {}, zero);
  p.program.arena = p.constant(64);
  launch(p.program.steps, model.kernel("count_positive"), {x, count}, {n}, one, zero, "Count");
  readStep(p.program.steps, count, 0, 1);
  launch(p.program.steps, model.kernel("keep_positive"), {x, y}, {n}, one, zero, "Keep");
  return model;
}

// An output whose size depends on data has that size after the run; before, its
// shape is not known.
TEST(ControlFlow, SizesAnOutputByData) {
  auto s = session(makeFilterModel().write());
  for (const std::vector<float> &x :
       {std::vector<float>{1, -1, 2}, {-1}, {1, 2, 3, 4}, {}, {5}}) {
    std::vector<float> expected;
    for (float v : x)
      if (v > 0)
        expected.push_back(v);
    s->setInput(0, floats(x));
    EXPECT_EQ(s->outputDims(0), std::vector<int64_t>{-1});
    s->run();
    EXPECT_EQ(read<float>(*s, 0), expected);
  }
}

// A symbol read from data keeps to its range.
TEST(ControlFlow, ChecksTheRangeOfDataSymbols) {
  auto s = session(makeFilterModel(2).write());
  std::vector<float> x = {1, 2, 3};
  s->setInput(0, floats(x));
  expectFailure(rt::Status::execution, {"'found'", "0..2", "3"}, [&] { s->run(); });
}

/// for i in 0..m: y[0..i+1] grows by one element a round, as a scan output does.
static Model makeGrowModel() {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t trips = p.dataSymbol("trips"), round = p.dataSymbol("round");
  uint32_t zero = p.constant(0), one = p.constant(1);
  uint32_t length = p.node(ExprOp::add, round, one);
  uint32_t m = p.input("m", ElementType::i64, {});
  uint32_t visits = p.output("visits", ElementType::i64, {length});
  uint32_t counter = p.arena(ElementType::i64, {}, zero);
  p.program.arena = p.constant(64);
  readStep(p.program.steps, m, 0, 0);
  hostStep(p.program.steps, counter, {zero});
  readStep(p.program.steps, counter, 0, 1);
  format::LoopT loop;
  loop.trip_count = trips;
  loop.has_trip_count = true;
  loop.counter = counter;
  loop.body = std::make_unique<format::BlockT>();
  readStep(loop.body->steps, counter, 0, 1);
  launch(loop.body->steps, model.kernel("visit"), {visits}, {}, length, zero, "Visit");
  add(p.program.steps, std::move(loop));
  return model;
}

// An output keeps what a loop wrote while it grows past its memory.
TEST(ControlFlow, KeepsAnOutputThatGrows) {
  auto s = session(makeGrowModel().write());
  std::vector<int64_t> m = {3000};
  s->setInput(0, tensor(ElementType::i64, m, {}));
  s->run();
  std::vector<int64_t> visits = read<int64_t>(*s, 0);
  ASSERT_EQ(visits.size(), 3000u);
  for (int64_t i = 0; i < 3000; ++i)
    ASSERT_EQ(visits[i], 3000 - i) << i;
}

/// for i in 0..m: element `at` of the heap's row of i + 1 elements := i; y = the row.
static Model makeInsertModel(int64_t shift, uint32_t block = 0) {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t trips = p.dataSymbol("trips"), round = p.dataSymbol("round");
  uint32_t zero = p.constant(0), eight = p.constant(8);
  uint32_t length = p.node(ExprOp::add, round, p.constant(1));
  uint32_t at = p.node(ExprOp::mul, p.node(ExprOp::add, round, p.constant(shift)), eight);
  uint32_t m = p.input("m", ElementType::i64, {});
  uint32_t y = p.output("y", ElementType::i64, {trips});
  uint32_t counter = p.arena(ElementType::i64, {}, zero);
  uint32_t growing = p.heap(ElementType::i64, {length}, block);
  uint32_t whole = p.heap(ElementType::i64, {trips}, block);
  p.program.arena = p.constant(64);
  readStep(p.program.steps, m, 0, 0);
  format::LoopT loop;
  loop.trip_count = trips;
  loop.has_trip_count = true;
  loop.counter = counter;
  loop.body = std::make_unique<format::BlockT>();
  readStep(loop.body->steps, counter, 0, 1);
  format::InsertT insert;
  insert.source = counter;
  insert.target = growing;
  insert.offset = at;
  add(loop.body->steps, std::move(insert));
  add(p.program.steps, std::move(loop));
  copyStep(p.program.steps, whole, y);
  return model;
}

// A block of the heap keeps what was inserted while it grows.
TEST(ControlFlow, InsertsIntoTheHeap) {
  auto s = session(makeInsertModel(0).write());
  for (int64_t trips : {3000, 2, 0}) {
    std::vector<int64_t> m = {trips};
    s->setInput(0, tensor(ElementType::i64, m, {}));
    s->run();
    std::vector<int64_t> row = read<int64_t>(*s, 0);
    ASSERT_EQ(row.size(), size_t(trips));
    for (int64_t i = 0; i < trips; ++i)
      ASSERT_EQ(row[i], i);
  }
}

// What is inserted stays within its target, and blocks are numbered without gaps.
TEST(ControlFlow, RefusesToInsertOutside) {
  std::vector<int64_t> m = {1};
  for (int64_t shift : {1, -1}) {
    auto s = session(makeInsertModel(shift).write());
    s->setInput(0, tensor(ElementType::i64, m, {}));
    expectFailure(rt::Status::execution, {"insert within 8 bytes"}, [&] { s->run(); });
  }
  expectFailure(rt::Status::corrupt, {"a block below 1, but got 1"},
                [&] { session(makeInsertModel(0, 1).write()); });
}

// Host tensors hold expressions; one that does not fit 32 bits is refused.
TEST(ControlFlow, FillsHostTensors) {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), three = p.constant(3);
  p.input("x", ElementType::f32, {n});
  uint32_t wide = p.output("wide", ElementType::i64, {three});
  uint32_t narrow = p.output("narrow", ElementType::i32, {three});
  p.program.arena = p.constant(0);
  std::vector<uint32_t> elements = {n, p.node(ExprOp::ceildiv, n, three),
                                    p.node(ExprOp::mul, n, p.constant(1 << 30))};
  hostStep(p.program.steps, wide, elements);
  hostStep(p.program.steps, narrow, elements);
  auto s = session(model.write());
  std::vector<float> one(1), four(4);
  s->setInput(0, floats(one));
  s->run();
  EXPECT_EQ(read<int64_t>(*s, 0), (std::vector<int64_t>{1, 1, 1 << 30}));
  EXPECT_EQ(read<int32_t>(*s, 1), (std::vector<int32_t>{1, 1, 1 << 30}));
  s->setInput(0, floats(four));
  expectFailure(rt::Status::execution, {"32 bits", "4294967296"}, [&] { s->run(); });
}
