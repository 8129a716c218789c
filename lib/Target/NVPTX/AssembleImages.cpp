#include "tenon/Target/NVPTX/AssembleImages.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace tenon;

namespace {
/// A file that is gone at the end.
struct TemporaryFile {
  explicit TemporaryFile(StringRef extension) {
    llvm::SmallString<128> name;
    if (!llvm::sys::fs::createTemporaryFile("tenon", extension, name)) {
      path = name.str().str();
      remover.setFile(path);
    }
  }
  std::string path;
  llvm::FileRemover remover;
};

/// What ptxas made of one image; `error` is empty if it did.
struct Assembled {
  std::string cubin, report, error;
};
} // namespace

static std::string readFile(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  return buffer ? (*buffer)->getBuffer().str() : "";
}

/// nvidia/cuda_nvcc/bin (CUDA 12) or nvidia/cu13/bin (13) of the packages of
/// python3.
static std::string findInPython() {
  llvm::ErrorOr<std::string> python = llvm::sys::findProgramByName("python3");
  if (!python)
    return "";
  TemporaryFile output("txt");
  StringRef script =
      "import sysconfig; print(sysconfig.get_paths()['purelib'])";
  StringRef out = output.path;
  llvm::sys::ExecuteAndWait(*python, {*python, "-c", script}, std::nullopt,
                            {StringRef(""), out, StringRef("")});
  std::string folder = StringRef(readFile(output.path)).trim().str();
  for (StringRef package : {"cuda_nvcc", "cu13"}) {
    std::string path = folder + "/nvidia/" + package.str() + "/bin/ptxas";
    if (!folder.empty() && llvm::sys::fs::can_execute(path))
      return path;
  }
  return "";
}

static std::string findPtxas(StringRef ptxas) {
  if (ptxas != "auto")
    return llvm::sys::fs::can_execute(ptxas) ? ptxas.str() : "";
  if (auto found = llvm::sys::findProgramByName("ptxas"))
    return *found;
  constexpr StringLiteral toolkit = "/usr/local/cuda/bin/ptxas";
  return llvm::sys::fs::can_execute(toolkit) ? toolkit.str() : findInPython();
}

/// "ptxas 13.0.88", from the last lines of --version.
static std::string getVersion(StringRef program) {
  TemporaryFile output("txt");
  StringRef out = output.path;
  llvm::sys::ExecuteAndWait(program, {program, "--version"}, std::nullopt,
                            {StringRef(""), out, StringRef("")});
  std::string text = readFile(output.path);
  StringRef version = StringRef(text).split(", V").second;
  return ("ptxas " + version.take_until(llvm::isSpace)).str();
}

static Assembled assemble(StringRef program, StringRef target, StringRef ptx) {
  Assembled result;
  TemporaryFile input("ptx"), output("cubin"), messages("txt");
  std::error_code error;
  {
    llvm::raw_fd_ostream file(input.path, error);
    file << ptx;
  }
  std::string architecture = ("-arch=" + target).str();
  StringRef all = messages.path;
  int status = llvm::sys::ExecuteAndWait(
      program, {program, "-v", architecture, input.path, "-o", output.path},
      std::nullopt, {StringRef(""), all, all}, /*SecondsToWait=*/600);
  result.report = readFile(messages.path);
  result.cubin = readFile(output.path);
  if (status != 0 || result.cubin.empty())
    result.error = result.report.empty() ? "it did not run" : result.report;
  return result;
}

/// The number before `word`, or 0.
static unsigned numberBefore(StringRef text, StringRef word) {
  size_t at = text.find(word);
  if (at == StringRef::npos)
    return 0;
  StringRef before = text.take_front(at).rtrim();
  StringRef digits = before.take_back(
      before.size() - before.find_last_not_of("0123456789") - 1);
  unsigned number = 0;
  (void)digits.getAsInteger(10, number);
  return number;
}

/// Registers and local bytes of each function of a report.
static llvm::StringMap<std::pair<unsigned, unsigned>>
readReport(StringRef report) {
  llvm::StringMap<std::pair<unsigned, unsigned>> facts;
  SmallVector<StringRef> functions;
  report.split(functions, "Compiling entry function '");
  for (StringRef function : llvm::drop_begin(functions)) {
    StringRef name = function.take_until([](char c) { return c == '\''; });
    facts[name] = {numberBefore(function, " registers"),
                   numberBefore(function, " bytes stack frame")};
  }
  return facts;
}

/// Assembles all images of a target, some at a time; the first error, or
/// nothing.
static std::string
assembleTarget(GPUImages &images, StringRef program,
               llvm::StringMap<std::pair<unsigned, unsigned>> &facts) {
  std::vector<Assembled> results(images.images.size());
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency());
  for (size_t i = 0; i < results.size(); ++i)
    pool.async([&, i] {
      results[i] = assemble(program, images.target.name, images.images[i]);
    });
  pool.wait();
  for (auto [image, result] : llvm::zip(images.images, results)) {
    if (!result.error.empty())
      return result.error;
    for (auto &entry : readReport(result.report))
      facts[entry.first()] = entry.second;
    image = std::move(result.cubin);
  }
  images.form = format::CodeForm::cubin;
  images.assembler = getVersion(program);
  // Drivers of an older major version may not read what this ptxas writes.
  unsigned major = 0;
  (void)StringRef(images.assembler)
      .split(' ')
      .second.split('.')
      .first.getAsInteger(10, major);
  images.target.driver = std::max(images.target.driver, major * 1000);
  return "";
}

LogicalResult tenon::assembleImages(GPUCode &code, StringRef ptxas,
                                    Location loc) {
  std::string program = findPtxas(ptxas);
  if (program.empty())
    return emitError(loc) << "expected a ptxas to run, but found none at '"
                          << ptxas << "'";
  for (auto [index, images] : llvm::enumerate(code.targets)) {
    if (!images.target.isExact)
      continue;
    llvm::StringMap<std::pair<unsigned, unsigned>> facts;
    std::string error = assembleTarget(images, program, facts);
    if (!error.empty())
      return emitError(loc) << "expected " << program
                            << " to assemble kernels, but got: " << error;
    for (auto &[name, kernel] : code.kernels)
      for (auto &stage : kernel.codes[index].stages)
        std::tie(stage->registers, stage->local_bytes) =
            facts.lookup(stage->symbol);
  }
  return success();
}
