// Which form of Hopper's tiles is expected to take least time.

#ifndef TENON_LIB_CODEGEN_GPU_TILEFORMS_H
#define TENON_LIB_CODEGEN_GPU_TILEFORMS_H

#include "HopperContraction.h"

namespace tenon {

/// Sizes of a product that is known: `depth` tiles of k.
struct TileProduct {
  int64_t batches, rows, columns, depth;
};

/// Tiles may be turned if the left factor lies along k.
HopperContraction::Form chooseForm(const TileProduct &shape, bool canTurn,
                                   int64_t multiprocessors);

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_TILEFORMS_H
