// Where external data may be. A model cannot name files outside its folder.

#include "SlimModel.h"
#include "TensorImport.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace llvm;
using namespace tenon::import;

/// The real path of `folder` with a final slash, or "".
static std::string realFolder(StringRef folder) {
  SmallString<256> real;
  if (sys::fs::real_path(folder.empty() ? "." : folder, real))
    return "";
  if (!StringRef(real).ends_with("/"))
    real += '/';
  return std::string(real);
}

ModelFile::ModelFile(StringRef path) : path(path) {
  folder = sys::path::parent_path(path).str();
  allowed.push_back(realFolder(folder));
  // Model caches keep links; both ends of the model's own link are its folder.
  SmallString<256> real;
  if (!sys::fs::real_path(path, real))
    allowed.push_back(realFolder(sys::path::parent_path(real)));
}

Expected<std::string> ModelFile::resolve(StringRef location) const {
  if (location == kModelItself)
    return path;
  auto refuse = [&](const char *reason) {
    return createStringError("expected external data in the model's folder, but "
                             "got location '%s', which %s",
                             location.str().c_str(), reason);
  };
  if (location.empty() || location.contains('\0'))
    return refuse("is no file name");
  if (sys::path::is_absolute(location))
    return refuse("is absolute");
  for (StringRef part : make_range(sys::path::begin(location),
                                   sys::path::end(location)))
    if (part == "..")
      return refuse("contains '..'");

  SmallString<256> joined(folder);
  sys::path::append(joined, location);
  SmallString<256> real;
  if (std::error_code code = sys::fs::real_path(joined, real))
    return createStringError(code, "cannot open external data '%s': %s",
                             joined.c_str(), code.message().c_str());
  for (const std::string &prefix : allowed)
    if (!prefix.empty() && StringRef(real).starts_with(prefix))
      return std::string(joined);
  return refuse("is a link out of it");
}
