// A manifest in the form that the executor walks: plain vectors whose indices
// have all been checked. Strings point into the manifest that the artifact keeps.
#ifndef TENON_RUNTIME_CORE_PROGRAM_H
#define TENON_RUNTIME_CORE_PROGRAM_H

#include "runtime/format/artifact_generated.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon::rt {

using format::ElementType;
using format::ExprOp;
using format::Residency;
using format::Storage;

/// Bytes of one element; 0 for a type that this runtime does not know.
unsigned elementBytes(ElementType type);
/// The same in bits; weights have types of less than 8.
unsigned elementBits(ElementType type);
/// "f32", "bool", ...
const char *elementName(ElementType type);

struct Expr {
  ExprOp op;
  uint32_t a, b; // earlier nodes
  int64_t value; // constant, or the symbol's index
};

struct Symbol {
  std::string_view name;
  int64_t min, max; // max == -1: no bound
  Residency residency;
};

struct Value {
  std::string_view name;
  ElementType type;
  Storage storage;
  std::vector<uint32_t> dims;
  uint32_t index;
  uint32_t offset;
  uint32_t root; // the value that owns the bytes: the end of the chain of views
};

struct Launch {
  uint32_t kernel;
  std::vector<uint32_t> buffers, symbols;
  uint32_t grid, workspace, results;
  std::string_view node;
};

struct HostTensor {
  uint32_t value;
  std::vector<uint32_t> elements;
};

struct Copy {
  uint32_t source, target;
};

struct Insert {
  uint32_t source, target, offset;
};

struct ReadSymbol {
  uint32_t value, element, symbol;
};

struct Check {
  uint32_t a, b;
  format::SizeRelation relation;
  std::string_view node;
};

enum class StepKind : uint8_t {
  launch, hostTensor, copy, insert, readSymbol, check, branch, loop
};

/// One step: an entry of the program's table for its kind.
struct Step {
  StepKind kind;
  uint32_t index;
};

/// The values that are an ONNX node's results.
struct NodeResults {
  std::string_view node;
  std::vector<uint32_t> values;
};

struct Branch {
  uint32_t condition;
  std::vector<Step> thenSteps, elseSteps;
  NodeResults results;
};

struct Loop {
  uint32_t condition, tripCount, counter;
  bool hasCondition, hasTripCount;
  std::vector<Step> body;
  NodeResults results;
};

struct Signature {
  std::string_view name;
  ElementType type;
  std::vector<uint32_t> dims;
  uint32_t value;
};

/// A tensor that the session keeps; its value has storage state.
struct StateTensor {
  std::string_view name;
  uint32_t value, cache, batch; // a value, a cache and a dimension
  std::string_view replacesInput, replacesOutput;
  std::vector<std::string_view> sharedInputs, sharedOutputs;
};

/// What states hold rows of, along dimension 2.
struct Cache {
  std::string_view name;
  bool hasLength, hasNext, hasCapacity;
  uint32_t length, next, capacity; // expressions and a symbol
  std::vector<uint32_t> inputs;    // those that hold it
  int64_t budget = 0;              // rows at most; 0: any number
  bool isRecurrent = false;        // has no rows: each call replaces it
  uint32_t numSnapshots = 0;       // earlier values that are kept
  int64_t limit(int64_t rows) const { return budget ? std::min(budget, rows) : rows; }
  /// Whether a session keeps it.
  bool isKept() const { return inputs.empty(); }
  /// Whether a call forgets what rows it had.
  bool beginsAnew() const { return isKept() && hasNext && !hasLength; }
};

struct Program {
  std::string_view variant;
  std::vector<Symbol> symbols;
  std::vector<Expr> exprs;
  std::vector<Signature> inputs, outputs;
  std::vector<Value> values;
  uint32_t arena;
  uint32_t heapBlocks = 0;
  std::vector<Step> steps;
  std::vector<StateTensor> states;
  std::vector<Cache> caches;
  format::Device device = format::Device::cpu;

  std::vector<Launch> launches;
  std::vector<HostTensor> hostTensors;
  std::vector<Copy> copies;
  std::vector<Insert> inserts;
  std::vector<ReadSymbol> reads;
  std::vector<Check> checks;
  std::vector<Branch> branches;
  std::vector<Loop> loops;

  /// For each symbol: the expressions to evaluate again, in
  /// order, and the values that use one of them (or are views of such a value).
  struct Dependents {
    std::vector<uint32_t> exprs, values;
  };
  std::vector<Dependents> dependents;
};

struct Entry {
  std::string_view name;
  std::vector<Program> programs; // of a device's, the first that fits runs
};

struct KernelArgument {
  ElementType type;
  std::vector<uint32_t> dims;
};

struct Kernel {
  std::string_view name, symbol;
  uint32_t uses, numSymbols, results, grid, workspace;
  std::vector<Expr> exprs;
  std::vector<KernelArgument> arguments; // empty: not known
  format::Device device = format::Device::cpu;
  std::string_view f32Products = {}; // empty: IEEE
  /// Expressions: the first is at most the second, or the code must not run.
  std::vector<std::pair<uint32_t, uint32_t>> bounds = {};
  /// Of each symbol, whether code for cuda gets the address of its value;
  /// empty: of none.
  std::vector<bool> isStep = {};
};

/// The fields of the schema's tables; dims, strides, lower, upper, grid and workspace are
/// expressions of the kernel.
struct TensorMap {
  uint32_t buffer;
  ElementType type;
  std::vector<uint32_t> dims, strides, box;
  unsigned swizzle;
  std::vector<uint32_t> lower, upper, steps; // of an image of windows; else empty

  bool hasWindows() const { return !lower.empty(); }
  /// How many values it takes: dims, strides, lower, upper.
  size_t countSizes() const {
    return dims.size() + strides.size() + lower.size() + upper.size();
  }
};

struct Stage {
  std::string_view symbol;
  uint32_t image, grid, threads, shared, cluster;
  std::vector<TensorMap> maps;
  bool waitsItself;
  uint32_t registers, localBytes; // 0: not known
  std::string_view form = {};     // of a product's schedule
};

struct StagedKernel {
  uint32_t workspace = 0;
  std::vector<Stage> stages; // empty: the code has not got the kernel
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_PROGRAM_H
