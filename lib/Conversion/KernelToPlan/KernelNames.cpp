// Names kernels after what they compute, so that a profile or a disassembly can be
// read. The grammar is in the description of outline-kernels.

#include "KernelNames.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace tenon;

/// "arith.addf" -> "add"; "math.exp" -> "exp"; "linalg.batch_matmul" -> same.
static StringRef getShortName(Operation *op) {
  static const llvm::StringSet<> typed = {
      "addf",  "addi",  "subf",     "subi",     "mulf",     "muli",    "divf",
      "divsi", "divui", "maximumf", "minimumf", "maxnumf",  "minnumf", "maxsi",
      "maxui", "minsi", "minui",    "cmpf",     "cmpi",     "negf",    "remf",
      "remsi", "remui", "absf",     "absi",     "powf",     "fpowi",   "ipowi",
      "andi",  "ori",   "xori"};
  StringRef name = op->getName().stripDialect();
  if (!typed.contains(name))
    return name;
  for (StringRef suffix : {"si", "ui", "f", "i"})
    if (name.consume_back(suffix))
      return name;
  return name;
}

/// Whether an operation says little about what a kernel computes.
static bool isMinor(StringRef name) {
  static const llvm::StringSet<> minor = {
      "yield",  "constant", "fill",    "index",         "index_cast",
      "symbol", "dim",      "cast",    "extract_slice", "insert_slice",
      "empty",  "extf",     "truncf",  "extract",       "expand_shape",
      "cmp",    "extsi",    "extui",   "collapse_shape", "if",
      "for",    "apply",    "bitcast", "trunci",        "copy"};
  return minor.contains(name);
}

static std::string getTypeName(Type type) {
  std::string text;
  llvm::raw_string_ostream(text) << getElementTypeOrSelf(type);
  for (char &letter : text)
    if (!llvm::isAlnum(letter))
      letter = '_';
  return text;
}

std::string tenon::getKernelBaseName(kernel::LaunchOp launch) {
  SmallVector<StringRef> names;
  StringRef fallback = "move";
  launch.getBody().walk([&](Operation *op) {
    StringRef name = getShortName(op);
    if (name == "generic" || isMinor(name) || llvm::is_contained(names, name))
      return;
    names.push_back(name);
  });
  if (names.empty())
    names.push_back(fallback);
  if (names.size() > 3) {
    names.truncate(3);
    names.push_back("more");
  }
  TypeRange results = launch.getResultTypes();
  TypeRange types =
      results.empty() ? TypeRange(launch.getInputs().getTypes()) : results;
  std::string base = llvm::join(names, "_");
  for (char &letter : base)
    if (!llvm::isAlnum(letter))
      letter = '_';
  return types.empty() ? base : base + "_" + getTypeName(types.front());
}
