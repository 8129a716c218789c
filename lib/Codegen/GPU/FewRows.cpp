#include "FewRows.h"

using namespace mlir;
using namespace tenon;

static constexpr int64_t kRunBytes = 16;
/// Runs of a thread that are on their way at a time, each with sums of its own.
static constexpr int64_t kAhead = 4;

bool FewRows::matches(const KernelProgram &program,
                      const Contraction &contraction) {
  const Step &step = program.steps[contraction.step];
  std::optional<LinearAccess> linear =
      LinearAccess::get(program, step.reads[contraction.b]);
  AffineExpr stride = linear ? linear->getStride(contraction.k) : AffineExpr();
  return stride && stride == 1;
}

FewRows::FewRows(KernelProgram &program, const Contraction &contraction,
                 int64_t rows, KernelFrame &frame)
    : TileKernel(program, contraction, frame), rows(rows) {
  Type element = program.storages[step.reads[contraction.b].storage].element;
  run = kRunBytes * 8 / element.getIntOrFloatBitWidth();
  auto depth = dyn_cast<AffineConstantExpr>(getExtent(contraction.k));
  if (!depth || depth.getValue() % run != 0)
    run = 1;
}

void FewRows::setRow(ThreadBuilder &b, Value row) {
  if (contraction.m >= 0)
    position[step.classes[contraction.m]] = row;
}

SmallVector<Value> FewRows::addRun(ThreadBuilder &b, Value k, Values sums) {
  Type type = sums[0].getType();
  Value last = b.sub(frame.size(getExtent(contraction.m)), b.index(1));
  auto read = [&](unsigned from, int64_t e) {
    position[step.classes[contraction.k]] = b.add(k, b.index(e));
    return b.convert(load(b.builder, step.reads[from], getLoops(step)), type);
  };
  Values column;
  for (int64_t e = 0; e < run; ++e)
    column.push_back(read(contraction.b, e));
  for (int64_t row = 0; row < rows; ++row) {
    setRow(b, rows == 1 ? b.index(0) : b.min(b.index(row), last));
    for (int64_t e = 0; e < run; ++e) {
      Value product = arith::MulFOp::create(b.builder, loc,
                                            read(contraction.a, e), column[e]);
      sums[row] = arith::AddFOp::create(b.builder, loc, sums[row], product);
    }
  }
  return sums;
}

/// This thread's share of the sums: every 32nd run of k.
SmallVector<Value> FewRows::sumLane(ThreadBuilder &b, Value lane) {
  constexpr int64_t lanes = ThreadBuilder::kWarp;
  Type type = program.storages[step.writes[0].storage].element;
  AffineExpr runs = getExtent(contraction.k).floorDiv(run);
  AffineExpr whole = runs.floorDiv(lanes * kAhead) * (lanes * kAhead);
  Values zeros(rows * kAhead, b.constant(type, 0));
  auto place = [&](Value number) { return b.mul(number, b.index(run)); };
  SmallVector<Value> sums =
      b.fold(b.index(0), frame.size(whole), lanes * kAhead, zeros,
             [&](Value first, ValueRange so) {
               Values next;
               for (int64_t i = 0; i < kAhead; ++i) {
                 Value number = b.add(b.add(first, b.index(i * lanes)), lane);
                 next.append(addRun(b, place(number),
                                    Values(so.slice(i * rows, rows))));
               }
               return next;
             });
  for (int64_t i = 1; i < kAhead; ++i)
    for (int64_t row = 0; row < rows; ++row)
      sums[row] = arith::AddFOp::create(b.builder, loc, sums[row],
                                        sums[i * rows + row]);
  sums.truncate(rows);
  return b.fold(b.add(frame.size(whole), lane), frame.size(runs), lanes, sums,
                [&](Value number, ValueRange so) {
                  return addRun(b, place(number), Values(so));
                });
}

void FewRows::emitColumn(ThreadBuilder &b) {
  Value lane = b.rem(b.thread(), b.index(ThreadBuilder::kWarp));
  Values sums = sumLane(b, lane);
  auto plus = [&](OpBuilder &builder, Value x, Value y) -> Value {
    return arith::AddFOp::create(builder, loc, x, y);
  };
  Value own;
  for (int64_t row = 0; row < rows; ++row) {
    Value sum = b.reduceWarp(sums[row], plus);
    Value isHere = arith::CmpIOp::create(
        b.builder, loc, arith::CmpIPredicate::eq, lane, b.index(row));
    own = own ? arith::SelectOp::create(b.builder, loc, isHere, sum, own) : sum;
  }
  // A lane finishes the row of its number.
  Value count = b.min(frame.size(getExtent(contraction.m)), b.index(rows));
  b.ifElse(b.isLess(lane, count), [&] {
    setRow(b, lane);
    finishElement(b, own);
  });
}

AffineExpr FewRows::emit() {
  constexpr int64_t warps = kThreads / ThreadBuilder::kWarp;
  placeStorages();
  ThreadBuilder b(frame.builder(), loc);
  Value item = frame.begin();
  AffineExpr columns = getExtent(contraction.n);
  Value block = b.take(item, frame.size(columns.ceilDiv(warps)));
  enterElement(b, item, batches);
  Value warp = b.div(b.thread(), b.index(ThreadBuilder::kWarp));
  Value column = b.add(b.mul(block, b.index(warps)), warp);
  position[step.classes[contraction.n]] = column;
  // The same for all threads of a warp.
  Value isThere = b.isLess(column, frame.size(columns));
  b.ifElse(isThere, [&] { emitColumn(b); });
  return getCountExpr(batches) * columns.ceilDiv(warps);
}
