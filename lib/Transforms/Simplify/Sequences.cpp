// Lists of tensors whose members are known go away: what takes from a list
// takes from the members instead.

#include "Patterns.h"

#include "dialects/ONNX/NodeBuilder.h"

using namespace mlir;

namespace tenon {
namespace {

/// The members of a list, in order, where the operations say them.
std::optional<SmallVector<Value>> getMembers(Value list) {
  if (auto construct = list.getDefiningOp<onnx::SequenceConstructOp>())
    return SmallVector<Value>(construct->getOperands());
  if (list.getDefiningOp<onnx::SequenceEmptyOp>())
    return SmallVector<Value>();
  return std::nullopt;
}

/// What the patterns have in common.
template <typename Op>
struct ListPattern : OpRewritePattern<Op> {
  ListPattern(MLIRContext *context, const ShapeAnalysis &shapes)
      : OpRewritePattern<Op>(context), shapes(shapes) {}

  std::optional<int64_t> getNumber(Value value) const {
    auto elements = getConstantElements(value, shapes);
    return elements && elements->size() == 1 ? std::optional((*elements)[0])
                                             : std::nullopt;
  }
  /// The place that `position` names among `count`, the last where it is
  /// absent; negative ones count from the end.
  std::optional<int64_t> getPlace(Value position, int64_t count,
                                  int64_t absent) const {
    std::optional<int64_t> place = position ? getNumber(position) : absent;
    if (place && *place < 0)
      *place += count;
    return place && *place >= 0 ? place : std::nullopt;
  }

  const ShapeAnalysis &shapes;
};

/// A pattern of what reads a list whose members are known.
template <typename Op>
struct MembersPattern : ListPattern<Op> {
  using ListPattern<Op>::ListPattern;

  LogicalResult matchAndRewrite(Op op, PatternRewriter &rewriter) const final {
    auto members = getMembers(op.getInputSequence());
    if (!members)
      return rewriter.notifyMatchFailure(op, "the members are not known");
    return rewrite(op, *members, rewriter);
  }

  virtual LogicalResult rewrite(Op op, SmallVector<Value> &members,
                                PatternRewriter &rewriter) const = 0;
};

/// SequenceInsert(list of known members, tensor) -> SequenceConstruct
struct InsertMember final : MembersPattern<onnx::SequenceInsertOp> {
  using MembersPattern::MembersPattern;

  LogicalResult rewrite(onnx::SequenceInsertOp op, SmallVector<Value> &members,
                        PatternRewriter &rewriter) const override {
    int64_t count = members.size();
    auto place = getPlace(op.getPosition(), count, count);
    if (!place || *place > count)
      return rewriter.notifyMatchFailure(op, "the place is not known");

    members.insert(members.begin() + *place, op.getTensor());
    rewriter.replaceOpWithNewOp<onnx::SequenceConstructOp>(
        op, op->getResult(0).getType(), members);
    return success();
  }
};

/// SequenceErase(list of known members) -> SequenceConstruct
struct EraseMember final : MembersPattern<onnx::SequenceEraseOp> {
  using MembersPattern::MembersPattern;

  LogicalResult rewrite(onnx::SequenceEraseOp op, SmallVector<Value> &members,
                        PatternRewriter &rewriter) const override {
    int64_t count = members.size();
    auto place = getPlace(op.getPosition(), count, count - 1);
    if (!place || *place >= count)
      return rewriter.notifyMatchFailure(op, "the place is not known");

    members.erase(members.begin() + *place);
    rewriter.replaceOpWithNewOp<onnx::SequenceConstructOp>(
        op, op->getResult(0).getType(), members);
    return success();
  }
};

/// SequenceAt(list of known members, place) -> the member
struct TakeMember final : MembersPattern<onnx::SequenceAtOp> {
  using MembersPattern::MembersPattern;

  LogicalResult rewrite(onnx::SequenceAtOp op, SmallVector<Value> &members,
                        PatternRewriter &rewriter) const override {
    int64_t count = members.size();
    auto place = getPlace(op.getPosition(), count, count);
    if (!place || *place >= count)
      return rewriter.notifyMatchFailure(op, "the place is not known");

    rewriter.replaceOp(op, members[*place]);
    return success();
  }
};

/// SequenceLength(list of known members) -> Constant
struct CountMembers final : MembersPattern<onnx::SequenceLengthOp> {
  using MembersPattern::MembersPattern;

  LogicalResult rewrite(onnx::SequenceLengthOp op, SmallVector<Value> &members,
                        PatternRewriter &rewriter) const override {

    NodeBuilder nodes(rewriter, op.getLoc());
    rewriter.replaceOp(op, nodes.integer(members.size()));
    return success();
  }
};

/// ConcatFromSequence(list of known members) -> Concat
struct JoinMembers final : MembersPattern<onnx::ConcatFromSequenceOp> {
  using MembersPattern::MembersPattern;

