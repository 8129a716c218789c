#ifndef TENON_LIB_TARGET_ARTIFACT_WEIGHTTABLE_H
#define TENON_LIB_TARGET_ARTIFACT_WEIGHTTABLE_H

#include "SectionFile.h"

#include "dialects/Plan/PlanDialect.h"
#include "runtime/format/artifact_generated.h"

#include "llvm/ADT/StringMap.h"

#include <map>
#include <vector>

namespace tenon {

/// The weights of an artifact. Bytes go to the file as weights come, straight
/// from where they are mapped; equal bytes are written once.
class WeightTable {
public:
  WeightTable(SectionFile &file, flatbuffers::FlatBufferBuilder &builder)
      : file(file), builder(builder) {}

  /// The index of a weight, which is written if it is new. A failure is
  /// emitted.
  mlir::FailureOr<uint32_t> add(plan::WeightOp weight);

  const std::vector<flatbuffers::Offset<format::Weight>> &getEntries() const {
    return entries;
  }

private:
  struct Stored {
    llvm::ArrayRef<char> bytes; // before encoding
    llvm::StringRef encoding;
    mlir::RankedTensorType type;
    WrittenSection section;
  };
  const WrittenSection &store(llvm::ArrayRef<char> bytes,
                              llvm::StringRef encoding,
                              mlir::RankedTensorType type);
  std::string getFreeName(llvm::StringRef name);

  SectionFile &file;
  flatbuffers::FlatBufferBuilder &builder;
  std::vector<flatbuffers::Offset<format::Weight>> entries;
  std::multimap<uint64_t, Stored> contents; // by hash
  /// Name, type and place -> index.
  std::map<std::tuple<std::string, const void *, uint64_t>, uint32_t> indices;
  llvm::StringMap<unsigned> names;
};

} // namespace tenon

#endif // TENON_LIB_TARGET_ARTIFACT_WEIGHTTABLE_H
