// Decodes one program and checks every index in it.
#include "runtime/core/Decode.h"
#include "runtime/support/Failure.h"

#include <algorithm>

namespace tenon::rt {

// Deeper nests of If and Loop are refused: the executor recurses over them.
static constexpr unsigned maxDepth = 32;

std::vector<Expr>
decodeExprs(const flatbuffers::Vector<const format::Expr *> *exprs,
            size_t numSymbols, const std::string &where, DecodeBudget &budget) {
  std::vector<Expr> result;
  // The verifier of FlatBuffers looks at the place of the length alone.
  if (sizeOf(exprs) && reinterpret_cast<uintptr_t>(exprs->Data()) % alignof(format::Expr))
    fail(Status::corrupt, where, ": expected expressions at a multiple of ",
         alignof(format::Expr), " bytes, but got others");
  budget.spend(sizeOf(exprs));
  result.reserve(sizeOf(exprs));
  for (size_t i = 0; i < sizeOf(exprs); ++i) {
    const format::Expr *expr = exprs->Get(i);
    Expr decoded{expr->op(), expr->a(), expr->b(), expr->value()};
    if (decoded.op > ExprOp::MAX)
      fail(Status::corrupt, where, " expression ", i, ": expected an operation, but got ",
           unsigned(decoded.op));
    if (decoded.op == ExprOp::symbol) {
      if (decoded.value < 0 || uint64_t(decoded.value) >= numSymbols)
        fail(Status::corrupt, where, " expression ", i, ": expected a symbol below ",
             numSymbols, ", but got ", decoded.value);
    } else if (decoded.op != ExprOp::constant && (decoded.a >= i || decoded.b >= i)) {
      fail(Status::corrupt, where, " expression ", i,
           ": expected operands before it, but got ", decoded.a, " and ", decoded.b);
    }
    result.push_back(decoded);
  }
  return result;
}

namespace {

class ProgramDecoder {
public:
  ProgramDecoder(const format::Program &source, const Artifact &artifact,
                 const std::string &where, DecodeBudget &budget)
      : source(source), artifact(artifact), where(where), budget(budget) {}

  Program decode();

private:
  using Indices = flatbuffers::Vector<uint32_t>;
  using Blocks = std::vector<Step>;

  uint32_t check(uint32_t index, size_t size, const char *what, const std::string &at);
  uint32_t expr(uint32_t index, const std::string &at) {
    return check(index, program.exprs.size(), "expression", at);
  }
  uint32_t value(uint32_t index, const std::string &at) {
    return check(index, program.values.size(), "value", at);
  }
  std::vector<uint32_t> exprList(const Indices *indices, const std::string &at);
  template <typename Table>
  NodeResults nodeResults(const Table &step, const std::string &at) {
    NodeResults results;
    if (step.node())
      results.node = step.node()->string_view();
    if (step.results())
      for (uint32_t index : *step.results())
        results.values.push_back(value(index, at));
    return results;
  }
  void written(uint32_t index, const std::string &at);

  void decodeSymbols();
  void decodeValues();
  void decodeRoot(size_t index, const std::string &at);
  std::vector<Signature>
  decodeSignature(const flatbuffers::Vector<flatbuffers::Offset<format::Tensor>> *tensors,
                  Storage storage, const char *what);
  Blocks decodeSteps(const flatbuffers::Vector<flatbuffers::Offset<format::Step>> *steps,
                     unsigned depth);
  Blocks decodeBlock(const format::Block *block, unsigned depth) {
    return decodeSteps(block ? block->steps() : nullptr, depth + 1);
  }
  void decodeCaches();
  void decodeStates();
  void decodeLaunch(const format::Launch &launch, const std::string &at);
  void decodeHostTensor(const format::HostTensor &step, const std::string &at);
  void decodeRead(const format::ReadSymbol &step, const std::string &at);
  Step decodeBranch(const format::If &step, unsigned depth, const std::string &at);
  Step decodeLoop(const format::Loop &step, unsigned depth, const std::string &at);
  Step decodeStep(const format::Step &step, unsigned depth, const std::string &at);
  void findDependents();

