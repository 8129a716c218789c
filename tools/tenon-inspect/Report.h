// What tenon-inspect says of an artifact, for people and as JSON.
#ifndef TENON_TOOLS_TENON_INSPECT_REPORT_H
#define TENON_TOOLS_TENON_INSPECT_REPORT_H

#include "runtime/core/Artifact.h"
#include "tools/tenon-inspect/Machine.h"

#include <string>

namespace tenon::inspect {

/// An expression as text over the symbols' names, such as "4 * seq + 64".
std::string printExpr(const rt::Program &program, uint32_t expr);

std::string reportAsText(const rt::Artifact &artifact, const Machine &machine);
std::string reportAsJson(const rt::Artifact &artifact, const Machine &machine);

} // namespace tenon::inspect

#endif // TENON_TOOLS_TENON_INSPECT_REPORT_H
