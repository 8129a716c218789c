// TfIdfVectorizer: how often each n-gram of a pool occurs in a row of integers,
// with up to so many skipped between two of its tokens.

#include "NGrams.h"

#include "Attributes.h"
#include "Scores.h"

#include "dialects/ONNX/ONNXDialect.h"

#include <map>

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

/// Results wider than this are taken for a mistake.
static constexpr int64_t kMostColumns = int64_t(1) << 24;

namespace {
/// The n-grams in the order of the result's columns that they count for.
struct NGrams {
  SmallVector<int64_t> tokens;        // of all n-grams
  SmallVector<int32_t> begin, length; // by n-gram: its tokens
  SmallVector<int32_t> first, end;    // by column: its n-grams
  SmallVector<float> weights;         // by column, or none
};

class NGramReader {
public:
  explicit NGramReader(Operation *op) : op(op) {}
  FailureOr<NGrams> read();

private:
  LogicalResult readPool();
  LogicalResult readSize(int64_t size, ArrayRef<int64_t> tokens,
                         size_t &number);
  NGrams arrange();

  Operation *op;
  /// tokens -> column. Of two equal n-grams the last one counts.
  std::map<std::vector<int64_t>, int64_t> columns;
};
} // namespace

/// The n-grams of `size` tokens each; `number` is that of the first one.
LogicalResult NGramReader::readSize(int64_t size, ArrayRef<int64_t> tokens,
                                    size_t &number) {
  ArrayRef<int64_t> indexes = getInts(op, "ngram_indexes");
  bool isWanted = size >= getInteger(op, "min_gram_length", 1) &&
                  size <= getInteger(op, "max_gram_length", 1);
  for (; int64_t(tokens.size()) >= size; tokens = tokens.drop_front(size)) {
    if (number >= indexes.size())
      return op->emitOpError("expected an index for each n-gram, but got ")
             << indexes.size() << " in 'ngram_indexes'";
    int64_t column = indexes[number++];
    if (isWanted)
      columns[tokens.take_front(size).vec()] = column;
  }
  return success();
}

LogicalResult NGramReader::readPool() {
  ArrayRef<int64_t> pool = getInts(op, "pool_int64s");
  ArrayRef<int64_t> starts = getInts(op, "ngram_counts");
  if (pool.empty() || getInts(op, "ngram_indexes").empty())
    return op->emitOpError("expected n-grams of integers in 'pool_int64s' and "
                           "their columns in 'ngram_indexes'");
  size_t number = 0;
  for (auto [i, start] : llvm::enumerate(starts)) {
    int64_t end = i + 1 < starts.size() ? starts[i + 1] : pool.size();
    if (start < 0 || end < start || end > int64_t(pool.size()))
      return op->emitOpError("expected 'ngram_counts' that rise from 0 to ")
             << pool.size() << ", but got " << start << " and " << end;
    if (failed(readSize(i + 1, pool.slice(start, end - start), number)))
      return failure();
  }
  for (int64_t column : getInts(op, "ngram_indexes"))
    if (column < 0 || column >= kMostColumns)
      return op->emitOpError("expected elements of 'ngram_indexes' from 0 to ")
             << kMostColumns - 1 << ", but got " << column;
  return success();
}

NGrams NGramReader::arrange() {
  std::multimap<int64_t, const std::vector<int64_t> *> byColumn;
  for (const auto &[tokens, column] : columns)
    byColumn.emplace(column, &tokens);
  NGrams grams;
  int64_t width = 1 + *llvm::max_element(getInts(op, "ngram_indexes"));
  auto next = byColumn.begin();
  for (int64_t column = 0; column < width; ++column) {
    grams.first.push_back(grams.begin.size());
    for (; next != byColumn.end() && next->first == column; ++next) {
      grams.begin.push_back(grams.tokens.size());
      grams.length.push_back(next->second->size());
      llvm::append_range(grams.tokens, *next->second);
    }
    grams.end.push_back(grams.begin.size());
  }
  if (grams.begin.empty()) { // a table has an element
    grams.begin.push_back(0);
    grams.length.push_back(0);
    grams.tokens.push_back(0);
  }
  // Weights are in the order of the pool.
  ArrayRef<float> weights = getFloats(op, "weights");
  if (weights.empty())
    return grams;
  grams.weights.assign(width, 0);
  for (auto [column, weight] : llvm::zip(getInts(op, "ngram_indexes"), weights))
    grams.weights[column] = weight;
  return grams;
}

FailureOr<NGrams> NGramReader::read() {
  if (failed(readPool()))
    return failure();
  return arrange();
}

