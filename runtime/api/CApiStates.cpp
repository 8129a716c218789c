// The states' part of tenon_rt.h.
#include "runtime/api/CApiSession.h"

#include <algorithm>
#include <cstring>
#include <iterator>

using namespace tenon::rt;

size_t tenon_session_num_caches(const tenon_session *session) {
  return session ? session->session->states().allCaches().size() : 0;
}

tenon_status tenon_session_cache_info(const tenon_session *session, size_t index,
                                      tenon_cache_info *info, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requirePointer(info, "info");
    const States &states = session->session->states();
    if (index >= states.allCaches().size())
      fail(Status::usage, "expected a cache below ", states.allCaches().size(), ", but got ",
           index);
    const auto &[name, cache] = *std::next(states.allCaches().begin(), index);
    session->cacheName = name;
    int64_t room = cache.budget ? std::min(cache.budget, states.room()) : states.room();
    tenon_cache_info full{info->size, session->cacheName.c_str(),
                          cache.isCounted ? cache.length : -1,
                          cache.isCounted && cache.hasCapacity ? room : -1,
                          states.bytesOf(name)};
    std::memcpy(info, &full, std::min(info->size, sizeof(full)));
  });
}

tenon_status tenon_session_reset(tenon_session *session, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    session->session->states().reset();
  });
}

tenon_status tenon_session_rewind(tenon_session *session, int64_t row, int64_t length,
                                  tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    session->session->states().rewind(row, length);
  });
}

tenon_status tenon_session_fork(const tenon_session *session, tenon_session **fork,
                                tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requirePointer(fork, "fork");
    auto made = std::make_unique<tenon_session>();
    made->options = session->options;
    SessionOptions chosen = made->options;
    chosen.entry = session->session->entry.name;
    made->session = std::make_unique<Session>(
        session->session->weights, session->session->device->another(), chosen);
    made->session->states().copyFrom(session->session->states());
    describeSession(*made);
    *fork = made.release();
  });
}

tenon_status tenon_session_select_rows(tenon_session *session, const int64_t *rows,
                                       size_t count, tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    if (count)
      requirePointer(rows, "rows");
    session->session->states().selectRows(std::vector<int64_t>(rows, rows + count));
  });
}

tenon_status tenon_session_save(const tenon_session *session, const char *path,
                                tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requirePointer(path, "path");
    session->session->states().save(path);
  });
}

tenon_status tenon_session_load(tenon_session *session, const char *path,
                                tenon_error **error) {
  return guarded(error, [&] {
    requirePointer(session, "session");
    requirePointer(path, "path");
    session->session->states().load(path);
  });
}
