#include "runtime/support/Log.h"

#include <mutex>

namespace tenon::rt {

static std::mutex mutex;
static LogCallback current;
static void *currentUser;

void setLogCallback(LogCallback callback, void *user) {
  std::lock_guard<std::mutex> lock(mutex);
  current = callback;
  currentUser = user;
}

void logMessage(int level, const std::string &message) {
  std::lock_guard<std::mutex> lock(mutex);
  if (current)
    current(currentUser, level, message.c_str());
}

} // namespace tenon::rt
