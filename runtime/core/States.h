// What sessions keep from call to call: the tensors that hold caches, and how many
// rows each cache has. Sessions of several entries may share one.
#ifndef TENON_RUNTIME_CORE_STATES_H
#define TENON_RUNTIME_CORE_STATES_H

#include "runtime/core/Memory.h"
#include "runtime/core/Program.h"

#include <map>
#include <string>
#include <vector>

namespace tenon::rt {

class States {
public:
  /// `capacity`: rows that every cache has room for; 0: as many as are needed. `space`:
  /// where the tensors live; null: in the host's memory.
  explicit States(int64_t capacity, std::shared_ptr<Space> space = nullptr)
      : space(std::move(space)), capacity(capacity), currentRoom(capacity) {}

  const std::shared_ptr<Space> space;

  /// What a recurrent state was when the session's length was `at`.
  struct Snapshot {
    int64_t at;
    Memory value;
  };
  struct Tensor {
    ElementType type = ElementType::undefined;
    std::string cache;
    std::vector<int64_t> dims;
    int64_t bytes = 0;
    size_t batch = 0; // the dimension along which the batch's rows lie
    Memory memory;
    std::vector<Snapshot> snapshots; // the oldest first
  };
  struct Cache {
    int64_t length = 0;     // rows in use, where the session counts them
    bool isCounted = false; // it does
    bool hasCapacity = false;
    bool isUsed = false;      // a call has written to it since it was reset
    bool isRecurrent = false; // calls replace all of it
    bool isTorn = false;      // one that failed may have done so in part
    int64_t budget = 0;       // rows at most; 0: any number
    int64_t at = 0;           // the session's length when a recurrent state became so
  };

  /// Rows that there is room for now.
  int64_t room() const { return currentRoom; }
  /// Makes room for `rows`; fails where the capacity is smaller.
  void makeRoom(int64_t rows);
  int64_t length(std::string_view cache) const;
  /// The tensor `name`, or null where no call has made it yet.
  const Tensor *find(std::string_view name) const;
  /// The tensor of these dimensions; it keeps its rows if only their room differs. If
  /// `restarts`, the call does not need what it holds.
  Tensor &place(const StateTensor &state, std::string_view cacheName, ElementType type,
                const std::vector<int64_t> &dims, bool restarts);
  /// Before a call that replaces the recurrent state.
  void beginReplacing(const rt::Cache &cache);
  /// After a call of a program with these caches; where one began anew, no earlier value
  /// belongs to what it holds now.
  void finishReplacing(const std::vector<rt::Cache> &caches);
  bool isTorn(std::string_view cache) const;
  /// After a call: the cache has `length` rows (not counted: -1).
  void finish(const rt::Cache &cache, int64_t length);

  void reset();
  /// Forgets all but the first `rows` of each cache; row -1 is all of the batch. A
  /// recurrent state becomes what it was at that length, if a snapshot has it.
  void rewind(int64_t row, int64_t rows);
  /// Batch row i becomes what row rows[i] was.
  void selectRows(const std::vector<int64_t> &rows);
  void copyFrom(const States &other);
  void save(const std::string &path) const;
  void load(const std::string &path);

  int64_t bytes() const;
  const std::map<std::string, Cache, std::less<>> &allCaches() const { return caches; }
  int64_t bytesOf(std::string_view cache) const;

private:
  Memory allocate(int64_t bytes) const;
  /// The rows of the longest cache; where none has rows, how many calls there were.
  int64_t position() const;
  const Snapshot *findSnapshot(const Tensor &tensor, int64_t at) const;
  void requireSnapshots(int64_t at) const;
  void restoreSnapshots(int64_t at);
  void selectRows(Tensor &tensor, const std::vector<int64_t> &rows) const;
  void keepRows(Tensor &tensor, const std::vector<int64_t> &dims, int64_t bytes);

  const int64_t capacity;
  int64_t currentRoom, numCalls = 0;
  std::map<std::string, Tensor, std::less<>> tensors;
  std::map<std::string, Cache, std::less<>> caches;
};

} // namespace tenon::rt

#endif // TENON_RUNTIME_CORE_STATES_H
