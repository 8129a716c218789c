// What all tree ensembles share: one launch finds the leaf of each row in each
// tree, one sums up leaves.

#include "Trees.h"

#include "Scores.h"

using namespace mlir;
using namespace tenon;

using Exprs = ScalarCode::Exprs;

/// Whether a node's test holds. Only the modes that occur are tested.
static ScalarExpr emitTest(ScalarCode &code, const Trees &trees,
                           ScalarExpr mode, ScalarExpr x, ScalarExpr value,
                           function_ref<ScalarExpr()> isMember) {
  auto test = [&](int32_t known) {
    switch (known) {
    case Trees::Member:
      return isMember();
    case Trees::Less:
      return x < value;
    case Trees::GreaterEqual:
      return x >= value;
    case Trees::Greater:
      return x > value;
    case Trees::Equal:
      return x == value;
    case Trees::NotEqual:
      return x != value;
    default:
      return x <= value;
    }
  };
  std::optional<ScalarExpr> result;
  for (int32_t known = Trees::LessEqual; known <= Trees::Member; ++known) {
    if (!llvm::is_contained(trees.mode, known))
      continue;
    ScalarExpr holds = test(known);
    result = result ? (mode == known).select(holds, *result) : holds;
  }
  return result ? *result : code.truth(false);
}

/// The leaf of each row [rows, trees].
Value tenon::findLeaves(Operation *op, const Trees &trees, Lowering &lowering) {
  Location loc = op->getLoc();
  Value x = op->getOperand(0);
  Dims dims = lowering.dims(x);
  AffineExpr rows = dims.size() > 1 ? dims[0] : lowering.constant(1);
  AffineExpr columns = dims.back();
  Value matrix = lowering.view(loc, x, {rows, columns});
  auto table = [&](StringRef name, ArrayRef<int32_t> elements) {
    return makeTable(lowering, loc, name, elements);
  };
  SmallVector<Value> inputs = {
      matrix,
      table("nodes.mode", trees.mode),
      table("nodes.feature", trees.feature),
      makeTable(lowering, loc, "nodes.value", trees.value, trees.real),
      table("nodes.yes", trees.yes),
      table("nodes.no", trees.no),
      table("nodes.missing", trees.missing),
      table("roots", trees.roots)};
  if (!trees.member.empty())
    inputs.append(
        {table("nodes.first_member", trees.firstMember),
         table("nodes.end_member", trees.endMember),
         makeTable(lowering, loc, "members", trees.member, trees.real)});
  AffineExpr count = lowering.constant(trees.roots.size());
  LaunchBuilder launch = lowering.launch(
      loc, inputs, Result{lowering.builder.getI32Type(), {rows, count}});
  Value last = launch.index(columns);
  Type element = lowering.element(x);
  Type real = element.isF64() ? element : Type(lowering.builder.getF32Type());
  Value leaves = mapPositions(launch, [&](ScalarCode &code,
                                          ArrayRef<ScalarExpr> at) {
    auto get = [&](unsigned input, ScalarExpr node) {
      return code.read(launch.input(input), node);
    };
    return code.loopWhile(
        {get(7, at[1]).toIndex()},
        [&](ArrayRef<ScalarExpr> node) {
          return get(1, node[0]) != Trees::Leaf;
        },
        [&](ArrayRef<ScalarExpr> state) -> Exprs {
          ScalarExpr node = state[0];
          ScalarExpr feature = get(2, node).toIndex();
          feature = feature.max(code.index(0)).min(code(last) - 1.0);
          ScalarExpr x = code.read(launch.input(0), {at[0], feature}).to(real);
          auto isMember = [&] {
            if (trees.member.empty())
              return code.truth(false);
            return code.loop(
                get(8, node).toIndex(), get(9, node).toIndex(),
                code.truth(false),
                [&](ScalarExpr i, ArrayRef<ScalarExpr> found) -> Exprs {
                  return {found[0] | (x == get(10, i).to(real))};
                })[0];
          };
          ScalarExpr holds = emitTest(code, trees, get(1, node), x,
                                      get(3, node).to(real), isMember);
          ScalarExpr tracks = (x != x) & (get(6, node) != 0);
          ScalarExpr next = (holds | tracks).select(get(4, node), get(5, node));
          return {next.toIndex()};
        })[0];
  });
  return lowering.finish(launch, leaves).getResult(0);
}

/// The leaves' weights for each target [rows, targets], plus the base values.
Value tenon::sumLeaves(Operation *op, const Trees &trees, Value leaves,
                       int64_t targets, Trees::Aggregate aggregate,
                       ArrayRef<float> base, Lowering &lowering) {
  Location loc = op->getLoc();
  auto table = [&](StringRef name, ArrayRef<int32_t> elements) {
    return makeTable(lowering, loc, name, elements);
  };
  SmallVector<Value> inputs = {
      leaves, table("leaves.first", trees.first),
      table("leaves.end", trees.end), table("weights.target", trees.target),
      makeTable(lowering, loc, "weights", trees.weight, trees.real)};
  if (!base.empty())
    inputs.push_back(makeTable(lowering, loc, "base", base));
  Dims dims = lowering.dims(leaves);
  LaunchBuilder launch = lowering.launch(
      loc, inputs, Result{trees.real, {dims[0], lowering.constant(targets)}});
  bool picks =
      aggregate == Trees::Aggregate::Min || aggregate == Trees::Aggregate::Max;
  Value scores =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        auto get = [&](unsigned input, ScalarExpr i) {
          return code.read(launch.input(input), i);
        };
        ScalarExpr target = at[1].to(code.builder.getI32Type());
        Exprs start = {code.constant(trees.real, 0), code.truth(false)};
        Exprs total = code.loop(
            code.index(0), code.index(trees.roots.size()), start,
            [&](ScalarExpr tree, ArrayRef<ScalarExpr> state) {
              ScalarExpr leaf =
                  code.read(launch.input(0), {at[0], tree}).toIndex();
              return code.loop(
                  get(1, leaf).toIndex(), get(2, leaf).toIndex(), state,
                  [&](ScalarExpr i, ArrayRef<ScalarExpr> state) -> Exprs {
                    ScalarExpr isMine = get(3, i) == target, w = get(4, i);
                    ScalarExpr sum = state[0] + w;
                    if (picks)
                      sum = state[1].select(aggregate == Trees::Aggregate::Min
                                                ? state[0].min(w)
                                                : state[0].max(w),
                                            w);
                    return {isMine.select(sum, state[0]), isMine | state[1]};
                  });
            });
        ScalarExpr score = total[0];
        if (aggregate == Trees::Aggregate::Average)
          score = score / double(trees.roots.size());
        if (!base.empty())
          score = score + get(5, base.size() == 1 ? code.index(0) : at[1]);
        return score;
      });
  return lowering.finish(launch, scores).getResult(0);
}
