// A file is named by the hash of the text, the architecture and the driver; its header
// tells damage. Written beside its name and renamed, so that processes can share it.
#include "runtime/cuda/CubinCache.h"

#include "runtime/format/Hash.h"
#include "runtime/support/Failure.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace tenon::rt::cuda {

namespace {
struct CubinHeader {
  char magic[8];
  uint64_t size, hash; // of what follows
};
} // namespace
static constexpr char cubinMagic[8] = {'T', 'E', 'N', 'O', 'N', 'S', 'M', '1'};

static std::string chooseFolder() {
  if (const char *given = std::getenv("TENON_CUDA_CACHE"))
    return std::strcmp(given, "off") == 0 ? "" : given;
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::string(cache) + "/tenon";
  if (const char *home = std::getenv("HOME"); home && *home)
    return std::string(home) + "/.cache/tenon";
  return "";
}

CubinCache::CubinCache(const GpuFacts &facts)
    : folder(chooseFolder()), suffix(concat("-sm_", facts.capability, "-", facts.driver)) {}

std::string CubinCache::pathOf(const std::string &ptx) const {
  XXH128_hash_t hash = XXH3_128bits(ptx.data(), ptx.size());
  char digits[40];
  std::snprintf(digits, sizeof(digits), "%016llx%016llx",
                static_cast<unsigned long long>(hash.high64),
                static_cast<unsigned long long>(hash.low64));
  return concat(folder, "/", digits, suffix, ".cubin");
}

std::optional<std::string> CubinCache::find(const std::string &ptx) const {
  if (folder.empty())
    return std::nullopt;
  std::ifstream in(pathOf(ptx), std::ios::binary);
  CubinHeader header;
  if (!in.read(reinterpret_cast<char *>(&header), sizeof(header)) ||
      std::memcmp(header.magic, cubinMagic, sizeof(cubinMagic)) != 0)
    return std::nullopt;
  std::string cubin(std::istreambuf_iterator<char>(in), {});
  if (cubin.size() != header.size ||
      format::hashBytes(cubin.data(), cubin.size()) != header.hash)
    return std::nullopt;
  return cubin;
}

void CubinCache::store(const std::string &ptx, const std::string &cubin) const {
  if (folder.empty())
    return;
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  static std::atomic<unsigned> count{0};
  std::string path = pathOf(ptx), part = concat(path, ".part", getpid(), "-", count++);
  CubinHeader header;
  std::memcpy(header.magic, cubinMagic, sizeof(cubinMagic));
  header.size = cubin.size();
  header.hash = format::hashBytes(cubin.data(), cubin.size());
  std::ofstream out(part, std::ios::binary);
  out.write(reinterpret_cast<const char *>(&header), sizeof(header));
  out.write(cubin.data(), cubin.size());
  out.close();
  if (!out || std::rename(part.c_str(), path.c_str()) != 0)
    std::remove(part.c_str());
}

} // namespace tenon::rt::cuda
