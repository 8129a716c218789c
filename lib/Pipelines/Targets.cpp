// What --target means.

#include "Targets.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;
using namespace tenon;

/// Whether the machine has each feature of the target.
static bool runsHere(const CPUTarget &target,
                     const llvm::StringMap<bool> &host) {
  return llvm::all_of(target.features, [&](const std::string &feature) {
    return host.lookup(feature);
  });
}

FailureOr<SmallVector<CPUTarget>> tenon::selectCPUTargets(StringRef name,
                                                          Location loc) {
  ArrayRef<CPUTarget> all = getPortableCPUTargets();
  if (name == "cpu")
    return SmallVector<CPUTarget>(all);
  StringRef isa = name;
  if (isa.consume_front("cpu:")) {
    llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
    for (const CPUTarget &target : llvm::reverse(all))
      if (isa == target.name || (isa == "host" && runsHere(target, host)))
        return SmallVector<CPUTarget>{target};
  }
  std::string names = llvm::join(
      llvm::map_range(all, [](const CPUTarget &t) { return "cpu:" + t.name; }),
      ", ");
  return emitError(loc) << "expected a target of cpu, cpu:host, " << names
                        << " that this machine can serve, but got '" << name
                        << "'";
}
