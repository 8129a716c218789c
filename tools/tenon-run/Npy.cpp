// Versions 1 to 3 of the format, little-endian, the types that the runtime has.
#include "tools/tenon-run/Npy.h"

#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <unistd.h>

namespace tenon::run {

[[noreturn]] static void fail(const std::string &path, const std::string &why) {
  throw std::runtime_error("'" + path + "': " + why);
}

/// What follows `key` in the header's dictionary.
static std::string valueOf(const std::string &header, const std::string &key,
                           const std::string &path) {
  size_t at = header.find("'" + key + "'");
  if (at != std::string::npos)
    at = header.find(':', at);
  if (at == std::string::npos)
    fail(path, "expected '" + key + "' in the header");
  at = header.find_first_not_of(' ', at + 1);
  return at == std::string::npos ? "" : header.substr(at);
}

static DLDataType parseType(const std::string &text, const std::string &path) {
  size_t end = text.size() > 1 ? text.find(text[0], 1) : std::string::npos;
  if (end == std::string::npos)
    fail(path, "expected a plain element type");
  std::string descr = text.substr(1, end - 1);
  if (descr.size() != 3 || descr[0] == '>' || descr[2] < '1' || descr[2] > '8')
    fail(path, "expected a little-endian number type, but got '" + descr + "'");
  uint8_t bits = uint8_t((descr[2] - '0') * 8);
  static const std::string codes = "iufb";
  static const uint8_t kinds[] = {kDLInt, kDLUInt, kDLFloat, kDLBool};
  size_t kind = codes.find(descr[1]);
  bool fits = bits == 8 || bits == 16 || bits == 32 || bits == 64;
  if (kind == std::string::npos || !fits || (descr[1] == 'f' && bits == 8) ||
      (descr[1] == 'b' && bits != 8))
    fail(path, "expected int, uint, float or bool, but got '" + descr + "'");
  return {kinds[kind], bits, 1};
}

static std::vector<int64_t> parseShape(const std::string &text, const std::string &path) {
  std::vector<int64_t> shape;
  size_t close = text.find(')');
  if (text.empty() || text[0] != '(' || close == std::string::npos)
    fail(path, "expected a shape in parentheses");
  std::istringstream in(text.substr(1, close - 1));
  for (std::string part; std::getline(in, part, ',');) {
    if (part.find_first_not_of(" L") == std::string::npos)
      continue;
    char *end;
    long long dim = std::strtoll(part.c_str(), &end, 10);
    if (end == part.c_str() || dim < 0)
      fail(path, "expected dimensions of at least 0, but got '" + part + "'");
    shape.push_back(dim);
  }
  return shape;
}

static std::string readHeader(std::istream &in, const std::string &path) {
  unsigned char start[12] = {};
  in.read(reinterpret_cast<char *>(start), 10);
  if (!in || std::memcmp(start, "\x93NUMPY", 6) != 0)
    fail(path, "expected a .npy file");
  uint32_t size = start[8] | uint32_t(start[9]) << 8;
  if (start[6] > 1) {
    in.read(reinterpret_cast<char *>(start) + 10, 2);
    size |= uint32_t(start[10]) << 16 | uint32_t(start[11]) << 24;
  }
  if (!in || size > (1u << 20))
    fail(path, "expected a header of at most a megabyte");
  std::string header(size, ' ');
  in.read(header.data(), size);
  if (!in)
    fail(path, "expected a whole header, but the file ends in it");
  return header;
}

Array readNpy(const std::string &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    fail(path, std::string("cannot open it: ") + std::strerror(errno));
  std::string header = readHeader(in, path);
  Array array{parseType(valueOf(header, "descr", path), path),
              parseShape(valueOf(header, "shape", path), path), {}, {}};
  bool fortran = valueOf(header, "fortran_order", path).rfind("True", 0) == 0;
  array.strides.resize(array.shape.size());
  int64_t count = 1;
  for (size_t i = 0; i < array.shape.size(); ++i) {
    size_t dim = fortran ? i : array.shape.size() - 1 - i;
    array.strides[dim] = count;
    if (__builtin_mul_overflow(count, array.shape[dim], &count))
      fail(path, "expected a shape whose product fits 64 bits");
  }
  std::streamoff begin = in.tellg();
  in.seekg(0, std::ios::end);
  int64_t available = int64_t(in.tellg()) - begin, element = array.dtype.bits / 8;
  if (count > available / element)
    fail(path, "expected " + std::to_string(count) + " elements, but the file has " +
                   std::to_string(available / element));
  in.seekg(begin);
  array.storage.resize(count * element / 8 + 1);
  in.read(reinterpret_cast<char *>(array.bytes()), count * element);
  if (!in)
    fail(path, "cannot read it");
  return array;
}

void writeFile(const std::string &path, const std::string &contents) {
  std::string temporary = path + "." + std::to_string(getpid()) + ".tmp";
  std::ofstream out(temporary, std::ios::binary);
  out.write(contents.data(), contents.size());
  out.close();
  if (!out || std::rename(temporary.c_str(), path.c_str()) != 0) {
    int error = errno;
    unlink(temporary.c_str());
    fail(path, std::string("cannot write it: ") + std::strerror(error));
  }
}

void writeNpy(const std::string &path, const DLTensor &tensor) {
  const char *kind = tensor.dtype.code == kDLInt     ? "i"
                     : tensor.dtype.code == kDLFloat ? "f"
                     : tensor.dtype.code == kDLBool  ? "b"
                                                     : "u";
  int bytes = tensor.dtype.bits / 8;
  int64_t count = 1;
  std::string shape;
  for (int i = 0; i < tensor.ndim; ++i) {
    count *= tensor.shape[i];
    shape += std::to_string(tensor.shape[i]) + (tensor.ndim == 1 || i + 1 < tensor.ndim ? "," : "");
  }
  std::string header = std::string("{'descr': '") + (bytes == 1 ? "|" : "<") + kind +
                       std::to_string(bytes) + "', 'fortran_order': False, 'shape': (" +
                       shape + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  std::string file("\x93NUMPY\x01\x00", 8);
  file += char(header.size() & 255);
  file += char(header.size() >> 8);
  file += header;
  if (count)
    file.append(static_cast<const char *>(tensor.data), count * bytes);
  writeFile(path, file);
}

} // namespace tenon::run