  const format::Program &source;
  const Artifact &artifact;
  const std::string &where;
  DecodeBudget &budget;
  Program program;
  size_t numSteps = 0;
};

uint32_t ProgramDecoder::check(uint32_t index, size_t size, const char *what,
                               const std::string &at) {
  if (index >= size)
    fail(Status::corrupt, where, ' ', at, ": expected the index of a", what[0] == 'e' ? "n " : " ",
         what, " below ", size, ", but got ", index);
  return index;
}

std::vector<uint32_t> ProgramDecoder::exprList(const Indices *indices,
                                               const std::string &at) {
  std::vector<uint32_t> result;
  budget.spend(sizeOf(indices));
  result.reserve(sizeOf(indices));
  for (size_t i = 0; i < sizeOf(indices); ++i)
    result.push_back(expr(indices->Get(i), at));
  return result;
}

/// Only memory of the session is written, never an input or a weight.
void ProgramDecoder::written(uint32_t index, const std::string &at) {
  Storage storage = program.values[program.values[value(index, at)].root].storage;
  if (storage != Storage::arena && storage != Storage::heap && storage != Storage::output &&
      storage != Storage::state)
    fail(Status::corrupt, where, ' ', at,
         ": expected a target in the arena, the heap, a state or an output, but got value ", index,
         " in ", format::EnumNameStorage(storage));
}

void ProgramDecoder::decodeSymbols() {
  budget.spend(sizeOf(source.symbols()));
  for (size_t i = 0; i < sizeOf(source.symbols()); ++i) {
    const format::Symbol *symbol = source.symbols()->Get(i);
    if (symbol->residency() > Residency::MAX)
      fail(Status::corrupt, where, " symbol ", i, ": expected a residency, but got ",
           unsigned(symbol->residency()));
    program.symbols.push_back(
        {view(symbol->name()), symbol->min(), symbol->max(), symbol->residency()});
  }
}

void ProgramDecoder::decodeRoot(size_t index, const std::string &at) {
  Value &decoded = program.values[index];
  decoded.root = index;
  switch (decoded.storage) {
  case Storage::input:
    check(decoded.index, sizeOf(source.inputs()), "input", at);
    break;
  case Storage::output:
    check(decoded.index, sizeOf(source.outputs()), "output", at);
    break;
  case Storage::weight:
    check(decoded.index, artifact.weights.size(), "weight", at);
    break;
  case Storage::state:
    check(decoded.index, sizeOf(source.states()), "state", at);
    break;
  case Storage::arena:
    expr(decoded.offset, at);
    break;
  case Storage::view:
    decoded.root = program.values[check(decoded.index, index, "value", at)].root;
    break;
  case Storage::heap:
    // Blocks are numbered without gaps, in the order of their first values.
    check(decoded.index, program.heapBlocks + 1, "block", at);
    program.heapBlocks = std::max(program.heapBlocks, decoded.index + 1);
    break;
  }
}

void ProgramDecoder::decodeValues() {
  budget.spend(sizeOf(source.values()));
  program.values.reserve(sizeOf(source.values()));
  for (size_t i = 0; i < sizeOf(source.values()); ++i) {
    const format::Value *from = source.values()->Get(i);
    std::string at = concat("value ", i, " '", view(from->name()), "'");
    if (!elementBytes(from->type()) || from->storage() > Storage::MAX)
      fail(Status::corrupt, where, ' ', at, ": expected a type and a storage, but got ",
           unsigned(from->type()), " and ", unsigned(from->storage()));
    program.values.push_back({view(from->name()), from->type(), from->storage(),
                              exprList(from->dims(), at), from->index(), from->offset(),
                              0});
    decodeRoot(i, at);
  }
}

std::vector<Signature> ProgramDecoder::decodeSignature(
    const flatbuffers::Vector<flatbuffers::Offset<format::Tensor>> *tensors,
    Storage storage, const char *what) {
  std::vector<Signature> result;
  budget.spend(sizeOf(tensors));
  for (size_t i = 0; i < sizeOf(tensors); ++i) {
    const format::Tensor *from = tensors->Get(i);
    std::string at = concat(what, ' ', i, " '", view(from->name()), "'");
    if (!elementBytes(from->type()))
      fail(Status::corrupt, where, ' ', at, ": expected an element type, but got ",
           unsigned(from->type()));
    const Value &target = program.values[value(from->value(), at)];
    if (target.storage != storage || target.index != i)
      fail(Status::corrupt, where, ' ', at, ": expected its own value, but got value ",
           from->value(), " of storage ", format::EnumNameStorage(target.storage));
    result.push_back(
        {view(from->name()), from->type(), exprList(from->dims(), at), from->value()});
  }
  return result;
}

void ProgramDecoder::decodeCaches() {
  budget.spend(sizeOf(source.caches()));
  for (size_t i = 0; i < sizeOf(source.caches()); ++i) {
    const format::Cache *from = source.caches()->Get(i);
    std::string at = concat("cache ", i, " '", view(from->name()), "'");
    Cache cache{view(from->name()), from->has_length(), from->has_next(),
                from->has_capacity(), 0,                0,
                0,                    {},               from->budget(),
                from->recurrent(),    from->snapshots()};
    bool hasRows = cache.hasLength || cache.hasNext || cache.hasCapacity || cache.budget;
    if (cache.budget < 0 || (cache.isRecurrent ? hasRows : cache.numSnapshots > 0))
      fail(Status::corrupt, where, ' ', at,
           ": expected a budget of at least 0, and rows or snapshots, but got ", cache.budget,
           " and ", cache.numSnapshots);
    budget.spend(sizeOf(from->inputs()));
    for (size_t n = 0; n < sizeOf(from->inputs()); ++n)
      cache.inputs.push_back(
          check(from->inputs()->Get(n), program.inputs.size(), "input", at));
    if (cache.hasLength)
      cache.length = expr(from->length(), at);
    if (cache.hasCapacity)
      cache.capacity = check(from->capacity(), program.symbols.size(), "symbol", at);
    if (cache.hasNext)
      cache.next = expr(from->next(), at);
    for (const Cache &other : program.caches)
      if (other.name == cache.name)
        fail(Status::corrupt, where, ' ', at, ": expected caches of different names");
    program.caches.push_back(std::move(cache));
  }
}

/// Each state is a value of its own, and has a name of its own.
void ProgramDecoder::decodeStates() {
  budget.spend(sizeOf(source.states()));
  std::vector<std::string_view> names;
  for (size_t i = 0; i < sizeOf(source.states()); ++i) {
    const format::State *from = source.states()->Get(i);
    std::string at = concat("state ", i, " '", view(from->name()), "'");
    const Value &target = program.values[value(from->value(), at)];
    if (target.storage != Storage::state || target.index != i || target.dims.empty())
      fail(Status::corrupt, where, ' ', at, ": expected its own value, but got value ",
           from->value(), " of storage ", format::EnumNameStorage(target.storage));
    names.push_back(view(from->name()));
    budget.spend(sizeOf(from->shared_inputs()) + sizeOf(from->shared_outputs()));
    program.states.push_back(
        {view(from->name()), from->value(),
         check(from->cache(), program.caches.size(), "cache", at),
         check(from->batch(), target.dims.size(), "dimension", at),
         view(from->replaces_input()), view(from->replaces_output()),
         views(from->shared_inputs()), views(from->shared_outputs())});
  }
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end())
    fail(Status::corrupt, where, ": expected states of different names");
}

void ProgramDecoder::decodeLaunch(const format::Launch &launch, const std::string &at) {
  Launch result{check(launch.kernel(), artifact.kernels.size(), "kernel", at),
                {},
                exprList(launch.symbols(), at),
                expr(launch.grid(), at),
                expr(launch.workspace(), at),
                launch.results(),
                view(launch.node())};
  budget.spend(sizeOf(launch.buffers()));
  for (size_t i = 0; i < sizeOf(launch.buffers()); ++i)
    result.buffers.push_back(value(launch.buffers()->Get(i), at));
  if (result.results > result.buffers.size())
    fail(Status::corrupt, where, ' ', at, ": expected at most ", result.buffers.size(),
         " results, but got ", result.results);
  for (size_t i = result.buffers.size() - result.results; i < result.buffers.size(); ++i)
    written(result.buffers[i], at);
  const Kernel &kernel = artifact.kernels[result.kernel];
  if (kernel.device != program.device)
    fail(Status::corrupt, where, ' ', at, ": expected a kernel for the program's device ",
         format::EnumNameDevice(program.device), ", but got '", kernel.name, "' for ",
         format::EnumNameDevice(kernel.device));
  if (!kernel.arguments.empty() &&
      (kernel.arguments.size() != result.buffers.size() ||
       kernel.numSymbols != result.symbols.size() || kernel.results != result.results))
    fail(Status::corrupt, where, ' ', at, ": expected ", kernel.arguments.size(),
         " buffers, of which ", kernel.results, " results, and ", kernel.numSymbols,
         " symbols for kernel '", kernel.name, "', but got ", result.buffers.size(), ", ",
         result.results, " and ", result.symbols.size());
  program.launches.push_back(std::move(result));
}

void ProgramDecoder::decodeHostTensor(const format::HostTensor &step,
                                      const std::string &at) {
  written(step.value(), at);
  ElementType type = program.values[step.value()].type;
  if (type != ElementType::i64 && type != ElementType::i32)
    fail(Status::corrupt, where, ' ', at, ": expected a value of type i64 or i32, but got ",
         elementName(type));
  program.hostTensors.push_back({step.value(), exprList(step.elements(), at)});
}

void ProgramDecoder::decodeRead(const format::ReadSymbol &step, const std::string &at) {
  ElementType type = program.values[value(step.value(), at)].type;
  switch (type) {
  case ElementType::f32:
  case ElementType::f64:
  case ElementType::f16:
  case ElementType::bf16:
    fail(Status::corrupt, where, ' ', at, ": expected an integer value, but got ",
         elementName(type));
  default:
    break;
  }
  check(step.symbol(), program.symbols.size(), "symbol", at);
  if (program.symbols[step.symbol()].residency != Residency::data)
    fail(Status::corrupt, where, ' ', at, ": expected a symbol read from data, but got '",
         program.symbols[step.symbol()].name, "', which inputs bind");
  program.reads.push_back({step.value(), step.element(), step.symbol()});
}

static void checkBoolean(const Program &program, uint32_t value, const std::string &where,
                         const std::string &at) {
  if (program.values[value].type != ElementType::boolean)
    fail(Status::corrupt, where, ' ', at, ": expected a condition of type bool, but got ",
         elementName(program.values[value].type));
}

Step ProgramDecoder::decodeBranch(const format::If &step, unsigned depth,
                                  const std::string &at) {
  Branch branch{value(step.condition(), at), {}, {}, nodeResults(step, at)};
  checkBoolean(program, branch.condition, where, at);
  branch.thenSteps = decodeBlock(step.then_steps(), depth);
  branch.elseSteps = decodeBlock(step.else_steps(), depth);
  program.branches.push_back(std::move(branch));
  return {StepKind::branch, uint32_t(program.branches.size() - 1)};
}

Step ProgramDecoder::decodeLoop(const format::Loop &step, unsigned depth,
                                const std::string &at) {
  Loop loop{0, 0, 0, step.has_condition(), step.has_trip_count(), {}, nodeResults(step, at)};
  if (!loop.hasCondition && !loop.hasTripCount)
    fail(Status::corrupt, where, ' ', at,
         ": expected a condition or a trip count, but got neither");
  if (loop.hasCondition) {
    loop.condition = value(step.condition(), at);
    checkBoolean(program, loop.condition, where, at);
  }
  if (loop.hasTripCount)
    loop.tripCount = expr(step.trip_count(), at);
  loop.counter = value(step.counter(), at);
  written(loop.counter, at);
  if (program.values[loop.counter].type != ElementType::i64)
    fail(Status::corrupt, where, ' ', at, ": expected a counter of type i64, but got ",
         elementName(program.values[loop.counter].type));
  loop.body = decodeBlock(step.body(), depth);
  program.loops.push_back(std::move(loop));
  return {StepKind::loop, uint32_t(program.loops.size() - 1)};
}

Step ProgramDecoder::decodeStep(const format::Step &step, unsigned depth,
                                const std::string &at) {
  if (step.action_type() == format::Action::NONE || !step.action())
    fail(Status::corrupt, where, ' ', at, ": expected an action, but got none");
  switch (step.action_type()) {
  case format::Action::Launch:
    decodeLaunch(*step.action_as_Launch(), at);
    return {StepKind::launch, uint32_t(program.launches.size() - 1)};
  case format::Action::HostTensor:
    decodeHostTensor(*step.action_as_HostTensor(), at);
    return {StepKind::hostTensor, uint32_t(program.hostTensors.size() - 1)};
  case format::Action::Copy: {
    const format::Copy &copy = *step.action_as_Copy();
    value(copy.source(), at);
    written(copy.target(), at);
    program.copies.push_back({copy.source(), copy.target()});
    return {StepKind::copy, uint32_t(program.copies.size() - 1)};
  }
  case format::Action::Insert: {
    const format::Insert &insert = *step.action_as_Insert();
    value(insert.source(), at);
    written(insert.target(), at);
    program.inserts.push_back(
        {insert.source(), insert.target(), expr(insert.offset(), at)});
    return {StepKind::insert, uint32_t(program.inserts.size() - 1)};
  }
  case format::Action::ReadSymbol:
    decodeRead(*step.action_as_ReadSymbol(), at);
    return {StepKind::readSymbol, uint32_t(program.reads.size() - 1)};
  case format::Action::Check: {
    const format::Check &check = *step.action_as_Check();
    if (check.relation() > format::SizeRelation::MAX)
      fail(Status::corrupt, where, ' ', at, ": expected a relation of sizes, but got ",
           unsigned(check.relation()));
    program.checks.push_back({expr(check.a(), at), expr(check.b(), at), check.relation(),
                              view(check.node())});
    return {StepKind::check, uint32_t(program.checks.size() - 1)};
  }
  case format::Action::If:
    return decodeBranch(*step.action_as_If(), depth, at);
  case format::Action::Loop:
    return decodeLoop(*step.action_as_Loop(), depth, at);
  default:
    fail(Status::corrupt, where, ' ', at, ": expected a known action, but got ",
         unsigned(step.action_type()));
  }
}

std::vector<Step> ProgramDecoder::decodeSteps(
    const flatbuffers::Vector<flatbuffers::Offset<format::Step>> *steps, unsigned depth) {
  if (depth > maxDepth)
    fail(Status::corrupt, where, ": expected If and Loop nested at most ", maxDepth,
         " deep, but got more");
  std::vector<Step> result;
  budget.spend(sizeOf(steps));
  for (size_t i = 0; i < sizeOf(steps); ++i)
    result.push_back(decodeStep(*steps->Get(i), depth, concat("step ", numSteps++)));
  return result;
}

void ProgramDecoder::findDependents() {
  program.dependents.resize(program.symbols.size());
  for (size_t s = 0; s < program.symbols.size(); ++s) {
    std::vector<bool> exprUses(program.exprs.size()), valueUses(program.values.size());
    for (size_t e = 0; e < program.exprs.size(); ++e) {
      const Expr &expr = program.exprs[e];
      if (expr.op == ExprOp::symbol)
        exprUses[e] = uint64_t(expr.value) == s;
      else if (expr.op != ExprOp::constant)
        exprUses[e] = exprUses[expr.a] || exprUses[expr.b];
      if (exprUses[e])
        program.dependents[s].exprs.push_back(e);
    }
    for (size_t v = 0; v < program.values.size(); ++v) {
      const Value &value = program.values[v];
      valueUses[v] =
          std::any_of(value.dims.begin(), value.dims.end(),
                      [&](uint32_t dim) { return exprUses[dim]; }) ||
          (value.storage == Storage::arena && exprUses[value.offset]) ||
          (value.storage == Storage::view && valueUses[value.root]);
      if (valueUses[v])
        program.dependents[s].values.push_back(v);
    }
    budget.spend((exprUses.size() + valueUses.size()) / 64);
  }
}

Program ProgramDecoder::decode() {
  program.variant = view(source.variant());
  program.device = source.device();
  if (program.device > format::Device::MAX)
    fail(Status::corrupt, where, ": expected a device, but got ", unsigned(program.device));
  decodeSymbols();
  program.exprs = decodeExprs(source.exprs(), program.symbols.size(), where, budget);
  decodeValues();
  program.inputs = decodeSignature(source.inputs(), Storage::input, "input");
  program.outputs = decodeSignature(source.outputs(), Storage::output, "output");
  program.arena = expr(source.arena(), "arena");
  decodeCaches();
  decodeStates();
  program.steps = decodeSteps(source.steps(), 0);
  findDependents();
  return std::move(program);
}

} // namespace

Program decodeProgram(const format::Program &program, const Artifact &artifact,
                      const std::string &where, DecodeBudget &budget) {
  return ProgramDecoder(program, artifact, where, budget).decode();
}

} // namespace tenon::rt
