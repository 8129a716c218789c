// The passes of a compilation as they run: time, operations before and after,
// remarks.

#ifndef TENON_LIB_REPORT_PASSRECORDS_H
#define TENON_LIB_REPORT_PASSRECORDS_H

#include "mlir/IR/Remarks.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/JSON.h"

#include <chrono>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace tenon {

/// Thread safe: functions of a module go through passes side by side.
class PassRecords {
public:
  void beginStage(llvm::StringRef name);
  void beginPass(mlir::Pass *pass, mlir::Operation *op);
  void endPass(mlir::Pass *pass, mlir::Operation *op);
  void addRemark(const mlir::remark::detail::Remark &remark);

  llvm::json::Array asJSON() const;

private:
  using Counts = std::map<std::string, int64_t>;
  using Clock = std::chrono::steady_clock;

  /// Equal remarks of one pass; `places` are where they were made, each once.
  struct RemarkRecord {
    std::string kind, name, message;
    std::set<const void *> places;
    std::vector<std::string> nodes;
  };
  /// One pass of a pipeline over all functions.
  struct PassRecord {
    std::string stage, name, anchor;
    unsigned index;
    int64_t operations = 0;
    double seconds = 0;
    Counts before, after;
    std::vector<RemarkRecord> remarks;
  };
  struct Running {
    size_t record;
    Clock::time_point start;
  };

  size_t findRecord(mlir::Pass *pass, mlir::Operation *op);
  static llvm::json::Value asJSON(const PassRecord &record);

  std::mutex mutex;
  std::string stage;
  std::vector<PassRecord> records;
  /// How many passes of the stage an operation has gone through.
  std::map<mlir::Operation *, unsigned> progress;
  std::map<std::thread::id, std::vector<Running>> running;
};

/// The names of the ONNX nodes in a location, in order, once each.
std::vector<std::string> getNodeNames(mlir::Location loc);

} // namespace tenon

#endif // TENON_LIB_REPORT_PASSRECORDS_H
