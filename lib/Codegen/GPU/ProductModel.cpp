#include "ProductModel.h"

#include "ContractionStages.h"
#include "FewRows.h"
#include "HopperContraction.h"
#include "TileForms.h"

#include "tenon/Codegen/GPU/DeviceDescription.h"

using namespace mlir;
using namespace tenon;

using Kind = ProductForm::Kind;

/// Rows up to which a warp sums a column, in two forms.
static constexpr int64_t kOneRow = 1, kFewRows = 8;
/// Rows up to which Hopper's tiles are turned, in two forms, and their size.
static constexpr int64_t kTurned[] = {32, 64};
static constexpr int64_t kTurnedSize = ProductForm::kAcross;
/// Columns of Hopper's tiles.
static constexpr int64_t kWide = 256, kNarrow = 128;
/// Sides of the other tiles, and a known size up to which they are the small
/// ones.
static constexpr int64_t kLarge = 128, kSmall = 64, kFewTiles = 128;

namespace {
class ProductModel {
public:
  ProductModel(const KernelReading &reading, const GPUTarget &target,
               const ScheduleTable &table)
      : reading(reading), contraction(*reading.found), target(target),
        device(describeDevice(target)), table(table),
        rows(reading.getExtent(contraction.m)),
        columns(reading.getExtent(contraction.n) *
                int64_t(contraction.getSums().size())) {}

  SmallVector<ProductForm> choose();

private:
  static bool canBe(AffineExpr size, int64_t least) {
    return isAtLeast(size, least) != 0;
  }
  static bool mustBe(AffineExpr size, int64_t least) {
    return isAtLeast(size, least) == 1;
  }
  Type getElement() const {
    return reading.program
        ->storages[reading.getStep().reads[contraction.b].storage]
        .element;
  }
  ProductForm chooseOneRow() const;
  ScheduleTable::Share chooseShare(int64_t first, int64_t last) const;
  int64_t chooseSide() const;
  bool addKnown(const HopperContraction::Factors &factors);
  void addHopper(const HopperContraction::Factors &factors, int64_t first);

  const KernelReading &reading;
  const Contraction &contraction;
  const GPUTarget &target;
  const DeviceDescription &device;
  const ScheduleTable &table;
  AffineExpr rows, columns; // columns of all products
  SmallVector<ProductForm> forms;
};
} // namespace

static int64_t getKnown(AffineExpr size) {
  auto known = dyn_cast<AffineConstantExpr>(size);
  return known ? known.getValue() : 0;
}

/// All of a column at once if that is little more than the standard. Each round
/// of a deeper one waits for memory and then computes: where a multiprocessor
/// has few blocks, so that it would do one at a time, rounds are longer, and
/// warps share a column.
ProductForm ProductModel::chooseOneRow() const {
  constexpr int64_t most = 8, warps = FewRows::kThreads / ThreadBuilder::kWarp;
  ProductForm form{Kind::warps, kOneRow, kOneRow};
  int64_t depth = getKnown(reading.getExtent(contraction.k));
  int64_t all = llvm::divideCeil(depth / FewRows::getRun(getElement(), depth),
                                 ThreadBuilder::kWarp);
  if (contraction.twin || all <= form.ahead)
    return form;
  int64_t known = getKnown(columns), enough = 4 * device.multiprocessors;
  int64_t blocks = llvm::divideCeil(known, warps);
  if (all > most && (!known || blocks > enough))
    return form;
  form.ahead = std::min(all, most);
  while (form.splits < warps && blocks * form.splits * 2 <= enough &&
         all / (form.splits * 2) >= most)
    form.splits *= 2;
  return form;
}

/// Memory gives longer runs of a weight's rows faster, where a block has stages
/// enough to wait for so many of them.
static ScheduleTable::Share askTogether(int64_t last, int64_t across,
                                        int64_t splits) {
  if (last > kTurned[0] || splits > 1)
    return {across, splits, 1};
  return {across, splits, across < kTurnedSize ? 4 : 2};
}

/// A product of few rows takes as long as its weights take from memory, and
/// multiprocessors have to ask for them: nearly all, or half of them where that
/// takes a cluster of four. A cluster takes its time to begin, a large one
/// more: tiles are halves before a cluster is larger.
ScheduleTable::Share ProductModel::chooseShare(int64_t first,
                                               int64_t last) const {
  int64_t known = getKnown(columns);
  if (!known)
    return askTogether(last, kTurnedSize, 1);
  std::string type;
  llvm::raw_string_ostream(type) << getElement();
  ProductShape shape{target.name, type, known,
                     getKnown(reading.getExtent(contraction.k))};
  if (auto measured = table.find(shape, first, last))
    return *measured;
  constexpr int64_t most = 4;
  for (int64_t splits = 1; splits <= most; splits *= 2) {
    uint64_t enough = device.multiprocessors * 9 / 10;
    if (splits == most)
      enough /= 2;
    for (int64_t across : {kTurnedSize, kTurnedSize / 2})
      if (llvm::divideCeil(known, across) * splits >= enough)
        return askTogether(last, across, splits);
  }
  return {kTurnedSize / 2, most, 1};
}

