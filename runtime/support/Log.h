// Messages for whoever embeds the runtime; without a callback they go nowhere.
#ifndef TENON_RUNTIME_SUPPORT_LOG_H
#define TENON_RUNTIME_SUPPORT_LOG_H

#include <string>

namespace tenon::rt {

using LogCallback = void (*)(void *user, int level, const char *message);

/// Null turns it off.
void setLogCallback(LogCallback callback, void *user);

/// `level`: 0 information, 1 warning. From any thread.
void logMessage(int level, const std::string &message);

} // namespace tenon::rt

#endif // TENON_RUNTIME_SUPPORT_LOG_H