/// How often the row has n-gram `gram`, with each number of skips.
static ScalarExpr countGram(ScalarCode &code, LaunchBuilder &launch,
                            ScalarExpr row, ScalarExpr gram, Value columns,
                            int64_t skips) {
  Type f32 = code.f32(), i64 = code.builder.getI64Type();
  auto get = [&](unsigned input, ScalarExpr at) {
    return code.read(launch.input(input), at).toIndex();
  };
  ScalarExpr begin = get(2, gram), length = get(3, gram), zero = code.index(0);
  // Skips beyond the row's end leave no place to start at.
  ScalarExpr most = code(columns).min(code.index(skips + 1));
  ScalarExpr distances = (length == 1).select(code.index(1), most) + 1.0;
  return code.loop(
      code.index(1), distances, code.constant(f32, 0),
      [&](ScalarExpr distance, ArrayRef<ScalarExpr> sum) -> Exprs {
        ScalarExpr starts = code(columns) - (length - 1.0) * distance;
        return code.loop(
            zero, starts.max(zero), sum,
            [&](ScalarExpr start, ArrayRef<ScalarExpr> sum) -> Exprs {
              ScalarExpr isHere = code.loop(
                  zero, length, code.truth(true),
                  [&](ScalarExpr i, ArrayRef<ScalarExpr> so) -> Exprs {
                    ScalarExpr token =
                        code.read(launch.input(0), {row, start + i * distance});
                    return {so[0] & (token.to(i64) ==
                                     code.read(launch.input(1), begin + i))};
                  })[0];
              return {isHere.select(sum[0] + 1.0, sum[0])};
            });
      })[0];
}

static LogicalResult checkMode(Operation *op) {
  StringRef mode = getString(op, "mode", "");
  if (mode != "TF" && mode != "IDF" && mode != "TFIDF")
    return op->emitOpError("expected mode TF, IDF or TFIDF, but got ") << mode;
  size_t grams = getInts(op, "ngram_indexes").size();
  size_t weights = getFloats(op, "weights").size();
  if (weights != 0 && weights != grams)
    return op->emitOpError("expected 'weights' of ")
           << grams << " n-grams or none, but got " << weights;
  int64_t skips = getInteger(op, "max_skip_count", 0);
  if (skips < 0 || skips > INT32_MAX)
    return op->emitOpError("expected 'max_skip_count' from 0 to ")
           << INT32_MAX << ", but got " << skips;
  return success();
}

LogicalResult tenon::lowerTfIdfVectorizer(Operation *op, Lowering &lowering) {
  FailureOr<NGrams> grams = failure();
  if (succeeded(checkMode(op)))
    grams = NGramReader(op).read();
  if (failed(grams))
    return failure();
  Location loc = op->getLoc();
  Value x = op->getOperand(0);
  Dims dims = lowering.dims(x);
  if (dims.empty() || dims.size() > 2)
    return op->emitOpError("expected one or two axes, but got ") << x.getType();
  AffineExpr rows = dims.size() == 1 ? lowering.constant(1) : dims[0];
  StringRef mode = getString(op, "mode", "");
  bool isWeighted = mode != "TF" && !grams->weights.empty();
  SmallVector<Value> inputs = {
      lowering.view(loc, x, {rows, dims.back()}),
      makeTable(lowering, loc, "tokens", grams->tokens),
      makeTable(lowering, loc, "grams.begin", grams->begin),
      makeTable(lowering, loc, "grams.length", grams->length),
      makeTable(lowering, loc, "columns.first", grams->first),
      makeTable(lowering, loc, "columns.end", grams->end)};
  if (isWeighted)
    inputs.push_back(
        makeTable(lowering, loc, "weights", ArrayRef<float>(grams->weights)));
  Type f32 = lowering.builder.getF32Type();
  AffineExpr width = lowering.constant(grams->first.size());
  LaunchBuilder launch =
      lowering.launch(loc, inputs, Result{f32, {rows, width}});
  Value columns = launch.index(dims.back());
  int64_t skips = getInteger(op, "max_skip_count", 0);
  Value counts =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        auto get = [&](unsigned input) {
          return code.read(launch.input(input), at[1]).toIndex();
        };
        ScalarExpr count =
            code.loop(get(4), get(5), code.constant(f32, 0),
                      [&](ScalarExpr gram, ArrayRef<ScalarExpr> sum) -> Exprs {
                        return {sum[0] + countGram(code, launch, at[0], gram,
                                                   columns, skips)};
                      })[0];
        if (mode == "IDF")
          count = count.min(count.like(1));
        return isWeighted ? count * code.read(launch.input(6), at[1]) : count;
      });
  Value result = lowering.finish(launch, counts).getResult(0);
  lowering.replace(op,
                   lowering.view(loc, result, lowering.dims(op->getResult(0))));
  return success();
}
