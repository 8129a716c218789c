// Evaluates pools of shape expressions. A fault (overflow, division by zero, a
// symbol that is not known yet) stays with the expression until someone needs it:
// the branch that is not taken may hold a faulty one.
#ifndef TENON_RUNTIME_CORE_EXPRESSIONS_H
#define TENON_RUNTIME_CORE_EXPRESSIONS_H

#include "runtime/core/Program.h"

#include <cstdint>
#include <vector>

namespace tenon::rt {

enum class Fault : uint8_t { none, unknownSymbol, overflow, divisionByZero };

/// "overflows", ...: what to print of a fault.
const char *describeFault(Fault fault);

struct Evaluated {
  int64_t value = 0;
  Fault fault = Fault::unknownSymbol;
};

/// Evaluates one node; its operands stand in `results`, symbols in `symbols`.
Evaluated evaluate(const Expr &expr, const std::vector<Evaluated> &results,
                   const Evaluated *symbols);

/// Product of `dims` and `elementBytes`; false where it overflows or a
/// dimension is negative.
bool byteSize(const std::vector<int64_t> &dims, unsigned elementBytes, int64_t &bytes);

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_EXPRESSIONS_H
