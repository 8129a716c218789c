#include "TileKernel.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"

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

/// Operands that can be read before the sums are looked at.
void TileKernel::findOperands() {
  operands.clear();
  llvm::SmallDenseMap<int, unsigned> uses;
  SmallVector<std::pair<const Step *, const Access *>> found;
  for (const Step &other : program.steps) {
    if (llvm::is_contained(products, &other))
      continue;
    bool isPlain = !other.isReduction();
    if (other.block)
      other.block->walk([&](tensor::ExtractOp) { isPlain = false; });
    if (!isPlain)
      return;
    for (const Initial &initial : other.initials)
      uses[initial.access.storage] += 2;
    for (const Access &read : other.reads) {
      ++uses[read.storage];
      if (program.storages[read.storage].isInput && !read.padding)
        found.push_back({&other, &read});
    }
  }
  for (auto [other, read] : found)
    if (uses[read->storage] == 1)
      operands.push_back({other, read});
}

/// Runs of a thread that are read ahead together: as many divide its share.
int64_t TileKernel::getTogether(const Part &part, int64_t runs,
                                int64_t threads) const {
  for (int64_t count = operands.empty() ? 1 : part.ahead; count > 1; count /= 2)
    if (runs % (threads * count) == 0)
      return count;
  return 1;
}

TileKernel::Run TileKernel::locate(ThreadBuilder &b, const Part &part,
                                   Value number, int64_t run) {
  Value rows = frame.size(getExtent(contraction.m));
  Value columns = frame.size(getExtent(contraction.n));
  Value column =
      b.mul(b.take(number, b.index(part.columns / run)), b.index(run));
  Run found;
  found.at = b.add(b.mul(number, b.index(part.stride)), column);
  found.row = b.add(firstRow, b.add(number, b.index(part.first)));
  found.column = b.add(firstColumn, column);
  found.isThere =
      arith::AndIOp::create(b.builder, loc, b.isLess(found.row, rows),
                            b.isLess(found.column, columns));
  return found;
}

void TileKernel::enterNeighbour(ThreadBuilder &b, const Run &run,
                                int64_t number) {
  if (contraction.m >= 0)
    position[step.classes[contraction.m]] = run.row;
  position[step.classes[contraction.n]] = b.add(run.column, b.index(number));
}

void TileKernel::readAhead(ThreadBuilder &b, Run &run, int64_t count) {
  computed.clear();
  for (int64_t i = 0; i < count; ++i) {
    enterNeighbour(b, run, i);
    Known known;
    for (auto [other, read] : operands)
      known[read->storage] = load(b.builder, *read, getLoops(*other));
    run.known.push_back(std::move(known));
  }
}

void TileKernel::finishRun(ThreadBuilder &b, const Part &part, const Run &run,
                           int64_t count) {
  SmallVector<Values, 2> sums;
  for (unsigned product = 0; product < products.size(); ++product)
    sums.push_back(
        part.read(b.add(run.at, b.index(product * part.apart)), count));
  for (int64_t i = 0; i < count; ++i) {
    enterNeighbour(b, run, i);
    finishElement(
        b, llvm::map_to_vector(sums, [&](const Values &own) { return own[i]; }),
        run.known.empty() ? Known() : run.known[i]);
  }
}

void TileKernel::finishPart(ThreadBuilder &b, const Part &part, Value thread,
                            int64_t threads) {
  findOperands();
  auto known = dyn_cast<AffineConstantExpr>(getExtent(contraction.n));
  // A run is within the matrix, or outside.
  int64_t run = known && known.getValue() % kRun == 0 ? kRun : 1;
  int64_t runs = part.rows * (part.columns / run);
  int64_t together = run > 1 ? getTogether(part, runs, threads) : 1;
  auto finishOne = [&](Value number) {
    Run one = locate(b, part, number, run);
    b.ifElse(one.isThere, [&] { finishRun(b, part, one, run); });
  };
  if (together == 1)
    return b.forEach(thread, b.index(runs), threads, finishOne);
  b.forEach(thread, b.index(runs), threads * together, [&](Value first) {
    SmallVector<Run> found;
    Value areThere;
    for (int64_t i = 0; i < together; ++i) {
      Run one = locate(b, part, b.add(first, b.index(i * threads)), run);
      areThere =
          i == 0 ? one.isThere
                 : arith::AndIOp::create(b.builder, loc, areThere, one.isThere);
      found.push_back(one);
    }
    b.ifElse(
        areThere,
        [&] {
          for (Run &one : found)
            readAhead(b, one, run);
          for (const Run &one : found)
            finishRun(b, part, one, run);
        },
        [&] {
          b.forEach(first, b.add(first, b.index(together * threads)), threads,
                    finishOne);
        });
  });
}

/// All steps at one element, the sums of the products being known.
void TileKernel::finishElement(ThreadBuilder &b, ArrayRef<Value> sums,
                               const Known &known) {
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
