// Says what is inside an artifact and whether it will run here, without linking
// its code.
#include "tools/tenon-inspect/Report.h"
#include "tools/tenon/Mains.h"

#include "runtime/core/Version.h"

#include <cstdio>
#include <cstring>
#include <exception>

static const char help[] =
    "usage: tenon-inspect MODEL.tenon [--json] [--verify] [--device=DEVICE]\n"
    "\n"
    "Prints entries, variants, symbols, memory, kernels, weights and sections, and\n"
    "which code would run on this machine.\n"
    "\n"
    "  --device=DEVICE  cpu, cuda[:N], or sm_N for a GPU of that architecture: say what\n"
    "                   runs there; exits 1, with the reason, where the artifact does not\n"
    "  --json     one JSON object\n"
    "  --verify   check the hashes of code and weights too: reads the whole file\n"
    "  --version, --help\n";

static int usage(const char *problem, const char *what) {
  std::fprintf(stderr, "tenon-inspect: %s%s; see tenon-inspect --help\n", problem, what);
  return 2;
}

int tenon::inspectMain(int argc, char **argv) {
  const char *path = nullptr, *device = "";
  bool json = false, verify = false;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--help") == 0)
      return std::fputs(help, stdout) < 0;
    if (std::strcmp(argv[i], "--version") == 0)
      return std::printf("tenon-inspect %s\n", tenon::rt::version()) < 0;
    if (std::strcmp(argv[i], "--json") == 0)
      json = true;
    else if (std::strcmp(argv[i], "--verify") == 0)
      verify = true;
    else if (std::strncmp(argv[i], "--device=", 9) == 0)
      device = argv[i] + 9;
    else if (argv[i][0] == '-')
      return usage("expected a known option, but got ", argv[i]);
    else if (path)
      return usage("expected one artifact, but got a second: ", argv[i]);
    else
      path = argv[i];
  }
  if (!path)
    return usage("expected an artifact", "");
  try {
    tenon::inspect::Machine machine = tenon::inspect::findMachine(device);
    tenon::rt::ArtifactOptions options;
    options.verifyWeights = options.verifyCode = verify;
    tenon::rt::Artifact artifact(path, options);
    std::string report = json ? tenon::inspect::reportAsJson(artifact, machine)
                              : tenon::inspect::reportAsText(artifact, machine);
    std::fputs(report.c_str(), stdout);
    if (verify && !json)
      std::puts("verified: all hashes are right");
    std::string refusal = tenon::inspect::refusal(artifact, machine);
    if (refusal.empty())
      return 0;
    std::fprintf(stderr, "tenon-inspect: '%s' does not run on %s: %s\n", path, device,
                 refusal.c_str());
    return 1;
  } catch (const std::exception &failure) {
    std::fprintf(stderr, "tenon-inspect: error: %s\n", failure.what());
    return 1;
  }
}
