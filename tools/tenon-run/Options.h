// The command line of tenon-run.
#ifndef TENON_TOOLS_TENON_RUN_OPTIONS_H
#define TENON_TOOLS_TENON_RUN_OPTIONS_H

#include <string>
#include <vector>

namespace tenon::run {

struct Options {
  std::string artifact, outputDir, entry, device, profile, dump;
  std::vector<std::string> inputs; // NAME=FILE.npy
  unsigned threads = 0, repeat = 1;
  bool json = false, refuseHostReads = false;
};

/// Returns -1 to go on, else the exit code: 0 after --help and --version, 2 after
/// a message on wrong usage.
int parseOptions(int argc, char **argv, Options &options);

} // namespace tenon::run

#endif // TENON_TOOLS_TENON_RUN_OPTIONS_H
