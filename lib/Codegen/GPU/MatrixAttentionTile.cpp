// One tile of keys: products, softmax so far, weighted values. Of each 16 rows
// and 8 columns of a product a thread has two neighbours from column 2 * member
// of its first row, then of its second.

#include "MatrixAttention.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace tenon;

/// Bytes of 16 elements, the depth of a product.
static constexpr int64_t kDepthBytes = 32;

SmallVector<Value> MatrixAttention::getQueryPart(int64_t depth) {
  if (!isQueryShared())
    return Values(ArrayRef(queryParts).slice(depth * 4, 4));
  return b.loadMatrices(b.add(queryPlace, b.number(depth * kDepthBytes)),
                        /*transposed=*/false);
}

SmallVector<Value> MatrixAttention::getScores(Value stage) {
  int64_t keys16 = getKeysOfWarp() / 16, rowBytes = getRowBytes(key);
  Values scores(keys16 * 8, b.constant(type, 0));
  Value place = b.add(keyTiles.fragments, stage);
  for (int64_t depth = 0; depth < getFeatures(query) / 16; ++depth) {
    Values queries = getQueryPart(depth);
    for (int64_t i = 0; i < keys16; ++i) {
      int64_t distance = i * 16 * rowBytes + depth * kDepthBytes;
      Values keys = b.loadMatrices(b.add(place, b.number(distance)),
                                   /*transposed=*/false);
      for (int64_t half = 0; half < 2; ++half) {
        int64_t at = (i * 2 + half) * 4;
        Values sums = b.multiply(queries, ArrayRef(keys).slice(half * 2, 2),
                                 ArrayRef(scores).slice(at, 4), query.element);
        llvm::copy(sums, scores.begin() + at);
      }
    }
  }
  return scores;
}

/// Most tiles are seen by all rows of the warp as a whole.
SmallVector<Value> MatrixAttention::hideKeys(Value first,
                                             const Values &scores) {
  Value some = b.isLess(seenLimit, b.add(first, b.index(getKeysOfWarp())));
  if (int64_t(op.getLeftWindow()) >= 0)
    some = arith::OrIOp::create(b.builder, b.loc, some,
                                b.isLess(first, seenFirst));
  SmallVector<Type> types(scores.size(), type);
  auto branch = scf::IfOp::create(b.builder, b.loc, types, some,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(b.builder);
  b.builder.setInsertionPointToEnd(branch.thenBlock());
  scf::YieldOp::create(b.builder, b.loc, hideUnseen(getSeen(first), scores));
  b.builder.setInsertionPointToEnd(branch.elseBlock());
  scf::YieldOp::create(b.builder, b.loc, scores);
  return Values(branch.getResults());
}

/// Weights of 16 keys, as products leave them, are a fragment of A.
void MatrixAttention::addValues(Value stage, const Values &weights,
                                State &state) {
  int64_t rowBytes = getRowBytes(value);
  Value place = b.add(valueTiles.fragments, stage);
  for (int64_t i = 0; i < getKeysOfWarp() / 16; ++i) {
    Values parts;
    for (int64_t pair = 0; pair < 8; pair += 2)
      parts.push_back(b.pack(weights[i * 8 + pair], weights[i * 8 + pair + 1],
                             query.element));
    for (int64_t column = 0; column < getFeatures(value) / 16; ++column) {
      int64_t distance = i * 16 * rowBytes + column * kDepthBytes;
      Values values =
          b.loadMatrices(b.add(place, b.number(distance)), /*transposed=*/true);
      for (int64_t half = 0; half < 2; ++half) {
        int64_t at = (column * 2 + half) * 4;
        Values sums =
            b.multiply(parts, ArrayRef(values).slice(half * 2, 2),
                       ArrayRef(state.features).slice(at, 4), query.element);
        llvm::copy(sums, state.features.begin() + at);
      }
    }
  }
}

MatrixAttention::State MatrixAttention::emitTile(Value first, Value stage,
                                                 State state) {
  if (keyWarps > 1)
    first = b.add(first, b.widen(b.mul(keyWarp, b.number(getKeysOfWarp()))));
  Values scores = getScores(stage);
  scores = hideKeys(first, bendScores(first, scores));
  for (unsigned row : {0, 1})
    rescale(row, state, weigh(row, state, scores));
  addValues(stage, scores, state);
  return state;
}
