// What both reports are made of.
#ifndef TENON_TOOLS_TENON_INSPECT_FACTS_H
#define TENON_TOOLS_TENON_INSPECT_FACTS_H

#include "runtime/core/Artifact.h"

#include <string>

namespace tenon::inspect {

/// "bound", "step" or "data".
const char *residencyName(rt::Residency residency);
/// "1..2048", "0..".
std::string printRange(const rt::Symbol &symbol);
/// "[batch, 4 * seq]"
std::string printDims(const rt::Program &program, const std::vector<uint32_t> &dims);
/// Bytes that a token of a sequence takes in a cache; -1 where sizes are not known.
int64_t bytesPerToken(const rt::Program &program, const rt::Cache &cache);
/// The same of all caches; 0 where there are none.
int64_t bytesPerToken(const rt::Program &program);
/// Steps of all kinds, those inside If and Loop included.
size_t countSteps(const rt::Program &program);
/// Bytes of a code's images together.
uint64_t imageBytes(const rt::Code &code);
/// Bytes of all weights, each section once.
uint64_t storedWeightBytes(const rt::Artifact &artifact);
/// Bytes of all weights as the model has them.
uint64_t modelWeightBytes(const rt::Artifact &artifact);

} // namespace tenon::inspect

#endif // TENON_TOOLS_TENON_INSPECT_FACTS_H
