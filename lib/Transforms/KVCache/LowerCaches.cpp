#include "tenon/Transforms/KVCache/Passes.h"

#include "SessionCaches.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/Plan/PlanDialect.h"

namespace tenon {
#define GEN_PASS_DEF_LOWERCACHESPASS
#include "tenon/Transforms/KVCache/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

Operation *tenon::attendToTensors(OpBuilder &builder, kv::AttendOp attend,
                                  Value key, Value value, Value mask,
                                  Value numKeys, DictionaryAttr attributes) {
  SmallVector<Value> inputs = {attend.getQuery(),
                               key,
                               value,
                               mask,
                               attend.getLengths(),
                               attend.getQPositions(),
                               attend.getSinks(),
                               numKeys};
  SmallVector<Type> types = {attend.getY().getType(),
                             attend.getLse() ? attend.getLse().getType()
                                             : Type()};
  Operation *attention =
      onnx::buildNode(builder, attend.getLoc(), "onnx.tenon.Attention", inputs,
                      types, attributes.getValue());
  attend.getY().replaceAllUsesWith(attention->getResult(0));
  if (attend.getLse())
    attend.getLse().replaceAllUsesWith(attention->getResult(1));
  return attention;
}

Value tenon::appendRows(NodeBuilder &nodes, Value past, Value rows, Value first,
                        int64_t heads, bool grows, Type type) {
  SmallVector<NamedAttribute> attributes = {nodes.named("grows", grows)};
  if (getRanked(rows).getRank() == 3)
    attributes.push_back(nodes.named("num_heads", heads));
  return nodes.make("onnx.tenon.CacheAppend", {past, rows, first}, type,
                    attributes);
}

namespace {
/// Caches as the tensors that they are bound to.
class TensorLowering {
public:
  explicit TensorLowering(func::FuncOp function) : function(function) {}

  LogicalResult run() {
    for (Operation &op : llvm::make_early_inc_range(function.getBody().front()))
      if (failed(lower(&op)))
        return failure();
    for (Operation *op : llvm::reverse(done))
      op->erase();
    return success();
  }

private:
  LogicalResult lower(Operation *op) {
    if (auto bind = dyn_cast<kv::BindOp>(op))
      return lower(bind);
    if (auto append = dyn_cast<kv::AppendOp>(op))
      lower(append);
    else if (auto rows = dyn_cast<kv::RowsOp>(op))
      lower(rows);
    else if (auto attend = dyn_cast<kv::AttendOp>(op))
      lower(attend);
    else if (auto read = dyn_cast<kv::ReadOp>(op))
      read.getValue().replaceAllUsesWith(read.getBound());
    else if (auto replace = dyn_cast<kv::ReplaceOp>(op))
      replace.getReplaced().replaceAllUsesWith(replace.getValue());
    else
      return success();
    done.push_back(op);
    return success();
  }

  LogicalResult lower(kv::BindOp bind) {
    kv::CacheType type = bind.getCache().getType();
    if (!type.isPlain() || type.getBudget())
      return bind.emitError("expected a plain, contiguous cache of sequential "
                            "positions in inputs and outputs, and of no "
                            "budget, but got ")
             << type;
    for (Value rows : bind.getRows())
      function.setArgAttr(cast<BlockArgument>(rows).getArgNumber(),
                          plan::kCacheAttr, bind.getStateAttr().getAttr());
    tensors[bind] = SmallVector<Value>(bind.getRows());
    tensors[bind].resize(type.getStreams().size());
    done.push_back(bind);
    return success();
  }

  void lower(kv::AppendOp append) {
    OpBuilder builder(append);
    NodeBuilder nodes(builder, append.getLoc());
    kv::CacheType type = append.getCache().getType();
    SmallVector<Value> past = tensors[append.getCache()], present;
    for (auto [index, rows] : llvm::enumerate(append.getRows())) {
      kv::StreamAttr stream = type.getStream(index);
      int64_t any = ShapedType::kDynamic;
      auto result =
          RankedTensorType::get({any, type.getHeads(), any, stream.getWidth()},
                                stream.getEncoding().getRowType());
      present.push_back(appendRows(nodes, past[index], rows, append.getFirst(),
                                   type.getHeads(), append.getGrows(), result));
    }
    tensors[append.getResult()] = present;
  }

  void lower(kv::AttendOp attend) {
    OpBuilder builder(attend);
    attendToTensors(builder, attend, find(attend.getCache(), "key"),
                    find(attend.getCache(), "value"), attend.getMask(),
                    /*numKeys=*/Value(), attend.getNodeAttributes());
  }

  /// The result that shows the cache may say more of its dimensions.
  void lower(kv::RowsOp rows) {
    Value tensor = find(rows.getCache(), rows.getStream());
    if (!isa<BlockArgument>(tensor))
      tensor.setType(rows.getTensor().getType());
    rows.getTensor().replaceAllUsesWith(tensor);
  }

  Value find(Value cache, StringRef name) {
    kv::CacheType type = cast<kv::CacheType>(cache.getType());
    for (unsigned i = 0; i < type.getStreams().size(); ++i)
      if (type.getStream(i).getName() == name)
        return tensors[cache][i];
    return nullptr;
  }

  func::FuncOp function;
  llvm::DenseMap<Value, SmallVector<Value>> tensors; // of each stream
  SmallVector<Operation *> done;
};

struct LowerCaches final : tenon::impl::LowerCachesPassBase<LowerCaches> {
  using LowerCachesPassBase::LowerCachesPassBase;

  void runOnOperation() override {
    if (mode != "io" && mode != "session") {
      getOperation().emitError("expected mode io or session, but got '")
          << mode << "'";
      return signalPassFailure();
    }
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      LogicalResult lowered = mode == "io" ? TensorLowering(function).run()
                                           : lowerToSession(function);
      if (succeeded(lowered) && mode == "session")
        lowered = lowerRecurrentToSession(function);
      if (failed(lowered))
        return signalPassFailure();
    }
    SmallVector<kv::StateOp> states(getOperation().getOps<kv::StateOp>());
    for (kv::StateOp state : states)
      state.erase();
  }
};
} // namespace
