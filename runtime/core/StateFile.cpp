// States in a file: a header, then each cache and tensor. Written beside its name and
// renamed; read with every size checked against what the file has.
#include "runtime/core/States.h"

#include "runtime/core/Expressions.h"
#include "runtime/support/Failure.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <unistd.h>

namespace tenon::rt {

static constexpr char stateMagic[8] = {'T', 'E', 'N', 'O', 'N', 'K', 'V', '2'};
static constexpr char oldMagic[8] = {'T', 'E', 'N', 'O', 'N', 'K', 'V', '1'};

namespace {
class Writer {
public:
  explicit Writer(const std::string &path)
      : path(path), part(concat(path, ".part", getpid())), file(std::fopen(part.c_str(), "wb")) {
    if (!file)
      fail(Status::file, "'", part, "': cannot write it: ", std::strerror(errno));
  }
  ~Writer() {
    if (file) {
      std::fclose(file);
      std::remove(part.c_str());
    }
  }
  void bytes(const void *data, size_t size) {
    if (size && std::fwrite(data, 1, size, file) != size)
      fail(Status::file, "'", part, "': cannot write it: ", std::strerror(errno));
  }
  void number(int64_t value) { bytes(&value, sizeof(value)); }
  void text(const std::string &value) {
    number(value.size());
    bytes(value.data(), value.size());
  }
  void finish() {
    std::FILE *done = file;
    file = nullptr;
    if (std::fclose(done) != 0 || std::rename(part.c_str(), path.c_str()) != 0) {
      std::remove(part.c_str());
      fail(Status::file, "'", path, "': cannot write it: ", std::strerror(errno));
    }
  }

private:
  const std::string path, part;
  std::FILE *file;
};

class Reader {
public:
  explicit Reader(const std::string &path) : path(path), file(std::fopen(path.c_str(), "rb")) {
    if (!file)
      fail(Status::file, "'", path, "': cannot read it: ", std::strerror(errno));
    std::fseek(file, 0, SEEK_END);
    left = std::ftell(file);
    std::rewind(file);
  }
  ~Reader() { std::fclose(file); }
  void bytes(void *data, int64_t size) {
    if (size < 0 || size > left || std::fread(data, 1, size, file) != size_t(size))
      fail(Status::corrupt, "'", path, "': expected ", size, " bytes more, but got ", left);
    left -= size;
  }
  int64_t number(int64_t largest) {
    int64_t value;
    bytes(&value, sizeof(value));
    if (value < 0 || value > largest)
      fail(Status::corrupt, "'", path, "': expected a number up to ", largest, ", but got ",
           value);
    return value;
  }
  std::string text() {
    std::string value(number(left), ' ');
    bytes(value.data(), value.size());
    return value;
  }
  int64_t rest() const { return left; }

private:
  const std::string &path;
  std::FILE *file;
  int64_t left;
};

void write(Writer &writer, const Memory &memory, int64_t size, bool isOnHost) {
  std::vector<uint8_t> bytes(isOnHost ? 0 : size);
  if (!isOnHost)
    memory.read(bytes.data(), 0, size);
  writer.bytes(isOnHost ? memory.data() : bytes.data(), size);
}

void read(Reader &reader, Memory &memory, int64_t size, bool isOnHost) {
  std::vector<uint8_t> bytes(isOnHost ? 0 : size);
  reader.bytes(isOnHost ? memory.data() : bytes.data(), size);
  if (!isOnHost)
    memory.write(0, bytes.data(), size);
}
} // namespace

void States::save(const std::string &path) const {
  Writer writer(path);
  writer.bytes(stateMagic, sizeof(stateMagic));
  writer.number(currentRoom);
  writer.number(caches.size());
  for (const auto &[name, cache] : caches) {
    writer.text(name);
    for (int64_t value : {cache.length, int64_t(cache.isCounted), int64_t(cache.hasCapacity),
                          int64_t(cache.isUsed), int64_t(cache.isRecurrent),
                          int64_t(cache.isTorn), cache.budget, cache.at})
      writer.number(value);
  }
  writer.number(tensors.size());
  for (const auto &[name, tensor] : tensors) {
    writer.text(name);
    writer.text(tensor.cache);
    writer.number(int64_t(tensor.type));
    writer.number(tensor.batch);
    writer.number(tensor.dims.size());
    for (int64_t dim : tensor.dims)
      writer.number(dim);
    write(writer, tensor.memory, tensor.bytes, !space);
    writer.number(tensor.snapshots.size());
    for (const Snapshot &snapshot : tensor.snapshots) {
      writer.number(snapshot.at);
      write(writer, snapshot.value, tensor.bytes, !space);
    }
  }
  writer.number(numCalls);
  writer.finish();
}

void States::load(const std::string &path) {
  constexpr int64_t most = int64_t(1) << 40;
  Reader reader(path);
  char magic[sizeof(stateMagic)];
  reader.bytes(magic, sizeof(magic));
  bool isOld = std::memcmp(magic, oldMagic, sizeof(magic)) == 0;
  if (!isOld && std::memcmp(magic, stateMagic, sizeof(magic)) != 0)
    fail(Status::corrupt, "'", path, "': expected a file of a session's states");
  int64_t room = reader.number(most);
  if (capacity > 0 && room > capacity)
    fail(Status::input, "'", path, "': expected at most the ", capacity,
         " rows of this session's capacity, but the states have room for ", room);
  States fresh(0, space);
  fresh.currentRoom = std::max(room, currentRoom);
  for (int64_t i = reader.number(reader.rest()); i > 0; --i) {
    Cache &cache = fresh.caches[reader.text()];
    cache.length = reader.number(most);
    cache.isCounted = reader.number(1);
    cache.hasCapacity = reader.number(1);
    cache.isUsed = reader.number(1);
    if (isOld)
      continue;
    cache.isRecurrent = reader.number(1);
    cache.isTorn = reader.number(1);
    cache.budget = reader.number(most);
    cache.at = reader.number(most);
  }
  for (int64_t i = reader.number(reader.rest()); i > 0; --i) {
    Tensor &tensor = fresh.tensors[reader.text()];
    tensor.cache = reader.text();
    tensor.type = ElementType(reader.number(255));
    tensor.batch = isOld ? 0 : reader.number(15);
    for (int64_t rank = reader.number(16); rank > 0; --rank)
      tensor.dims.push_back(reader.number(most));
    if (!elementBytes(tensor.type) || tensor.batch >= tensor.dims.size() ||
        !byteSize(tensor.dims, elementBytes(tensor.type), tensor.bytes) ||
        tensor.bytes > reader.rest() || !fresh.caches.count(tensor.cache))
      fail(Status::corrupt, "'", path, "': expected tensors whose bytes it holds");
    tensor.memory = allocate(tensor.bytes);
    read(reader, tensor.memory, tensor.bytes, !space);
    for (int64_t n = isOld ? 0 : reader.number(reader.rest()); n > 0; --n) {
      tensor.snapshots.push_back({reader.number(most), allocate(tensor.bytes)});
      read(reader, tensor.snapshots.back().value, tensor.bytes, !space);
    }
  }
  fresh.numCalls = isOld ? 0 : reader.number(most);
  tensors = std::move(fresh.tensors);
  caches = std::move(fresh.caches);
  currentRoom = fresh.currentRoom;
  numCalls = fresh.numCalls;
}

} // namespace tenon::rt
