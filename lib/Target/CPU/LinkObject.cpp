// lld as a library. It reads and writes files, so objects pass through a
// temporary folder.

#include "EmitObject.h"

#include "mlir/IR/Diagnostics.h"
#include "lld/Common/Driver.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>

LLD_HAS_DRIVER(elf)

using namespace mlir;
using namespace tenon;

namespace {
/// A folder that goes when its scope ends.
class TemporaryFolder {
public:
  TemporaryFolder() {
    failed = bool(llvm::sys::fs::createUniqueDirectory("tenon", path));
  }
  ~TemporaryFolder() {
    if (!failed)
      llvm::sys::fs::remove_directories(path);
  }
  std::string file(const llvm::Twine &name) const {
    llvm::SmallString<128> result(path);
    llvm::sys::path::append(result, name);
    return std::string(result);
  }
  bool failed;

private:
  llvm::SmallString<128> path;
};
} // namespace

static bool writeFile(const std::string &path, llvm::ArrayRef<char> bytes) {
  std::error_code error;
  llvm::raw_fd_ostream file(path, error);
  if (error)
    return false;
  file.write(bytes.data(), bytes.size());
  file.close();
  return !file.has_error();
}

FailureOr<std::vector<char>>
tenon::linkSharedObject(ArrayRef<Object> objects, Location loc) {
  static std::mutex mutex; // lld has global state
  std::lock_guard<std::mutex> lock(mutex);
  TemporaryFolder folder;
  if (folder.failed)
    return emitError(loc, "expected a writable temporary folder");
  std::string output = folder.file("kernels.so");
  std::vector<std::string> arguments = {
      "ld.lld",      "-shared",       "-nostdlib",    "--no-undefined",
      "-Bsymbolic",  "--gc-sections", "--build-id=none", "--hash-style=gnu",
      "-z",          "noexecstack",   "-z",           "now",
      "--threads=1", "-o",            output};
  for (auto [index, object] : llvm::enumerate(objects)) {
    arguments.push_back(folder.file("kernels" + llvm::Twine(index) + ".o"));
    if (!writeFile(arguments.back(), object))
      return emitError(loc, "expected to write '") << arguments.back() << "'";
  }
  std::vector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());
  std::string messages;
  llvm::raw_string_ostream stream(messages);
  lld::Result result = lld::lldMain(pointers, llvm::nulls(), stream,
                                    {{lld::Gnu, &lld::elf::link}});
  if (result.retCode != 0)
    return emitError(loc, "expected kernels to link, but got: ") << messages;
  auto buffer = llvm::MemoryBuffer::getFile(output, false, false);
  if (!buffer)
    return emitError(loc, "expected to read '") << output << "'";
  return std::vector<char>((*buffer)->getBufferStart(),
                           (*buffer)->getBufferEnd());
}
