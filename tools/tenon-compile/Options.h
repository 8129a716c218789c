#ifndef TENON_TOOLS_TENON_COMPILE_OPTIONS_H
#define TENON_TOOLS_TENON_COMPILE_OPTIONS_H

#include "tenon/Pipelines/Compile.h"

#include <string>

namespace tenon::compile {

struct Options {
  std::string input, output;
  CompileOptions compile;
  bool explain = false;
  /// *.json or *.html; none: no report.
  std::string report;
};

/// Parses the command line. Returns -1 to go on, else the exit code: 0 after --help
/// and --version, 2 after a message about wrong usage.
int parseOptions(int argc, char **argv, Options &options);

} // namespace tenon::compile

#endif // TENON_TOOLS_TENON_COMPILE_OPTIONS_H
