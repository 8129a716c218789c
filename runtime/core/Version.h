// What --version says: the release and the build.
#ifndef TENON_RUNTIME_CORE_VERSION_H
#define TENON_RUNTIME_CORE_VERSION_H

namespace tenon::rt {

/// "0.1.0 (build 0123abcd...)"; the build is the linker's hash of the library or
/// program that this is linked into.
const char *version();

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_VERSION_H
