#include "PassRecords.h"

#include "mlir/Pass/Pass.h"

#include "llvm/ADT/STLExtras.h"

#include <cmath>

using namespace mlir;
using namespace tenon;
using llvm::json::Array;
using llvm::json::Object;

/// Names of more nodes than these are left out of a remark.
static constexpr size_t kMostNodes = 10;

static void collectNodeNames(Location loc, std::vector<std::string> &names) {
  if (auto named = dyn_cast<NameLoc>(loc)) {
    std::string name = named.getName().str();
    if (!llvm::is_contained(names, name))
      names.push_back(name);
  } else if (auto fused = dyn_cast<FusedLoc>(loc)) {
    for (Location part : fused.getLocations())
      collectNodeNames(part, names);
  }
}

std::vector<std::string> tenon::getNodeNames(Location loc) {
  std::vector<std::string> names;
  collectNodeNames(loc, names);
  return names;
}

static void countOperations(Operation *root,
                            std::map<std::string, int64_t> &counts) {
  root->walk([&](Operation *op) {
    if (op != root)
      ++counts[op->getName().getStringRef().str()];
  });
}

void PassRecords::beginStage(StringRef name) {
  std::lock_guard<std::mutex> lock(mutex);
  stage = name.str();
  progress.clear();
}

/// The record of the operation's next pass: that of another function, or a new
/// one.
size_t PassRecords::findRecord(Pass *pass, Operation *op) {
  unsigned index = progress[op]++;
  std::string anchor = op->getName().getStringRef().str();
  for (auto [position, record] : llvm::enumerate(records))
    if (record.stage == stage && record.anchor == anchor &&
        record.index == index && record.name == pass->getArgument())
      return position;
  PassRecord record;
  record.stage = stage;
  record.name = pass->getArgument().str();
  record.anchor = anchor;
  record.index = index;
  records.push_back(std::move(record));
  return records.size() - 1;
}

/// Those without a name run the passes of nested operations.
static bool isAdaptor(Pass *pass) { return pass->getArgument().empty(); }

void PassRecords::beginPass(Pass *pass, Operation *op) {
  if (isAdaptor(pass))
    return;
  Counts counts;
  countOperations(op, counts);
  std::lock_guard<std::mutex> lock(mutex);
  size_t position = findRecord(pass, op);
  ++records[position].operations;
  for (const auto &[name, count] : counts)
    records[position].before[name] += count;
  running[std::this_thread::get_id()].push_back({position, Clock::now()});
}

void PassRecords::endPass(Pass *pass, Operation *op) {
  if (isAdaptor(pass))
    return;
  Clock::time_point end = Clock::now();
  Counts counts;
  countOperations(op, counts);
  std::lock_guard<std::mutex> lock(mutex);
  std::vector<Running> &stack = running[std::this_thread::get_id()];
  PassRecord &record = records[stack.back().record];
  record.seconds +=
      std::chrono::duration<double>(end - stack.back().start).count();
  for (const auto &[name, count] : counts)
    record.after[name] += count;
  stack.pop_back();
}

static StringRef getKind(const remark::detail::Remark &remark) {
  switch (remark.getRemarkType()) {
  case llvm::remarks::Type::Passed:
    return "fired";
  case llvm::remarks::Type::Missed:
  case llvm::remarks::Type::Failure:
    return "missed";
  default:
    return "analysis";
  }
}

static std::string getMessage(const remark::detail::Remark &remark) {
  std::string text;
  for (const remark::detail::Remark::Arg &arg : remark.getArgs()) {
    if (arg.key == "Remark")
      text += arg.val;
    else
      text += (text.empty() ? "" : ", ") + arg.key + " = " + arg.val;
  }
  return text;
}

void PassRecords::addRemark(const remark::detail::Remark &remark) {
  std::lock_guard<std::mutex> lock(mutex);
  std::vector<Running> &stack = running[std::this_thread::get_id()];
  if (stack.empty())
    return;
  StringRef kind = getKind(remark), name = remark.getRemarkName();
  std::string message = getMessage(remark);
  std::vector<RemarkRecord> &known = records[stack.back().record].remarks;
  auto equal = llvm::find_if(known, [&](const RemarkRecord &other) {
    return other.kind == kind && other.name == name && other.message == message;
  });
  if (equal == known.end())
    equal =
        known.insert(known.end(), {kind.str(), name.str(), message, {}, {}});
  Location loc = remark.getLocation();
  if (!equal->places.insert(loc.getAsOpaquePointer()).second)
    return;
  for (std::string &node : getNodeNames(loc))
    if (equal->nodes.size() < kMostNodes &&
        !llvm::is_contained(equal->nodes, node))
      equal->nodes.push_back(std::move(node));
}

/// Operations of each dialect.
static Object asLevels(const std::map<std::string, int64_t> &counts) {
  std::map<std::string, int64_t> levels;
  for (const auto &[name, count] : counts)
    levels[StringRef(name).split('.').first.str()] += count;
  Object object;
  for (const auto &[name, count] : levels)
    object[name] = count;
  return object;
}

llvm::json::Value PassRecords::asJSON(const PassRecord &record) {
  Counts before = record.before, after = record.after;
  for (const auto &[name, count] : record.before)
    after.try_emplace(name, 0);
  Array changes;
  for (const auto &[name, count] : after)
    if (before[name] != count)
      changes.push_back(Object{
          {"operation", name}, {"before", before[name]}, {"after", count}});
  Array remarks;
  for (const RemarkRecord &remark : record.remarks)
    remarks.push_back(Object{{"kind", remark.kind},
                             {"name", remark.name},
                             {"message", remark.message},
                             {"count", int64_t(remark.places.size())},
                             {"nodes", Array(remark.nodes)}});
  return Object{
      {"stage", record.stage},
      {"pass", record.name},
      {"anchor", record.anchor},
      {"runs", record.operations},
      {"microseconds", std::llround(record.seconds * 1e6)},
      {"operations", Object{{"before", asLevels(record.before)},
                            {"after", asLevels(record.after)}}},
      {"changes", std::move(changes)},
      {"remarks", std::move(remarks)},
  };
}

Array PassRecords::asJSON() const {
  Array passes;
  for (const PassRecord &record : records)
    passes.push_back(asJSON(record));
  return passes;
}
