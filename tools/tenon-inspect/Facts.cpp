// Names, ranges, expressions and sums.
#include "tools/tenon-inspect/Facts.h"

#include "runtime/core/Expressions.h"
#include "runtime/support/Failure.h"
#include "tools/tenon-inspect/Report.h"

#include <set>

namespace tenon::inspect {

using rt::concat;
using rt::ExprOp;

// Text that is longer than this is cut: a pool can share nodes without bound.
static constexpr size_t longest = 400;

static int precedence(ExprOp op) {
  switch (op) {
  case ExprOp::add:
    return 1;
  case ExprOp::mul:
  case ExprOp::floordiv:
  case ExprOp::ceildiv:
  case ExprOp::mod:
    return 2;
  default:
    return 3;
  }
}

static std::string print(const rt::Program &program, uint32_t index, int outer, int depth) {
  const rt::Expr &expr = program.exprs[index];
  if (expr.op == ExprOp::constant)
    return concat(expr.value);
  if (expr.op == ExprOp::symbol)
    return std::string(program.symbols[expr.value].name);
  if (depth > 12)
    return "...";
  int own = precedence(expr.op);
  std::string a = print(program, expr.a, own, depth + 1);
  std::string b = print(program, expr.b, own + 1, depth + 1);
  std::string text;
  switch (expr.op) {
  case ExprOp::add:
    text = a + " + " + b;
    break;
  case ExprOp::mul:
    text = a + " * " + b;
    break;
  case ExprOp::floordiv:
    text = a + " floordiv " + b;
    break;
  case ExprOp::ceildiv:
    text = a + " ceildiv " + b;
    break;
  case ExprOp::mod:
    text = a + " mod " + b;
    break;
  default:
    text = concat(expr.op == ExprOp::min ? "min(" : "max(", a, ", ", b, ")");
  }
  if (text.size() > longest)
    text = text.substr(0, longest) + "...";
  return own < outer ? "(" + text + ")" : text;
}

std::string printExpr(const rt::Program &program, uint32_t expr) {
  return print(program, expr, 0, 0);
}

const char *residencyName(rt::Residency residency) {
  return format::EnumNameResidency(residency);
}

std::string printRange(const rt::Symbol &symbol) {
  return concat(symbol.min, "..", symbol.max == -1 ? "" : concat(symbol.max));
}

std::string printDims(const rt::Program &program, const std::vector<uint32_t> &dims) {
  std::string text;
  for (uint32_t dim : dims)
    text += concat(text.empty() ? "" : ", ", printExpr(program, dim));
  return "[" + text + "]";
}

/// Of a tensor [batch, heads, tokens, width] or [pages, heads, tokens, width].
static int64_t bytesPerRow(const rt::Program &program, const std::vector<uint32_t> &dims,
                           rt::ElementType type) {
  int64_t bytes = rt::elementBytes(type);
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    const rt::Expr &expr = program.exprs[dims[axis]];
    if (axis == 0 || axis == 2)
      continue;
    if (expr.op != ExprOp::constant || __builtin_mul_overflow(bytes, expr.value, &bytes))
      return -1;
  }
  return bytes;
}

int64_t bytesPerToken(const rt::Program &program, const rt::Cache &cache) {
  int64_t sum = 0;
  if (cache.isRecurrent)
    return 0;
  auto add = [&](const std::vector<uint32_t> &dims, rt::ElementType type) {
    int64_t bytes = bytesPerRow(program, dims, type);
    sum = sum < 0 || bytes < 0 ? -1 : sum + bytes;
  };
  for (uint32_t input : cache.inputs)
    add(program.inputs[input].dims, program.inputs[input].type);
  for (const rt::StateTensor &state : program.states)
    if (&program.caches[state.cache] == &cache)
      add(program.values[state.value].dims, program.values[state.value].type);
  return sum;
}

int64_t bytesPerToken(const rt::Program &program) {
  int64_t sum = 0;
  for (const rt::Cache &cache : program.caches) {
    int64_t bytes = bytesPerToken(program, cache);
    sum = sum < 0 || bytes < 0 ? -1 : sum + bytes;
  }
  return sum;
}

size_t countSteps(const rt::Program &program) {
  return program.launches.size() + program.hostTensors.size() + program.copies.size() +
         program.reads.size() + program.branches.size() + program.loops.size();
}

uint64_t imageBytes(const rt::Code &code) {
  uint64_t bytes = 0;
  for (const rt::Section &image : code.images)
    bytes += image.size;
  return bytes;
}

uint64_t storedWeightBytes(const rt::Artifact &artifact) {
  std::set<uint64_t> seen;
  uint64_t bytes = 0;
  for (const rt::WeightInfo &weight : artifact.weights)
    if (seen.insert(weight.section.offset).second)
      bytes += weight.section.size;
  return bytes;
}

uint64_t modelWeightBytes(const rt::Artifact &artifact) {
  uint64_t bytes = 0;
  for (const rt::WeightInfo &weight : artifact.weights) {
    int64_t own;
    if (rt::byteSize(weight.dims, rt::elementBytes(weight.type), own))
      bytes += own;
  }
  return bytes;
}

} // namespace tenon::inspect
