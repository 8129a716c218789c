// Loads an artifact through the C API and runs it as the options say.
#ifndef TENON_TOOLS_TENON_RUN_RUNNER_H
#define TENON_TOOLS_TENON_RUN_RUNNER_H

#include "runtime/include/tenon_rt.h"
#include "tools/tenon-run/Npy.h"
#include "tools/tenon-run/Options.h"

#include <map>
#include <string>
#include <vector>

namespace tenon::run {

/// Every method throws std::runtime_error with the message to print.
class Runner {
public:
  explicit Runner(const Options &options) : options(options) {}
  ~Runner();
  Runner(const Runner &) = delete;
  Runner &operator=(const Runner &) = delete;

  void load();
  void readInputs();
  void run();
  void writeOutputs();
  void report();

private:
  struct Event {
    std::string node, kernel;
    int64_t begin, end;
  };
  static void record(void *runner, const char *node, const char *kernel, int64_t begin,
                     int64_t end);
  static void dump(void *runner, const char *node, const char *kernel, size_t result,
                   const DLTensor *tensor);
  void startDump();
  void finishDump();
  void setInput(const std::string &argument);
  void writeTrace();

  const Options &options;
  tenon_artifact *artifact = nullptr;
  tenon_weights *weights = nullptr;
  tenon_session *session = nullptr;
  std::vector<Array> arrays;
  std::vector<double> milliseconds;
  std::vector<Event> events;
  std::map<std::string, std::string> dumps; // node asked for -> what became of it
  double loadMilliseconds = 0;
};

} // namespace tenon::run

#endif // TENON_TOOLS_TENON_RUN_RUNNER_H
