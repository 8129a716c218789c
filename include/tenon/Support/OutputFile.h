#ifndef TENON_SUPPORT_OUTPUTFILE_H
#define TENON_SUPPORT_OUTPUTFILE_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

namespace tenon {

/// Writes `text` to the file `path`, which appears when it is complete and not at
/// all on failure; "-" is the standard output.
llvm::Error writeOutputFile(llvm::StringRef path, llvm::StringRef text);

} // namespace tenon

#endif // TENON_SUPPORT_OUTPUTFILE_H