/// The one form that sizes choose, where they are known: for windows, for rows
/// that give few tiles, and for little depth, which is over before a tile's end
/// is.
bool ProductModel::addKnown(const HopperContraction::Factors &factors) {
  constexpr int64_t shallow = 8;
  const Step &step = reading.getStep();
  TileProduct product{1, getKnown(rows), getKnown(columns), 0};
  int64_t depth = getKnown(reading.getExtent(contraction.k));
  for (unsigned loop = 0; loop < step.classes.size(); ++loop)
    if (step.isParallel[loop] && int(loop) != contraction.m &&
        loop != contraction.n)
      product.batches *= getKnown(reading.getExtent(loop));
  if (product.batches * product.rows * product.columns * depth == 0)
    return false;
  int64_t channels = factors.first.channels;
  product.depth = channels
                      ? depth / channels * llvm::divideCeil(channels, kDepth)
                      : llvm::divideCeil(depth, kDepth);
  int64_t tiles = product.batches * llvm::divideCeil(product.rows, kNarrow) *
                  llvm::divideCeil(product.columns, kNarrow);
  bool isUsual =
      tiles >= device.multiprocessors * 3 / 4 && product.depth > shallow;
  if (!factors.first.windows && (product.rows <= kTurned[1] || isUsual))
    return false;
  HopperContraction::Form form =
      chooseForm(product, factors.first.isAlongK, device.multiprocessors);
  forms.push_back({form.isTurned ? Kind::turned : Kind::mapped, 0,
                   ProductForm::kNoEnd, form.columns, form.splits});
  return true;
}

void ProductModel::addHopper(const HopperContraction::Factors &factors,
                             int64_t first) {
  if (factors.first.isAlongK)
    for (int64_t last : kTurned) {
      if (canBe(rows, first) && !mustBe(rows, last + 1)) {
        auto [across, splits, together] = chooseShare(first, last);
        // Halves of a half tile's rows would be narrower than a swizzled row.
        if (contraction.getSums().size() > 1 && !factors.second.isAlongK)
          across = kTurnedSize;
        ProductForm form{Kind::turned, first, last, last, splits, 0, across};
        if (factors.second.isAlongK && !factors.first.windows)
          form.together = together;
        forms.push_back(form);
      }
      first = last + 1;
    }
  if (!canBe(rows, first))
    return;
  // Wide tiles reuse more of what they read, where there is one for each.
  forms.push_back({Kind::mapped, first, ProductForm::kNoEnd, kWide, 1,
                   device.multiprocessors});
  forms.push_back({Kind::mapped, first, ProductForm::kNoEnd, kNarrow});
}

/// Small tiles where a size is small, so that there are many.
int64_t ProductModel::chooseSide() const {
  auto isSmall = [](AffineExpr size) {
    int64_t known = getKnown(size);
    return isa<AffineConstantExpr>(size) && known <= kFewTiles;
  };
  const Step &step = reading.getStep();
  unsigned outer = contraction.m >= 0 ? 2 : 1;
  bool hasBatches = llvm::count(step.isParallel, true) > outer;
  // What finds windows' elements needs registers of its own.
  return contraction.windows || isSmall(rows) || isSmall(columns) || hasBatches
             ? kSmall
             : kLarge;
}

SmallVector<ProductForm> ProductModel::choose() {
  bool takesFew = FewRows::matches(*reading.program, contraction);
  std::optional<HopperContraction::Factors> factors;
  if (target.isHopper())
    factors = HopperContraction::match(*reading.program, contraction);
  // Fewer rows or columns would leave most of a tile empty.
  int64_t fewest = factors || contraction.windows ? kOneRow + 1 : kFewRows + 1;
  bool takesTiles = canBe(rows, fewest) && canBe(columns, kFewRows + 1);
  if (!takesTiles && (!takesFew || canBe(rows, fewest)))
    return {};
  if (takesFew && !mustBe(rows, kOneRow + 1))
    forms.push_back(chooseOneRow());
  if (factors && takesTiles && forms.empty() && addKnown(*factors))
    return forms;
  if (factors && takesTiles) {
    addHopper(*factors, takesFew ? kOneRow + 1 : 1);
    return forms;
  }
  // What finds each element of several windows has no room in registers.
  int64_t few = !takesFew ? 0 : contraction.windows ? kOneRow : kFewRows;
  if (few > kOneRow && canBe(rows, kOneRow + 1) && !mustBe(rows, few + 1))
    forms.push_back({Kind::warps, kOneRow + 1, few});
  if (takesTiles)
    forms.push_back(
        {Kind::tiles, few ? few + 1 : 0, ProductForm::kNoEnd, chooseSide()});
  return forms;
}

SmallVector<ProductForm> tenon::chooseProductForms(const KernelReading &reading,
                                                   const GPUTarget &target,
                                                   const ScheduleTable &table) {
  if (!reading.found)
    return {};
  return ProductModel(reading, target, table).choose();
}
