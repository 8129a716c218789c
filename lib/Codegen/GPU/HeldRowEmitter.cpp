#include "HeldRowEmitter.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;

HeldRowEmitter::HeldRowEmitter(KernelProgram &program,
                               const StageSchedule &schedule,
                               const StagePlan &stage, KernelFrame &frame)
    : StageEmitter(program, schedule, stage, frame), form(*stage.form),
      b(frame.builder(), frame.loc()) {}

/// Threads beyond the last row repeat it, and store nothing.
void HeldRowEmitter::enter() {
  Value number = frame.begin();
  lane = b.thread();
  if (form.rows > 1) {
    Value row = b.div(lane, b.index(form.threads));
    number = b.add(b.mul(number, b.index(form.rows)), row);
    lane = b.rem(lane, b.index(form.threads));
    auto count =
        dyn_cast<AffineConstantExpr>(simplify(getCountExpr(stage.rows)));
    if (!count || count.getValue() % form.rows != 0) {
      Value rows = getCount(stage.rows);
      isRow = b.isLess(number, rows);
      number = b.min(number, b.sub(rows, b.index(1)));
    }
  }
  ThreadEmitter::enterElement(b, number, stage.rows);
  int64_t all = form.size / form.width;
  for (int64_t chunk = 0; chunk < form.chunks; ++chunk) {
    Value at = b.add(lane, b.index(chunk * form.threads));
    Value fits;
    if ((chunk + 1) * form.threads > all) {
      fits = b.isLess(at, b.index(all));
      at = b.min(at, b.index(all - 1));
    }
    firsts.push_back(b.mul(at, b.index(form.width)));
    isInside.push_back(fits);
  }
}

void HeldRowEmitter::enterElement(int64_t number) {
  Value element =
      b.add(firsts[number / form.width], b.index(number % form.width));
  for (int shared : form.elements)
    position[shared] = element;
}

/// All elements of the thread, in loads of up to 16 bytes.
void HeldRowEmitter::loadElements(const Step &step, const Access &access) {
  Place place = getPlace(form, step, access);
  if (llvm::any_of(held, [&](auto &known) { return known.first == place; }))
    return;
  int64_t width = getPieceWidth(program, form, step, access);
  Type element = program.storages[access.storage].element;
  Type stored = getStoredType(element);
  auto type = VectorType::get(width, stored);
  int64_t bytes = width * llvm::divideCeil(stored.getIntOrFloatBitWidth(), 8);
  Values values;
  for (int64_t at = 0; at < form.chunks * form.width; at += width) {
    enterElement(at);
    Value piece =
        vector::LoadOp::create(b.builder, loc, type, getMemory(access.storage),
                               getIndices(b.builder, access, getLoops(step)),
                               /*nontemporal=*/false, llvm::MaybeAlign(bytes));
    for (int64_t i = 0; i < width; ++i) {
      Value value = vector::ExtractOp::create(b.builder, loc, piece, i);
      if (element.isInteger(1))
        value = arith::CmpIOp::create(b.builder, loc, arith::CmpIPredicate::ne,
                                      value, getZero(b.builder, stored));
      values.push_back(value);
    }
  }
  held.emplace_back(place, values);
}

void HeldRowEmitter::loadAll() {
  llvm::DenseSet<int> written;
  for (const Step &step : program.steps)
    for (const Access &write : step.writes)
      written.insert(write.storage);
  for (const Step &step : program.steps) {
    auto visit = [&](const Access &access) {
      if (!written.contains(access.storage) && isOfElement(form, step, access))
        loadElements(step, access);
    };
    llvm::for_each(step.reads, visit);
    for (const Initial &initial : step.initials)
      if (initial.access.storage >= 0)
        visit(initial.access);
  }
}

/// What element `number` of the thread is in an access of a step there.
Value HeldRowEmitter::getElement(const Step &step, const Access &access,
                                 int64_t number) {
  auto known = made.find(access.storage);
  if (known != made.end())
    return known->second[number];
  if (!isOfElement(form, step, access))
    return load(b.builder, access, getLoops(step));
  Place place = getPlace(form, step, access);
  auto *read =
      llvm::find_if(held, [&](auto &other) { return other.first == place; });
  return read->second[number];
}

SmallVector<Value> HeldRowEmitter::emitElement(const Step &step, int64_t number,
                                               Values sums) {
  Values elements;
  for (const Access &read : step.reads)
    elements.push_back(getElement(step, read, number));
  elements.append(sums);
  for (auto [i, initial] : llvm::enumerate(step.initials)) {
    if (step.isReduction())
      break;
    elements.push_back(initial.access.storage >= 0
                           ? getElement(step, initial.access, number)
                           : getInitial(b.builder, step, i));
  }
  return emitBody(b.builder, step, elements);
}

