// Writes the tests' artifacts to a folder, for tests in other languages.
#include "test/runtime/ArtifactBuilder.h"
#include "test/runtime/cuda/CudaModels.h"

#include <cstdio>
#include <fstream>

using namespace tenon::test;

static bool save(const std::string &path, const Bytes &bytes) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  return bool(out.flush());
}

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: tenon-test-artifacts DIR\n");
    return 2;
  }
  std::string folder = argv[1];
  bool saved = save(folder + "/scale.tenon", makeScaleModel().serialize()) &&
               save(folder + "/twice.tenon", makeTwiceModel().serialize()) &&
               save(folder + "/scale-cuda.tenon", makeCudaScaleModel().serialize()) &&
               save(folder + "/scale-both.tenon", makeScaleModelForBoth().serialize());
  return saved ? 0 : 1;
}
