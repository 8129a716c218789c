// Claims about recurrent states: what a session keeps of one call for the next, when
// that has no rows.
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/SessionHelpers.h"

#include <cstdio>

using namespace tenon;
using namespace tenon::test;

/// y is what x, [2], was in the call before. A call fails, with the state written, if
/// `sign` has not one element.
static Model makeDelayModel() {
  Model model;
  ProgramBuilder p(model.program());
  uint32_t one = p.constant(1), two = p.constant(2), m = p.symbol("m");
  uint32_t x = p.input("x", ElementType::f32, {two});
  p.input("sign", ElementType::f32, {m});
  auto cache = std::make_unique<format::CacheT>();
  cache->name = "r";
  cache->recurrent = true;
  model.program().caches.push_back(std::move(cache));
  uint32_t state = p.state("r.value", ElementType::f32, {two}, 0);
  uint32_t y = p.output("y", ElementType::f32, {two});
  for (auto [source, target] : {std::pair(state, y), std::pair(x, state)}) {
    format::CopyT copy;
    copy.source = source;
    copy.target = target;
    add(model.program().steps, copy);
  }
  format::CheckT check;
  check.a = m;
  check.b = one;
  add(model.program().steps, check);
  return model;
}

/// What x was in the call before, if all is well.
static float call(rt::Session &session, float x, int64_t signs = 1) {
  std::vector<float> values(2, x), sign(signs, 1);
  session.setInput(0, tensor(ElementType::f32, values, {2}));
  session.setInput(1, floats(sign));
  session.run();
  return read<float>(session, 0)[1];
}

// A call finds what the one before left, and zeros at first and after a reset.
TEST(Recurrent, AreReplaced) {
  auto s = session(makeDelayModel().write());
  EXPECT_EQ(call(*s, 1), 0);
  EXPECT_EQ(call(*s, 2), 1);
  EXPECT_EQ(call(*s, 3), 2);
  s->states().reset();
  EXPECT_EQ(call(*s, 4), 0);
}

// There are no rows to go back to; before a call, or after a reset, there is no need.
TEST(Recurrent, RefuseARewind) {
  auto s = session(makeDelayModel().write());
  s->states().rewind(-1, 0);
  call(*s, 1);
  for (int64_t rows : {0, 1, 2})
    expectFailure(rt::Status::unsupported, {"recurrent state 'r'", "reset the session"},
                  [&] { s->states().rewind(-1, rows); });
  EXPECT_EQ(call(*s, 2), 1);
  s->states().reset();
  s->states().rewind(-1, 0);
}

// A call that fails may have replaced the state in part, so that no other goes on from it.
TEST(Recurrent, AreNotUsedAfterAFailure) {
  std::string model = makeDelayModel().write(), path = model + ".states";
  auto s = session(model), other = session(model);
  call(*s, 1);
  s->states().save(path);
  expectFailure(rt::Status::input, {"expected equal sizes"}, [&] { call(*s, 2, 2); });
  auto isRefused = [&](rt::Session &session) {
    expectFailure(rt::Status::input, {"recurrent state 'r'", "the last one failed"},
                  [&] { call(session, 3); });
  };
  isRefused(*s);
  other->states().copyFrom(s->states());
  isRefused(*other);
  s->states().load(path);
  EXPECT_EQ(call(*s, 4), 1);
  other->states().reset();
  EXPECT_EQ(call(*other, 5), 0);
  std::remove(path.c_str());
}

// As many calls can be taken back as there are snapshots; what came after is forgotten.
TEST(Recurrent, GoBackToSnapshots) {
  Model model = makeDelayModel();
  model.program().caches[0]->snapshots = 2;
  auto s = session(model.write());
  for (float x : {1, 2, 3, 4})
    call(*s, x);
  expectFailure(rt::Status::unsupported, {"recurrent state 'r'", "2, 3, but got 1"},
                [&] { s->states().rewind(-1, 1); });
  s->states().rewind(-1, 4);
  EXPECT_EQ(call(*s, 5), 4);
  s->states().rewind(-1, 3);
  EXPECT_EQ(call(*s, 6), 3);
  s->states().rewind(-1, 3);
  expectFailure(rt::Status::unsupported, {"but none is"}, [&] { s->states().rewind(-1, 2); });
  EXPECT_EQ(call(*s, 7), 3);
  s->states().reset();
  EXPECT_EQ(call(*s, 8), 0);
  s->states().rewind(-1, 0);
  EXPECT_EQ(call(*s, 9), 0);
}

// With a snapshot, what a call that failed found can be had back.
TEST(Recurrent, GoBackBeforeAFailure) {
  Model model = makeDelayModel();
  model.program().caches[0]->snapshots = 1;
  auto s = session(model.write());
  call(*s, 1);
  expectFailure(rt::Status::input, {"expected equal sizes"}, [&] { call(*s, 2, 2); });
  s->states().rewind(-1, 1);
  EXPECT_EQ(call(*s, 3), 1);
}

// Snapshots are of what has no rows.
TEST(Recurrent, RefuseSnapshotsOfRows) {
  Model model = makeDelayModel();
  model.program().caches[0]->recurrent = false;
  model.program().caches[0]->snapshots = 1;
  std::string path = model.write();
  expectFailure(rt::Status::corrupt, {"cache 0", "rows or snapshots"}, [&] { open(path); });
}

// A call that is refused before it begins leaves the state as it is.
TEST(Recurrent, StayAfterBadInputs) {
  auto s = session(makeDelayModel().write());
  call(*s, 1);
  std::vector<float> x(3, 2), sign(1, 1);
  s->setInput(0, tensor(ElementType::f32, x, {3}));
  expectFailure(rt::Status::input, {"input 'x'"}, [&] { s->run(); });
  EXPECT_EQ(call(*s, 2), 1);
}
