// Claims about what sessions keep from call to call, and about files that lie of it.
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/SessionHelpers.h"

#include <cstdio>

using namespace tenon;
using namespace tenon::test;

/// Appends x, of n rows, to the cache "c" of two numbers a row and returns its tensor
/// [1, 1, capacity, 2].
static Model makeAppendModel() {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t n = p.symbol("n"), past = p.symbol("past"), capacity = p.symbol("capacity");
  uint32_t one = p.constant(1), two = p.constant(2);
  uint32_t offset = p.node(ExprOp::mul, past, p.constant(8));
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
  insert.offset = offset;
  add(model.program().steps, insert);
  format::CopyT copy;
  copy.source = state;
  copy.target = y;
  add(model.program().steps, copy);
  return model;
}

static std::unique_ptr<rt::Session> makeSession(const std::string &path, int64_t capacity) {
  rt::SessionOptions options;
  options.capacity = capacity;
  return session(std::make_shared<rt::Weights>(open(path)), 1, options);
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

static std::vector<float> expected(std::vector<std::pair<int, float>> parts) {
  std::vector<float> all;
  for (auto [rows, fill] : parts)
    all.insert(all.end(), 2 * rows, fill);
  return all;
}

// Rows are kept from call to call, also when room has to be made.
TEST(States, KeepRowsAsRoomGrows) {
  auto s = session(makeAppendModel().write());
  EXPECT_EQ(append(*s, 3, 1), expected({{3, 1}}));
  int64_t room = s->states().room();
  EXPECT_EQ(append(*s, room, 2), expected({{3, 1}, {int(room), 2}}));
  EXPECT_GT(s->states().room(), room);
  s->states().reset();
  EXPECT_EQ(append(*s, 1, 5), expected({{1, 5}}));
}

// A call that needs more than the capacity fails and changes nothing.
TEST(States, RefuseMoreThanTheCapacity) {
  auto s = makeSession(makeAppendModel().write(), 4);
  append(*s, 3, 1);
  expectFailure(rt::Status::input, {"at most the 4 rows", "makes it 5"},
                [&] { append(*s, 2, 2); });
  EXPECT_EQ(append(*s, 1, 3), expected({{3, 1}, {1, 3}}));
}

// Saved states are read by another session; a cut or changed file is refused.
TEST(States, SaveAndLoad) {
  std::string model = makeAppendModel().write(), path = model + ".states";
  auto s = session(model), other = session(model);
  append(*s, 2, 1);
  s->states().save(path);
  other->states().load(path);
  EXPECT_EQ(append(*other, 1, 7), expected({{2, 1}, {1, 7}}));
  std::FILE *file = std::fopen(path.c_str(), "r+b");
  ASSERT_NE(file, nullptr);
  std::fseek(file, 16, SEEK_SET); // the number of caches
  std::fwrite("\xff\xff\xff\xff\xff\xff\xff\x7f", 1, 8, file);
  std::fclose(file);
  expectFailure(rt::Status::corrupt, {"expected a number up to"},
                [&] { other->states().load(path); });
  EXPECT_EQ(append(*other, 1, 8), expected({{2, 1}, {1, 7}, {1, 8}}));
  std::remove(path.c_str());
}

// What the version before wrote is read: caches and tensors without what came later.
TEST(States, LoadOldFiles) {
  std::string model = makeAppendModel().write(), path = model + ".states";
  std::FILE *file = std::fopen(path.c_str(), "wb");
  ASSERT_NE(file, nullptr);
  auto number = [&](int64_t value) { std::fwrite(&value, sizeof(value), 1, file); };
  auto text = [&](std::string value) {
    number(value.size());
    std::fwrite(value.data(), 1, value.size(), file);
  };
  std::fwrite("TENONKV1", 1, 8, file);
  number(4), number(1); // room, caches
  text("c"), number(1), number(1), number(1), number(1);
  number(1); // tensors
  text("c.rows"), text("c"), number(1), number(4);
  number(1), number(1), number(4), number(2);
  std::vector<float> rows(8, 3);
  std::fwrite(rows.data(), sizeof(float), rows.size(), file);
  std::fclose(file);
  auto s = session(model);
  s->states().load(path);
  EXPECT_EQ(append(*s, 1, 7), expected({{1, 3}, {1, 7}}));
  std::remove(path.c_str());
}

// A cache has as many rows as its budget at most, and room for no more.
TEST(States, RefuseMoreThanTheBudget) {
  Model model = makeAppendModel();
  model.program().caches[0]->budget = 3;
  auto s = makeSession(model.write(), 8);
  append(*s, 3, 1);
  EXPECT_EQ(s->states().find("c.rows")->dims[2], 3);
  expectFailure(rt::Status::input,
                {"cache 'c'", "at most the 3 rows of its budget", "makes it 4"},
                [&] { append(*s, 1, 2); });
  s->states().rewind(-1, 2);
  EXPECT_EQ(append(*s, 1, 3), expected({{2, 1}, {1, 3}}));
}

static void expectRefused(Model &model, const std::vector<std::string> &parts) {
  std::string path = model.write();
  expectFailure(rt::Status::corrupt, parts, [&] { open(path); });
}

// Indices of states and caches are within their tables, names differ.
TEST(States, RefuseBadTables) {
  Model model = makeAppendModel();
  model.program().states[0]->cache = 1;
  expectRefused(model, {"state 0", "cache"});
  model = makeAppendModel();
  model.program().states[0]->value = 0;
  expectRefused(model, {"state 0", "its own value"});
  model = makeAppendModel();
  model.program().states.clear();
  expectRefused(model, {"state"});
  model = makeAppendModel();
  model.program().caches[0]->next = 1000;
  expectRefused(model, {"cache 0", "expression"});
  model = makeAppendModel();
  model.program().caches[0]->capacity = 1000;
  expectRefused(model, {"cache 0", "symbol"});
  model = makeAppendModel();
  model.program().caches[0]->budget = -1;
  expectRefused(model, {"cache 0", "a budget of at least 0"});
  model = makeAppendModel();
  model.program().caches[0]->recurrent = true;
  expectRefused(model, {"cache 0", "rows or snapshots"});
  model = makeAppendModel();
  model.program().states[0]->batch = 4;
  expectRefused(model, {"state 0", "dimension"});
}

// What is written beyond a state's end ends the run with an error.
TEST(States, RefuseWritesBehindTheEnd) {
  Model model = makeAppendModel();
  // The cache says that a call adds no rows, so that no room is made.
  model.program().caches[0]->next = model.program().caches[0]->length;
  auto s = session(model.write());
  std::vector<float> x(8, 1);
  s->setInput(0, tensor(ElementType::f32, x, {4, 2}));
  expectFailure(rt::Status::execution, {"expected to insert within 0 bytes"},
                [&] { s->run(); });
}
