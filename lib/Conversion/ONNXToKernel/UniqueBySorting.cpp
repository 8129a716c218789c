// Unique of elements, for many threads: equal ones lie side by side once they
// are sorted, the first of them in front.

#include "Positions.h"
#include "RowSearches.h"
#include "Unique.h"

using namespace mlir;
using namespace tenon;

namespace {
class SortedUnique {
public:
  SortedUnique(onnx::UniqueOp op, Value data, Lowering &lowering)
      : op(op), data(data), lowering(lowering), loc(op->getLoc()),
        kind(lowering.kind(data)), size(lowering.dims(data)[0]),
        element(lowering.element(data)), i64(lowering.builder.getI64Type()) {
    auto attr = op->getAttrOfType<IntegerAttr>("sorted");
    isSorted = !attr || attr.getInt() != 0;
    auto found = findFirst(loc, asRow(data, size), kind, size,
                           /*isLargest=*/false, lowering);
    values = found[0];
    places = found[1];
  }

  void lower();

private:
  using Exprs = ScalarCode::Exprs;
  using Body = function_ref<ScalarExpr(ScalarCode &, LaunchBuilder &,
                                       ScalarExpr number)>;

  Value asRow(Value flat, AffineExpr length) {
    AffineExpr one = lowering.constant(1);
    return lowering.view(loc, flat, {one, length, one});
  }
  /// A launch that makes `count` elements of `type`, each from its number.
  Value fill(ArrayRef<Value> inputs, Type type, AffineExpr count, Body emit);
  static ScalarExpr readRow(ScalarCode &code, Value row, ScalarExpr number) {
    return code.read(row, {code.index(0), number, code.index(0)});
  }
  std::pair<Value, Value> compare(ScalarCode &code, ScalarExpr x,
                                  ScalarExpr y) const {
    return compareElements({code.builder, code.loc, op, kind, kind, element}, x,
                           y);
  }
  Value findGroups(const Chosen &starts);

  onnx::UniqueOp op;
  Value data;
  Lowering &lowering;
  Location loc;
  ElementKind kind;
  AffineExpr size;
  Type element, i64;
  bool isSorted;
  Value values, places; // all elements in order, and where they are in the data
};
} // namespace

Value SortedUnique::fill(ArrayRef<Value> inputs, Type type, AffineExpr count,
                         Body emit) {
  LaunchBuilder launch = lowering.launch(loc, inputs, Result{type, {count}});
  Value made =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        return emit(code, launch, at[0]);
      });
  return lowering.finish(launch, made).getResult(0);
}

/// For each element of the data, the number of its group in the order of
/// values.
Value SortedUnique::findGroups(const Chosen &starts) {
  return fill({data, values, starts.getCounts()}, i64, size,
              [&](ScalarCode &code, LaunchBuilder &launch, ScalarExpr number) {
                ScalarExpr own = code.read(launch.input(0), number);
                Exprs range = code.loopWhile(
                    {code.index(0), code(launch.index(size))},
                    [&](ArrayRef<ScalarExpr> r) { return r[0] < r[1]; },
                    [&](ArrayRef<ScalarExpr> r) {
                      ScalarExpr middle = (r[0] + r[1]) / 2;
                      ScalarExpr other = readRow(code, launch.input(1), middle);
                      ScalarExpr isBefore =
                          code(compare(code, other, own).first);
                      return Exprs{isBefore.select(middle + 1, r[0]),
                                   isBefore.select(r[1], middle)};
                    });
                return Chosen::countBefore(code, launch.input(2), range[0]);
              });
}

void SortedUnique::lower() {
  auto isStart = [&](ScalarCode &code, LaunchBuilder &launch,
                     ScalarExpr number) {
    ScalarExpr before = (number - 1).max(code.index(0));
    Value same = compare(code, readRow(code, launch.input(0), before),
                         readRow(code, launch.input(0), number))
                     .second;
    return (number == 0) | !code(same);
  };
  Chosen starts(loc, size, values, isStart, lowering);
  starts.readCount(op->getResult(0), lowering);
  AffineExpr count = lowering.dims(op->getResult(0))[0];
  auto findStart = [&](ScalarCode &code, LaunchBuilder &launch, Value counts,
                       ScalarExpr group) {
    return Chosen::find(code, counts, code(launch.index(size)), group);
  };
  Value firsts =
      fill({starts.getCounts(), places}, i64, count,
           [&](ScalarCode &code, LaunchBuilder &launch, ScalarExpr group) {
             ScalarExpr start = findStart(code, launch, launch.input(0), group);
             return readRow(code, launch.input(1), start);
           });
  Value uses =
      fill(starts.getCounts(), i64, count,
           [&](ScalarCode &code, LaunchBuilder &launch, ScalarExpr group) {
             Value counts = launch.input(0);
             return findStart(code, launch, counts, group + 1) -
                    findStart(code, launch, counts, group);
           });
  Value groups = findGroups(starts);
  if (!isSorted) {
    // In the order of first places: `turned` has the groups in that order, and
    // `turns` for each group its place in it.
    auto inOrder = findFirst(loc, asRow(firsts, count), ElementKind::Signed,
                             count, /*isLargest=*/false, lowering);
    auto turns = findFirst(loc, inOrder[1], ElementKind::Signed, count,
                           /*isLargest=*/false, lowering);
    auto take = [&](Value from, Value which, AffineExpr length) {
      return fill({from, which}, i64, length,
                  [&](ScalarCode &code, LaunchBuilder &launch, ScalarExpr i) {
                    ScalarExpr at = code.read(launch.input(1), i).toIndex();
                    return code.read(launch.input(0), at);
                  });
    };
    auto asFlat = [&](Value row) { return lowering.view(loc, row, count); };
    uses = take(uses, asFlat(inOrder[1]), count);
    groups = take(asFlat(turns[1]), groups, size);
    firsts = asFlat(inOrder[0]);
  }
  Value unique =
      fill({data, firsts}, element, count,
           [&](ScalarCode &code, LaunchBuilder &launch, ScalarExpr group) {
             ScalarExpr first = code.read(launch.input(1), group);
             return code.read(launch.input(0), first.toIndex());
           });
  // Absent results have no place among the operation's.
  SmallVector<Value> results{unique};
  if (op.getIndices())
    results.push_back(firsts);
  if (op.getInverseIndices())
    results.push_back(groups);
  if (op.getCounts())
    results.push_back(uses);
  lowering.replace(op, results);
}

void tenon::findUniqueBySorting(onnx::UniqueOp op, Value data,
                                Lowering &lowering) {
  SortedUnique(op, data, lowering).lower();
}
