#include "AttentionModel.h"
#include "AttentionRows.h"
#include "ContractionStages.h"
#include "HopperAttention.h"

#include "tenon/Codegen/GPU/DeviceDescription.h"

using namespace mlir;
using namespace tenon;
using kernel::AttentionOp;

using Kind = AttentionForm::Kind;

/// Rows up to which blocks share the keys, and from which tiles of Hopper's
/// many rows are: fewer would leave most of one empty.
static constexpr int64_t kFewRows = 16, kManyRows = 128;
/// Rows of a tile by mma.sync, a warp's and four warps'.
static constexpr int64_t kTileRows = 64;

namespace {
class AttentionModel : AttentionRows {
public:
  AttentionModel(AttentionOp op, kernel::FuncOp kernel, KernelFrame &frame,
                 const GPUTarget &target)
      : AttentionRows(op, kernel, frame), target(target),
        multiprocessors(describeDevice(target).multiprocessors) {}

  SmallVector<AttentionForm> choose();

private:
  KeyParts chooseParts() const;
  KeyParts choosePartsOfFew() const;
  int64_t chooseKeysOfMapped(bool isForFew);
  int64_t chooseResidents();
  AttentionForm getMapped(bool isForFew);
  AttentionForm getTiles(bool isForFew);
  bool takesMapped(const AttentionForm &form) const {
    return target.isHopper() && HopperAttention::matches(*this, form.rows);
  }
  static int64_t getKnown(AffineExpr size, int64_t standard) {
    auto known = dyn_cast<AffineConstantExpr>(size);
    return known ? known.getValue() : standard;
  }

  const GPUTarget &target;
  const int64_t multiprocessors;
};
} // namespace

/// One query keeps all multiprocessors busy if its keys are split; many queries
/// do so by themselves. Three blocks on each of 132 multiprocessors keep a
/// large GPU busy, of as many keys as are worth one.
KeyParts AttentionModel::chooseParts() const {
  constexpr int64_t fewKeys = 512, manyTokens = 256, blocks = 3 * 132;
  AffineExpr tokens = simplify(query.sizes[2]), all = simplify(keys);
  if (tokens == all || getKnown(all, fewKeys) < fewKeys ||
      getKnown(tokens, manyTokens) > manyTokens)
    return {};
  return {{{0, blocks}}};
}

/// On Hopper, where a block has a multiprocessor for itself: one for each, or,
/// so that all have as much to do, eight. Where there are about as many items,
/// they are the parts, unless keys are so many that 32 are long, too.
KeyParts AttentionModel::choosePartsOfFew() const {
  constexpr int64_t few = 33, enough = 100, rounds = 8, finest = 32;
  constexpr int64_t fewestTiles = 7;
  if (getKnown(simplify(keys), INT64_MAX) <= KeyParts::kFewestKeys)
    return {};
  return {
      {{0, multiprocessors},
       {few + 1, rounds * multiprocessors},
       {enough, finest * multiprocessors, fewestTiles * KeyParts::kFewestKeys},
       {multiprocessors + 1, rounds * multiprocessors},
       {rounds * multiprocessors / 2 + 1}}};
}

/// Scores, weights and sums of more keys do not fit a thread's registers, with
/// a mask as many elements of it, and beside the most features what unknown
/// sizes take.
int64_t AttentionModel::chooseKeysOfMapped(bool isForFew) {
  constexpr int64_t chunk = 64, depth = 16;
  int64_t chunks =
      llvm::divideCeil(std::max(getFeatures(key), getFeatures(value)), chunk);
  int64_t keysOfTile = chunks <= 2 ? 128 : chunks == 3 && !isForFew ? 80 : 64;
  if (op.getMask())
    return keysOfTile / 2 / depth * depth;
  bool isKnown =
      isa<AffineConstantExpr>(simplify(query.sizes[0] * query.sizes[2] + keys));
  return chunks > 3 && !isForFew && !isKnown ? keysOfTile - depth : keysOfTile;
}

AttentionForm AttentionModel::getMapped(bool isForFew) {
  AttentionForm form{Kind::mapped};
  form.rows = isForFew ? kFewRows : kManyRows;
  form.keys = chooseKeysOfMapped(isForFew);
  form.residents = 1;
  form.blocks = multiprocessors;
  if (isForFew)
    form.parts = choosePartsOfFew();
  return form;
}

/// Left alone, ptxas spills in some forms to hold one block more.
int64_t AttentionModel::chooseResidents() {
  bool isBare = !lse && !lengths && !positions && !sinks &&
                int64_t(op.getLeftWindow()) < 0 &&
                int64_t(op.getRightWindow()) < 0;
  if (isPlain && getFeatures(query) <= 64)
    return 3;
  // Three blocks fit without a spill, but not where they are demanded.
  return isPlain && isBare && getFeatures(query) == 128 ? 0 : 2;
}

AttentionForm AttentionModel::getTiles(bool isForFew) {
  AttentionForm form{Kind::tiles};
  form.rows = isForFew ? kFewRows : kTileRows;
  // All fits the 99 KiB that every device has, and sums their registers.
  form.keys = getFeatures(query) + getFeatures(value) > 256 ? 32 : 64;
  form.parts = chooseParts();
  if (isQueryShared())
    form.residents = 1;
  else
    form.residents = isForFew ? 0 : chooseResidents();
  return form;
}

/// What never runs is left out.
SmallVector<AttentionForm> AttentionModel::choose() {
  if (!matches()) {
    AttentionForm form{Kind::threads};
    // Else ptxas would rather spill than have fewer blocks side by side.
    form.residents = 1;
    form.parts = chooseParts();
    return {form};
  }
  SmallVector<AttentionForm> forms;
  AttentionForm many = getMapped(/*isForFew=*/false);
  AttentionForm few = getMapped(/*isForFew=*/true);
  AttentionForm rest = getTiles(/*isForFew=*/false);
  if (takesMapped(many)) {
    many.first = kManyRows;
    rest.last = kManyRows - 1;
    forms.push_back(many);
  }
  if (!takesMapped(few))
    few = getTiles(/*isForFew=*/true);
  few.last = kFewRows;
  rest.first = kFewRows + 1;
  forms.append({few, rest});
  auto known = dyn_cast<AffineConstantExpr>(simplify(rows));
  if (!known)
    return forms;
  llvm::erase_if(forms, [&](const AttentionForm &form) {
    return known.getValue() < form.first || known.getValue() > form.last;
  });
  forms[0].first = 0;
  forms[0].last = AttentionForm::kNoEnd;
  return forms;
}

SmallVector<AttentionForm>
tenon::chooseAttentionForms(AttentionOp op, kernel::FuncOp kernel,
                            ModuleOp scratch, const GPUTarget &target) {
  KernelFrame frame(kernel, scratch, kernel.getSymName() + ".read");
  return AttentionModel(op, kernel, frame, target).choose();
}
