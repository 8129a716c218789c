#include "TileKernel.h"

using namespace mlir;
using namespace tenon;

/// Neighbours that a thread finishes: their loads and stores become one.
static constexpr int64_t kRun = 8;

TileKernel::TileKernel(KernelProgram &program, const Contraction &contraction,
                       KernelFrame &frame)
    : ThreadEmitter(program, frame), contraction(contraction),
      step(program.steps[contraction.step]) {
  for (unsigned number : contraction.getSums())
    products.push_back(&program.steps[number]);
  for (unsigned loop = 0; loop < step.classes.size(); ++loop)
    if (step.isParallel[loop] && int(loop) != contraction.m &&
        loop != contraction.n)
      batches.push_back(step.classes[loop]);
}

AffineExpr TileKernel::getExtent(int loop) const {
  return loop < 0 ? getAffineConstantExpr(1, program.extents[0].getContext())
                  : program.extents[step.classes[loop]];
}

AffineExpr TileKernel::getTiles(int64_t rows, int64_t columns) {
  return getCountExpr(batches) * getExtent(contraction.m).ceilDiv(rows) *
         getExtent(contraction.n).ceilDiv(columns);
}

/// Tiles in groups of a few rows, column by column: blocks that run together
/// read few rows of a and few columns of b, which the second cache then holds.
void TileKernel::enterTile(ThreadBuilder &b, Value item, int64_t rows,
                           int64_t columns) {
  constexpr int64_t rowsOfGroup = 8;
  Value down = frame.size(getExtent(contraction.m).ceilDiv(rows));
  Value across = frame.size(getExtent(contraction.n).ceilDiv(columns));
  Value inBatch = b.take(item, b.mul(down, across));
  Value ofGroup = b.mul(across, b.index(rowsOfGroup));
  Value group = b.div(inBatch, ofGroup), inGroup = b.rem(inBatch, ofGroup);
  Value first = b.mul(group, b.index(rowsOfGroup));
  Value height = b.min(b.sub(down, first), b.index(rowsOfGroup));
  Value row = b.add(first, b.rem(inGroup, height));
  firstRow = b.mul(row, b.index(rows));
  firstColumn = b.mul(b.div(inGroup, height), b.index(columns));
  enterElement(b, item, batches);
}

void TileKernel::finishPart(ThreadBuilder &b, const Part &part, Value thread,
                            int64_t threads) {
  Value rows = frame.size(getExtent(contraction.m));
  Value columns = frame.size(getExtent(contraction.n));
  auto known = dyn_cast<AffineConstantExpr>(getExtent(contraction.n));
  // A run is within the matrix, or outside.
  int64_t run = known && known.getValue() % kRun == 0 ? kRun : 1;
  int64_t runs = part.columns / run;
  b.forEach(thread, b.index(part.rows * runs), threads, [&](Value element) {
    Value column = b.mul(b.take(element, b.index(runs)), b.index(run));
    Value at = b.add(b.mul(element, b.index(part.stride)), column);
    Value row = b.add(firstRow, b.add(element, b.index(part.first)));
    column = b.add(firstColumn, column);
    Value isThere = arith::AndIOp::create(b.builder, loc, b.isLess(row, rows),
                                          b.isLess(column, columns));
    b.ifElse(isThere, [&] {
      SmallVector<Values, 2> sums;
      for (unsigned product = 0; product < products.size(); ++product)
        sums.push_back(
            part.read(b.add(at, b.index(product * part.apart)), run));
      for (int64_t i = 0; i < run; ++i) {
        if (contraction.m >= 0)
          position[step.classes[contraction.m]] = row;
        position[step.classes[contraction.n]] = b.add(column, b.index(i));
        finishElement(b, llvm::map_to_vector(
                             sums, [&](const Values &own) { return own[i]; }));
      }
    });
  });
}

/// All steps at one element, the sums of the products being known.
void TileKernel::finishElement(ThreadBuilder &b, ArrayRef<Value> sums,
                               const llvm::DenseMap<int, Value> &known) {
  computed = known;
  for (const Step &other : program.steps) {
    auto *product = llvm::find(products, &other);
    if (product == products.end()) {
      emitStep(b.builder, other);
      continue;
    }
    Value initial = getInitial(b.builder, other, 0);
    Value sum = sums[product - products.begin()];
    keep(b.builder, other,
         {arith::AddFOp::create(b.builder, loc, initial, sum)});
  }
  computed.clear();
}
