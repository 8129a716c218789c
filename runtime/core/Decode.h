// From a verified FlatBuffer to checked vectors: what the schema cannot say of an
// artifact is checked here, once, so that the executor need not.
#ifndef TENON_RUNTIME_CORE_DECODE_H
#define TENON_RUNTIME_CORE_DECODE_H

#include "runtime/core/Artifact.h"

namespace tenon::rt {

/// Counts what decoding makes. FlatBuffers may share one vector many times, so
/// that a small hostile file could grow without bound.
class DecodeBudget {
public:
  explicit DecodeBudget(uint64_t elements) : left(elements) {}
  void spend(uint64_t elements);

private:
  uint64_t left;
};

/// Fills codes, kernels, weights and entries of `artifact`.
void decodeManifest(const format::Manifest &manifest, Artifact &artifact);

/// The codes; the kernels are there already.
void decodeCodes(const format::Manifest &manifest, Artifact &artifact, DecodeBudget &budget);

Section decodeSection(const format::Section *section, uint64_t fileSize,
                      const std::string &where);

/// Decodes an expression pool over `numSymbols` symbols; `where` names it.
std::vector<Expr> decodeExprs(const flatbuffers::Vector<const format::Expr *> *exprs,
                              size_t numSymbols, const std::string &where,
                              DecodeBudget &budget);

Program decodeProgram(const format::Program &program, const Artifact &artifact,
                      const std::string &where, DecodeBudget &budget);

/// A null string is empty.
inline std::string_view view(const flatbuffers::String *string) {
  return string ? std::string_view(string->c_str(), string->size())
                : std::string_view();
}
inline std::vector<std::string_view>
views(const flatbuffers::Vector<flatbuffers::Offset<flatbuffers::String>> *strings) {
  std::vector<std::string_view> result;
  for (uint32_t i = 0; strings && i < strings->size(); ++i)
    result.push_back(view(strings->Get(i)));
  return result;
}
template <typename Vector>
size_t sizeOf(const Vector *vector) {
  return vector ? vector->size() : 0;
}

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_DECODE_H
