// Random generators. An element's bits follow from the node's seed and the
// element's place alone, so that every run gives the same numbers, whatever the
// threads and the device.

#include "Attributes.h"
#include "Lowering.h"
#include "ScalarExpr.h"

#include "dialects/ONNX/ONNXDialect.h"
#include "dialects/Plan/PlanDialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace tenon;

/// Of the attribute; else of the node's name, so that two nodes differ.
static uint64_t getSeed(Operation *op) {
  if (auto seed = op->getAttrOfType<FloatAttr>("seed"))
    return llvm::bit_cast<uint64_t>(seed.getValueAsDouble());
  auto named = op->getLoc()->findInstanceOf<NameLoc>();
  return named ? llvm::xxh3_64bits(named.getName().getValue()) : 0;
}

namespace {
/// SplitMix64 of Steele, Lea and Flood (2014) at the place `index` of the
/// sequence that starts at `seed`.
class Bits {
public:
  Bits(ScalarCode &code, ScalarExpr index, uint64_t seed) : code(code) {
    Value z = arith::AddIOp::create(
        code.builder, code.loc, constant(seed),
        multiply(
            arith::AddIOp::create(code.builder, code.loc, index, constant(1)),
            0x9E3779B97F4A7C15));
    z = multiply(fold(z, 30), 0xBF58476D1CE4E5B9);
    z = multiply(fold(z, 27), 0x94D049BB133111EB);
    bits = fold(z, 31);
  }

  /// f32 within (0, 1), of 23 bits from bit `first` on: they and a half are
  /// exact.
  ScalarExpr uniform(unsigned first) {
    Value low = arith::AndIOp::create(
        code.builder, code.loc,
        arith::ShRUIOp::create(code.builder, code.loc, bits, constant(first)),
        constant((1 << 23) - 1));
    return (code(low).to(code.f32()) + 0.5) * 0x1p-23;
  }

private:
  Value constant(uint64_t number) {
    return arith::ConstantOp::create(code.builder, code.loc,
                                     code.builder.getI64IntegerAttr(number));
  }
  Value multiply(Value z, uint64_t factor) {
    return arith::MulIOp::create(code.builder, code.loc, z, constant(factor));
  }
  /// z ^ (z >> count)
  Value fold(Value z, unsigned count) {
    Value moved =
        arith::ShRUIOp::create(code.builder, code.loc, z, constant(count));
    return arith::XOrIOp::create(code.builder, code.loc, z, moved);
  }

  ScalarCode &code;
  Value bits;
};
} // namespace

/// low to high, not included.
static ScalarExpr emitUniform(Bits bits, Operation *op) {
  double low = getFloat(op, "low", 0), high = getFloat(op, "high", 1);
  return bits.uniform(40) * (high - low) + low;
}

/// By Box and Muller.
static ScalarExpr emitNormal(ScalarCode &code, Bits bits, Operation *op) {
  ScalarExpr log = code(
      math::LogOp::create(code.builder, code.loc, Value(bits.uniform(40))));
  ScalarExpr angle = bits.uniform(16) * (2 * 3.14159265358979323846);
  ScalarExpr normal = (log * -2.0).sqrt() * angle.cos();
  return normal * getFloat(op, "scale", 1) + getFloat(op, "mean", 0);
}

/// Rounds of a loop would get the same numbers.
static bool isWithinLoop(Operation *op) {
  for (Operation *parent = op->getParentOp();
       parent && !isa<func::FuncOp>(parent); parent = parent->getParentOp())
    if (!isa<onnx::IfOp, plan::IfOp>(parent))
      return true;
  return false;
}

static LogicalResult lowerRandom(Operation *op, Lowering &lowering) {
  if (isWithinLoop(op))
    return op->emitOpError("expected a random generator outside loops, but got "
                           "one that each round would get the same numbers "
                           "from");
  Value result = op->getResult(0);
  Dims dims = lowering.dims(result);
  LaunchBuilder launch =
      lowering.launch(op->getLoc(), {}, Result{lowering.element(result), dims});
  SmallVector<Value> sizes;
  for (AffineExpr dim : dims)
    sizes.push_back(launch.index(dim));
  bool isNormal = op->getName().getStringRef().contains("Normal");
  Value numbers =
      mapPositions(launch, [&](ScalarCode &code, ArrayRef<ScalarExpr> at) {
        ScalarExpr index = code.index(0);
        for (auto [position, size] : llvm::zip(at, sizes))
          index = index * code(size) + position;
        Bits bits(code, index.to(code.builder.getI64Type()), getSeed(op));
        return isNormal ? emitNormal(code, bits, op) : emitUniform(bits, op);
      });
  lowering.replace(op, lowering.finish(launch, numbers).getResults());
  return success();
}

void tenon::addRandomLowerings(LoweringTable &table) {
  for (StringRef name : {"onnx.RandomNormal", "onnx.RandomNormalLike",
                         "onnx.RandomUniform", "onnx.RandomUniformLike"})
    table[name] = lowerRandom;
}
