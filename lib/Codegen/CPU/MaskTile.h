// A tile of an attention mask, turned so that lanes are columns.

#ifndef TENON_LIB_CODEGEN_CPU_MASKTILE_H
#define TENON_LIB_CODEGEN_CPU_MASKTILE_H

#include "tenon/Codegen/Program/LoopBuilder.h"

namespace tenon {

/// target[key][lane] = the mask's element for (lane, first + key): floats as
/// they are, booleans as 0 or -inf, -inf past the mask's end.
struct MaskTile {
  mlir::Value source;
  bool isBoolean = false;    // a byte each
  mlir::Value starts;        // [lanes] of i64: where each lane's row begins
  mlir::Value keyStride;     // in `source`
  bool isContiguous = false; // the stride is 1
  bool isSameForAll = false; // all lanes have the row of the first
  mlir::Value keys;          // how many the mask has, or null: all
  mlir::Value target;
  int64_t lanes = 0, vectorWidth = 0;

  /// Emits the tile; returns its largest element. A single lane may be hidden
  /// from as many keys past `count` as a vector has lanes.
  mlir::Value emit(LoopBuilder &loops, mlir::Value first,
                   mlir::Value count) const;

private:
  mlir::Type type() const;
  mlir::Value toFloat(LoopBuilder &loops, mlir::Value element) const;
  mlir::Value getStart(LoopBuilder &loops, mlir::Value lane,
                       mlir::Value first) const;
  mlir::Value at(LoopBuilder &loops, mlir::Value key, mlir::Value lane) const;
  void repeatRow(LoopBuilder &loops, mlir::Value first,
                 mlir::Value count) const;
  void turnBlocks(LoopBuilder &loops, mlir::Value first,
                  mlir::Value count) const;
  void copyScalars(LoopBuilder &loops, mlir::Value first, mlir::Value low,
                   mlir::Value high) const;
  mlir::Value copyRow(LoopBuilder &loops, mlir::Value first, mlir::Value known,
                      mlir::Value count) const;
  mlir::Value findHighest(LoopBuilder &loops, mlir::Value size) const;
  void hideRest(LoopBuilder &loops, mlir::Value low, mlir::Value high) const;
};

} // namespace tenon

#endif // TENON_LIB_CODEGEN_CPU_MASKTILE_H
