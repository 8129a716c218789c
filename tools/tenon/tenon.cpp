// All tools in one program, so that a machine that has nothing of ours needs
// one file. Which one it is, its own name says (a link called tenon-run), else
// the first argument.
#include "tools/tenon/Mains.h"

#include <cstdio>
#include <string>

using namespace tenon;

static const char usage[] =
    "usage: tenon compile|inspect|opt|run ARGUMENT...\n"
    "or a link to it: tenon-compile ARGUMENT... and so on\n";

namespace {
struct Tool {
  const char *name;
  int (*run)(int argc, char **argv);
};
} // namespace

static const Tool tools[] = {{"compile", compileMain},
                             {"inspect", inspectMain},
                             {"opt", optMain},
                             {"run", runMain}};

static const Tool *find(const std::string &name) {
  for (const Tool &tool : tools)
    if (name == tool.name || name == std::string("tenon-") + tool.name)
      return &tool;
  return nullptr;
}

int main(int argc, char **argv) {
  std::string called = argc ? argv[0] : "";
  if (const Tool *tool = find(called.substr(called.rfind('/') + 1)))
    return tool->run(argc, argv);
  std::string first = argc > 1 ? argv[1] : "";
  if (const Tool *tool = find(first))
    return tool->run(argc - 1, argv + 1);
  if (first == "--help")
    return std::fputs(usage, stdout) < 0;
  if (!first.empty())
    std::fprintf(stderr, "tenon: expected a tool, but got '%s'\n",
                 first.c_str());
  std::fputs(usage, stderr);
  return 2;
}
