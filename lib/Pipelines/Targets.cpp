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

/// The targets of one name; nothing if it has none here.
static bool addCPUTargets(StringRef name, SmallVectorImpl<CPUTarget> &targets) {
  ArrayRef<CPUTarget> all = getPortableCPUTargets();
  if (name == "cpu") {
    targets.assign(all.begin(), all.end());
    return true;
  }
  if (!name.consume_front("cpu:"))
    return false;
  llvm::StringMap<bool> host = llvm::sys::getHostCPUFeatures();
  for (const CPUTarget &target : llvm::reverse(all))
    if (name == target.name || (name == "host" && runsHere(target, host))) {
      targets.push_back(target);
      return true;
    }
  return false;
}

static bool addGPUTargets(StringRef name, bool withBaseline,
                          SmallVectorImpl<GPUTarget> &targets) {
  bool isAll = name == "cuda", known = isAll;
  if (!isAll && !name.consume_front("cuda:"))
    return false;
  for (auto [index, target] : llvm::enumerate(getGPUTargets())) {
    bool isNamed = !isAll && name == target.name;
    bool isWanted = index == 0 ? withBaseline : isAll;
    known |= isNamed;
    if (isNamed || isWanted)
      targets.push_back(target);
  }
  return known;
}

FailureOr<Targets> tenon::selectTargets(StringRef names, bool withBaseline,
                                        Location loc) {
  Targets targets;
  SmallVector<StringRef> parts;
  names.split(parts, ',');
  for (StringRef name : parts) {
    bool isKnown = targets.cpu.empty() && addCPUTargets(name, targets.cpu);
    if (isKnown ||
        (targets.gpu.empty() && addGPUTargets(name, withBaseline, targets.gpu)))
      continue;
    SmallVector<std::string> known = {"cpu", "cpu:host"};
    for (const CPUTarget &target : getPortableCPUTargets())
      known.push_back("cpu:" + target.name);
    known.push_back("cuda");
    for (const GPUTarget &target : getGPUTargets())
      known.push_back("cuda:" + target.name);
    return emitError(loc) << "expected a target of " << llvm::join(known, ", ")
                          << ", at most one for each device, that this machine "
                             "can serve, but got '"
                          << name << "'";
  }
  return targets;
}
