// Builds artifacts for the tests, with the schema's object API: a test makes a
// program, changes what its claim is about, and writes the file.
#ifndef TENON_TEST_RUNTIME_ARTIFACTBUILDER_H
#define TENON_TEST_RUNTIME_ARTIFACTBUILDER_H

#include "runtime/format/artifact_generated.h"

#include <memory>
#include <string>
#include <vector>

namespace tenon::test {

using format::ElementType;
using format::ExprOp;
using format::Storage;
using Bytes = std::vector<uint8_t>;

/// Adds to one program; the results are indices.
class ProgramBuilder {
public:
  explicit ProgramBuilder(format::ProgramT &program) : program(program) {}

  uint32_t constant(int64_t value) { return node(ExprOp::constant, 0, 0, value); }
  uint32_t node(ExprOp op, uint32_t a, uint32_t b, int64_t value = 0);
  /// A new symbol; the result is the expression that names it.
  uint32_t symbol(const std::string &name, int64_t min = 0, int64_t max = -1,
                  format::Residency residency = format::Residency::bound);
  uint32_t dataSymbol(const std::string &name, int64_t max = -1) {
    return symbol(name, 0, max, format::Residency::data);
  }

  uint32_t input(const std::string &name, ElementType type, std::vector<uint32_t> dims);
  uint32_t output(const std::string &name, ElementType type, std::vector<uint32_t> dims);
  uint32_t weight(uint32_t index, ElementType type, std::vector<uint32_t> dims);
  /// `offset` is an expression.
  uint32_t arena(ElementType type, std::vector<uint32_t> dims, uint32_t offset);
  uint32_t view(uint32_t source, ElementType type, std::vector<uint32_t> dims);
  uint32_t heap(ElementType type, std::vector<uint32_t> dims, uint32_t block);
  /// A tensor of the session's, of cache number `cache`.
  uint32_t state(const std::string &name, ElementType type, std::vector<uint32_t> dims,
                 uint32_t cache);

  format::ProgramT &program;

private:
  uint32_t value(const std::string &name, ElementType type, std::vector<uint32_t> dims,
                 Storage storage, uint32_t index, uint32_t offset);
};

using Steps = std::vector<std::unique_ptr<format::StepT>>;
void launch(Steps &steps, uint32_t kernel, std::vector<uint32_t> buffers,
            std::vector<uint32_t> symbols, uint32_t grid, uint32_t workspace,
            const std::string &node);
template <typename Action>
void add(Steps &steps, Action action) {
  auto step = std::make_unique<format::StepT>();
  step->action.Set(std::move(action));
  steps.push_back(std::move(step));
}

/// A manifest with the code of Kernels.c and an entry "main" with one program.
struct Model {
  Model();
  /// Index of a kernel by its symbol.
  uint32_t kernel(const std::string &symbol);
  uint32_t addWeight(const std::string &name, ElementType type, std::vector<int64_t> dims,
                     Bytes bytes);
  format::ProgramT &program(size_t index = 0) { return *manifest.entries[0]->programs[index]; }

  /// The file's bytes, all hashes right.
  Bytes serialize();
  /// Writes them to a fresh file, which the process removes at its end.
  std::string write() { return writeFile(serialize()); }
  static std::string writeFile(const Bytes &bytes);

  format::ManifestT manifest;
  Bytes code;                // of each code for the CPU
  std::vector<Bytes> images; // of each code for cuda
  std::vector<Bytes> weights;
};

/// `file` (room for the header, then sections) with the manifest and the header.
Bytes finish(const format::ManifestT &manifest, Bytes file);

/// Bytes of a vector's elements.
template <typename T>
Bytes bytesOf(const std::vector<T> &values) {
  auto *begin = reinterpret_cast<const uint8_t *>(values.data());
  return Bytes(begin, begin + values.size() * sizeof(T));
}

/// y = (x + x) * w over symbol n in 1..64; w is a scalar weight of value 3.
Model makeScaleModel();
/// y = x + x over any n.
Model makeTwiceModel();

} // namespace tenon::test

#endif // TENON_TEST_RUNTIME_ARTIFACTBUILDER_H
