// Accepts --name=value and --name value.
#include "tools/tenon-run/Options.h"

#include "runtime/include/tenon_rt.h"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>

namespace tenon::run {

static const char help[] =
    "usage: tenon-run MODEL.tenon --input NAME=FILE.npy... --output-dir DIR\n"
    "\n"
    "Runs an artifact on tensors from .npy files and writes DIR/NAME.npy for each\n"
    "output (characters outside A-Za-z0-9_.- become _).\n"
    "\n"
    "  --input NAME=FILE.npy  the tensor for the ONNX input NAME\n"
    "  --output-dir DIR       where outputs go; without it none is written\n"
    "  --entry=NAME           which entry, where there are several\n"
    "  --device=cpu|cuda[:N]  the device to run on (default: cuda where the artifact has\n"
    "                         code for it and a driver and a GPU are there, else cpu)\n"
    "  --error-on-host-transfer  fail where a run on a GPU makes the host wait for sizes or\n"
    "                         conditions; inputs, outputs and shapes are copied anyway\n"
    "  --threads=N            threads, the caller's included (default: physical cores)\n"
    "  --repeat=N             run N times; every time is reported\n"
    "  --dump=NODE,...        also write DIR/dump/NODE.npy, the results of ONNX nodes\n"
    "  --profile=TRACE.json   Chrome trace events of the last run, one a launch\n"
    "  --json                 print one JSON object on standard output\n"
    "  --version, --help\n";

static int usage(const std::string &message) {
  std::fprintf(stderr, "tenon-run: %s; see tenon-run --help\n", message.c_str());
  return 2;
}

static bool parseNumber(const std::string &text, unsigned &number) {
  char *end;
  unsigned long value = std::strtoul(text.c_str(), &end, 10);
  number = unsigned(value);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos &&
         value >= 1 && value <= 1000000;
}

/// Sets one option; an empty result is success.
static std::string setOption(const std::string &name, const std::string &value,
                             Options &options) {
  const std::map<std::string, std::string *> texts = {{"--output-dir", &options.outputDir},
                                                      {"--entry", &options.entry},
                                                      {"--device", &options.device},
                                                      {"--profile", &options.profile},
                                                      {"--dump", &options.dump}};
  const std::map<std::string, unsigned *> numbers = {{"--threads", &options.threads},
                                                     {"--repeat", &options.repeat}};
  if (auto text = texts.find(name); text != texts.end())
    *text->second = value;
  else if (name == "--input")
    options.inputs.push_back(value);
  else if (auto number = numbers.find(name); number == numbers.end())
    return "expected an option, but got '" + name + "'";
  else if (!parseNumber(value, *number->second))
    return "expected a number from 1 for " + name + ", but got '" + value + "'";
  return {};
}

int parseOptions(int argc, char **argv, Options &options) {
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    if (argument == "--help") {
      std::fputs(help, stdout);
      return 0;
    }
    if (argument == "--version") {
      std::printf("tenon-run %s\n", tenon_version());
      return 0;
    }
    if (argument == "--json" || argument == "--error-on-host-transfer") {
      (argument == "--json" ? options.json : options.refuseHostReads) = true;
      continue;
    }
    if (argument.rfind("--", 0) != 0) {
      if (!options.artifact.empty())
        return usage("expected one artifact, but got '" + options.artifact + "' and '" +
                     argument + "'");
      options.artifact = argument;
      continue;
    }
    size_t equals = argument.find('=');
    std::string name = argument.substr(0, equals);
    if (equals == std::string::npos && i + 1 == argc)
      return usage("expected a known option with a value, but got '" + name + "'");
    std::string value = equals == std::string::npos ? argv[++i] : argument.substr(equals + 1);
    if (std::string problem = setOption(name, value, options); !problem.empty())
      return usage(problem);
  }
  if (options.artifact.empty())
    return usage("expected an artifact");
  return -1;
}

} // namespace tenon::run
