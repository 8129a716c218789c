// A raw_fd_ostream that is destroyed with an error ends the process: here it is
// asked before.

#include "tenon/Support/OutputFile.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;

/// The error of what was written so far, if there is one.
static Error takeError(raw_fd_ostream &os) {
  std::error_code code = os.error();
  os.clear_error();
  return errorCodeToError(code);
}

Error tenon::writeOutputFile(StringRef path, StringRef text) {
  if (path == "-") {
    outs() << text;
    outs().flush();
    return takeError(outs());
  }
  // A device or a pipe is written to, not replaced.
  if (sys::fs::exists(path) && !sys::fs::is_regular_file(path)) {
    std::error_code code;
    raw_fd_ostream os(path, code);
    if (code)
      return errorCodeToError(code);
    os << text;
    os.close();
    return takeError(os);
  }
  SmallString<128> temporary;
  int file;
  if (std::error_code code = sys::fs::createUniqueFile(
          path + ".%%%%%%", file, temporary, sys::fs::OF_None,
          sys::fs::all_read | sys::fs::all_write))
    return errorCodeToError(code);
  raw_fd_ostream os(file, /*shouldClose=*/true);
  os << text;
  os.close();
  Error error = takeError(os);
  if (!error)
    error = errorCodeToError(sys::fs::rename(temporary, path));
  if (error)
    sys::fs::remove(temporary);
  return error;
}