void HeldRowEmitter::ifInside(Value condition,
                              llvm::function_ref<void()> body) {
  if (condition && isRow)
    condition = arith::AndIOp::create(b.builder, loc, condition, isRow);
  else if (isRow)
    condition = isRow;
  if (condition)
    b.ifElse(condition, body);
  else
    body();
}

void HeldRowEmitter::storeChunk(const Step &step, const Access &access,
                                int64_t chunk) {
  int64_t width = getPieceWidth(program, form, step, access);
  Type stored = getStoredType(program.storages[access.storage].element);
  int64_t bytes = width * llvm::divideCeil(stored.getIntOrFloatBitWidth(), 8);
  ArrayRef<Value> values = made[access.storage];
  for (int64_t i = 0; i < form.width; i += width) {
    int64_t at = chunk * form.width + i;
    enterElement(at);
    Values piece(values.slice(at, width));
    for (Value &value : piece)
      if (value.getType() != stored)
        value = arith::ExtUIOp::create(b.builder, loc, stored, value);
    Value whole = vector::FromElementsOp::create(
        b.builder, loc, VectorType::get(width, stored), piece);
    vector::StoreOp::create(b.builder, loc, whole, getMemory(access.storage),
                            getIndices(b.builder, access, getLoops(step)),
                            /*nontemporal=*/false, llvm::MaybeAlign(bytes));
  }
}

void HeldRowEmitter::storeElements(const Step &step) {
  for (const Access &write : step.writes)
    if (!isForwarded(write.storage))
      for (int64_t chunk = 0; chunk < form.chunks; ++chunk)
        ifInside(isInside[chunk], [&] { storeChunk(step, write, chunk); });
}

/// A value of the whole row, which all of its threads know.
void HeldRowEmitter::keepRow(const Step &step, Values values) {
  for (auto [write, value] : llvm::zip(step.writes, values)) {
    computed[write.storage] = rowValues[write.storage] = value;
    if (isForwarded(write.storage))
      continue;
    const Access &to = write;
    Value kept = value;
    ifInside(b.isLess(lane, b.index(1)),
             [&] { store(b.builder, kept, to, getLoops(step)); });
  }
}

void HeldRowEmitter::emitRowStep(const Step &step) {
  computed = rowValues;
  keepRow(step, emitOwnSum(b.builder, step));
}

/// The sum of all threads of the row, then what the step starts from.
Value HeldRowEmitter::reduce(const Step &step, unsigned index, Value sum) {
  auto both = [&](OpBuilder &builder, Value x, Value y) {
    return combine(builder, step, index, x, y);
  };
  if (form.threads <= ThreadBuilder::kWarp)
    sum = b.reduceWarp(sum, both, form.threads);
  else
    sum = b.reduceBlockOnce(sum, getNeutral(b.builder, step, index),
                            form.threads, both);
  return both(b.builder, getInitial(b.builder, step, index), sum);
}

void HeldRowEmitter::emitElements(const ThreadGroup &group) {
  computed = rowValues;
  for (unsigned index : group.steps) {
    const Step &step = program.steps[index];
    unsigned count = step.isReduction() ? step.writes.size() : 0;
    Values sums;
    for (unsigned i = 0; i < count; ++i)
      sums.push_back(getNeutral(b.builder, step, i));
    for (int64_t number = 0; number < form.chunks * form.width; ++number) {
      enterElement(number);
      Values results = emitElement(step, number, sums);
      if (count == 0) {
        for (auto [write, value] : llvm::zip(step.writes, results))
          made[write.storage].push_back(value);
        continue;
      }
      if (Value fits = isInside[number / form.width])
        for (auto [value, old] : llvm::zip(results, sums))
          value = arith::SelectOp::create(b.builder, loc, fits, value, old);
      sums = results;
    }
    if (count == 0) {
      storeElements(step);
      continue;
    }
    for (unsigned i = 0; i < count; ++i)
      sums[i] = reduce(step, i, sums[i]);
    keepRow(step, sums);
  }
}

AffineExpr HeldRowEmitter::emit() {
  placeStorages();
  enter();
  loadAll();
  for (const ThreadGroup &group : stage.groups) {
    if (!group.spread.empty())
      emitElements(group);
    else
      for (unsigned index : group.steps)
        emitRowStep(program.steps[index]);
  }
  return getCountExpr(stage.rows).ceilDiv(form.rows);
}
