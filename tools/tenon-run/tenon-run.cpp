// Runs one artifact from the command line, on .npy files.
#include "tools/tenon-run/Runner.h"
#include "tools/tenon/Mains.h"

#include <cstdio>
#include <exception>

int tenon::runMain(int argc, char **argv) {
  tenon::run::Options options;
  if (int code = tenon::run::parseOptions(argc, argv, options); code >= 0)
    return code;
  try {
    tenon::run::Runner runner(options);
    runner.load();
    runner.readInputs();
    runner.run();
    runner.writeOutputs();
    runner.report();
    return 0;
  } catch (const std::exception &failure) {
    std::fprintf(stderr, "tenon-run: error: %s\n", failure.what());
    return 1;
  }
}
