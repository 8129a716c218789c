// Which instruction sets this machine and its operating system have.
#ifndef TENON_RUNTIME_CPU_FEATURES_H
#define TENON_RUNTIME_CPU_FEATURES_H

#include <string>
#include <string_view>
#include <vector>

namespace tenon::rt {

/// The first of `features` (LLVM's names) that is missing here; empty: none is.
std::string missingFeature(const std::vector<std::string_view> &features);

/// All known features that this machine has, in a fixed order.
std::vector<std::string_view> presentFeatures();

/// Physical cores that this process may run on; at least 1.
unsigned physicalCores();

} // namespace tenon::rt

#endif // TENON_RUNTIME_CPU_FEATURES_H
