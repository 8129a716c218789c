// A count of clocks from rates of an H200: what decides between forms is how
// many blocks there are for the multiprocessors, and how long the slowest one
// takes.

#include "TileForms.h"

using namespace mlir;
using namespace tenon;

using Form = HopperContraction::Form;

static constexpr int64_t kTile = 128;
/// Bytes a clock that a multiprocessor takes from the second cache, and that
/// all take.
static constexpr double kBytesOfOne = 56, kBytesOfAll = 3200;
/// Multiplications of a multiprocessor a clock.
static constexpr double kProducts = 2048;
/// Clocks: to begin and end a block, and a cluster; and for an element of a
/// tile to leave it, all threads together, also from the shared memory of a
/// cluster's other blocks.
static constexpr double kBlock = 1800, kCluster = 700;
static constexpr double kElement = 0.3, kElementOfCluster = 0.4;

static double estimate(const TileProduct &shape, const Form &form,
                       int64_t multiprocessors) {
  int64_t down = form.isTurned ? form.columns : kTile;
  int64_t across = form.isTurned ? kTile : form.columns;
  int64_t tiles = shape.batches * llvm::divideCeil(shape.rows, down) *
                  llvm::divideCeil(shape.columns, across);
  int64_t blocks = tiles * form.splits, residents = form.getBlocks();
  int64_t together = multiprocessors * residents;
  int64_t waves = llvm::divideCeil(blocks, together);
  int64_t busy = std::min(blocks, multiprocessors);
  int64_t onOne = llvm::divideCeil(std::min(blocks, together), multiprocessors);
  double bytes = (kTile + form.columns) * kRowBytes;
  double copies = bytes / std::min(kBytesOfOne, kBytesOfAll / busy);
  double products = double(kTile) * form.columns * kDepth / kProducts;
  double stages = llvm::divideCeil(shape.depth, form.splits);
  bool isShared = form.splits > 1;
  double end = down * across * (isShared ? kElementOfCluster : kElement);
  double block = kBlock + end + (isShared ? kCluster : 0);
  return waves * (block + stages * onOne * std::max(copies, products));
}

Form tenon::chooseForm(const TileProduct &shape, bool canTurn,
                       int64_t multiprocessors) {
  Form best{kTile};
  double least = estimate(shape, best, multiprocessors);
  for (bool isTurned : {false, true})
    for (int64_t columns : {256, 128, 64, 32, 16})
      for (int64_t splits : {1, 2, 4, 8}) {
        bool isKnown = isTurned ? canTurn && columns <= 64 : columns >= 64;
        Form form{columns, isTurned, splits};
        if (!isKnown || splits > shape.depth)
          continue;
        double time = estimate(shape, form, multiprocessors);
        // Equal ones are those with fewer blocks.
        if (time < least * 0.98) {
          least = time;
          best = form;
        }
      }
  return best;
}