  LogicalResult rewrite(onnx::ConcatFromSequenceOp op,
                        SmallVector<Value> &members,
                        PatternRewriter &rewriter) const override {
    if (members.empty())
      return rewriter.notifyMatchFailure(op, "the list is empty");
    for (Value member : members)
      if (!getRanked(member))
        return rewriter.notifyMatchFailure(op, "a member's rank is not known");

    NodeBuilder nodes(rewriter, op.getLoc());
    int64_t axis = op.getAxis();
    if (op.getNewAxis())
      for (Value &member : members)
        member = nodes.unsqueeze(member, {axis});
    RankedTensorType first = getRanked(members.front());
    Type type = nodes.typeOf(first.getRank(), first.getElementType());
    rewriter.replaceOp(op, nodes.make("onnx.Concat", members, type,
                                      nodes.named("axis", axis)));
    return success();
  }
};

/// SplitToSequence(x) -> SequenceConstruct(Split(x)), where the parts' sizes
/// are known
struct SplitIntoMembers final : ListPattern<onnx::SplitToSequenceOp> {
  using ListPattern::ListPattern;

  LogicalResult matchAndRewrite(onnx::SplitToSequenceOp op,
                                PatternRewriter &rewriter) const override {
    RankedTensorType type = getRanked(op.getInput());
    if (!type)
      return rewriter.notifyMatchFailure(op, "the rank is not known");
    int64_t axis = op.getAxis();
    axis += axis < 0 ? type.getRank() : 0;
    if (axis < 0 || axis >= type.getRank())
      return rewriter.notifyMatchFailure(op, "there is no such axis");
    auto sizes = getSizes(op, type.getDimSize(axis));
    if (!sizes || sizes->empty())
      return rewriter.notifyMatchFailure(op, "the sizes are not known");

    NodeBuilder nodes(rewriter, op.getLoc());
    SmallVector<Value> members = nodes.split(op.getInput(), axis, *sizes);
    if (!op.getSplit() && !op.getKeepdims())
      for (Value &member : members)
        member = nodes.squeeze(member, {axis});
    rewriter.replaceOpWithNewOp<onnx::SequenceConstructOp>(
        op, op->getResult(0).getType(), members);
    return success();
  }

  /// A vector is the sizes; a number is the size of all but the last.
  std::optional<SmallVector<int64_t>> getSizes(onnx::SplitToSequenceOp op,
                                               int64_t whole) const {
    Value split = op.getSplit();
    if (RankedTensorType type = getRanked(split); type && type.getRank() == 1)
      return getConstantElements(split, shapes);
    std::optional<int64_t> each = split ? getNumber(split) : 1;
    if ((split && !getRanked(split)) || !each || *each <= 0 ||
        ShapedType::isDynamic(whole))
      return std::nullopt;
    SmallVector<int64_t> sizes(whole / *each, *each);
    if (whole % *each)
      sizes.push_back(whole % *each);
    return sizes;
  }
};

/// SequenceAt(SplitToSequence(x) into parts of one size, place >= 0)
///   -> Slice(x), where it is not known how many parts there are
struct SliceMember final : ListPattern<onnx::SequenceAtOp> {
  using ListPattern::ListPattern;

  LogicalResult matchAndRewrite(onnx::SequenceAtOp op,
                                PatternRewriter &rewriter) const override {
    auto split = op.getInputSequence().getDefiningOp<onnx::SplitToSequenceOp>();
    RankedTensorType type = split ? getRanked(split.getInput()) : nullptr;
    if (!type)
      return rewriter.notifyMatchFailure(op, "the list is of no split");
    Value size = split.getSplit();
    if (size && (!getRanked(size) || getRanked(size).getRank() != 0))
      return rewriter.notifyMatchFailure(op, "the parts have several sizes");
    std::optional<int64_t> each = size ? getNumber(size) : 1;
    std::optional<int64_t> place = getNumber(op.getPosition());
    if (!each || *each <= 0 || !place || *place < 0 || *place > 1 << 20)
      return rewriter.notifyMatchFailure(op, "size or place is not known");

    NodeBuilder nodes(rewriter, op.getLoc());
    int64_t axis = split.getAxis(), first = *place * *each;
    Value part =
        nodes.make("onnx.Slice",
                   {split.getInput(), nodes.integers({first}),
                    nodes.integers({first + *each}), nodes.integers({axis})},
                   nodes.typeOf(type.getRank(), type.getElementType()));
    if (!size && !split.getKeepdims())
      part = nodes.squeeze(part, {axis});
    rewriter.replaceOp(op, part);
    return success();
  }
};

} // namespace

void populateSequencePatterns(RewritePatternSet &patterns,
                              const ShapeAnalysis &shapes) {
  patterns.add<InsertMember, EraseMember, TakeMember, CountMembers, JoinMembers,
               SplitIntoMembers, SliceMember>(patterns.getContext(), shapes);
}

} // namespace tenon
