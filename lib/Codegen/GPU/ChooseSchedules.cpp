// Kernels get the schedules that code generation for GPUs obeys.

#include "tenon/Codegen/GPU/Passes.h"

#include "AttentionModel.h"
#include "ProductModel.h"
#include "RowModel.h"
#include "ScheduleForms.h"

#include "tenon/Codegen/Program/KernelPieces.h"
#include "tenon/Codegen/Program/WholeKernel.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Remarks.h"
#include "llvm/Support/MemoryBuffer.h"

namespace tenon {
#define GEN_PASS_DEF_CHOOSESCHEDULESPASS
#include "tenon/Codegen/GPU/Passes.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;

static llvm::Expected<ScheduleTable> readTable(StringRef path) {
  if (path.empty())
    return ScheduleTable::getOwn();
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!file)
    return llvm::createStringError(file.getError(), "cannot read '%s': %s",
                                   path.str().c_str(),
                                   file.getError().message().c_str());
  return ScheduleTable::parse((*file)->getBuffer());
}

static std::optional<GPUTarget> findTarget(StringRef name) {
  for (const GPUTarget &target : getGPUTargets())
    if (target.name == name)
      return target;
  return std::nullopt;
}

namespace {
struct ChooseSchedules final
    : tenon::impl::ChooseSchedulesPassBase<ChooseSchedules> {
  using ChooseSchedulesPassBase::ChooseSchedulesPassBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    registerCodegenDialects(registry);
  }

  LogicalResult initialize(MLIRContext *context) override {
    Location loc = UnknownLoc::get(context);
    targets.clear();
    for (const std::string &name : architectures) {
      std::optional<GPUTarget> target = findTarget(name);
      if (!target)
        return emitError(loc) << "expected choose-schedules with architectures "
                                 "of targets, but "
                                 "got '"
                              << name << "'";
      targets.push_back(*target);
    }
    llvm::Expected<ScheduleTable> read = readTable(table);
    if (!read)
      return emitError(loc) << "expected choose-schedules with a table: "
                            << llvm::toString(read.takeError());
    measured = std::move(*read);
    return success();
  }

  void runOnOperation() override {
    for (auto kernel : getOperation().getOps<kernel::FuncOp>())
      choose(kernel);
  }

  /// Of a kernel that falls into pieces each part has a schedule.
  void choose(kernel::FuncOp kernel) {
    OwningOpRef<ModuleOp> scratch = ModuleOp::create(kernel.getLoc());
    kernel::FuncOp general = generalizeKernel(kernel, *scratch);
    if (!kernel->hasAttr(kernel::kPiecesAttr))
      return choose(kernel, general, *scratch);
    KernelPieces pieces(general, *scratch);
    if (pieces.isWhole())
      return choose(kernel, general, *scratch);
    SmallVector<Attribute> schedules, given = getPartSchedules(kernel);
    for (auto [number, part] : llvm::enumerate(pieces.parts)) {
      if (given.size() == pieces.parts.size())
        part.setScheduleAttr(dyn_cast<DictionaryAttr>(given[number]));
      choose(part, part, *scratch);
      schedules.push_back(part.getScheduleAttr());
    }
    if (pieces.prologue)
      choosePrologue(kernel, pieces.prologue->before, *scratch);
    for (const GPUTarget &target : targets)
      setForms(kernel, target.name, {});
    setPartSchedules(kernel, schedules);
  }

  /// `general` is the kernel with generic operations. What it says for an
  /// architecture already stays.
  void choose(kernel::FuncOp kernel, kernel::FuncOp general, ModuleOp scratch) {
    KernelReading reading(general, scratch, kernel.getSymName() + ".read");
    for (const GPUTarget &target : targets)
      if (!findSchedule(kernel, target.name))
        report(kernel, target,
               choose(kernel, reading, general, scratch, target));
  }

  /// What was chosen, for people.
  std::string choose(kernel::FuncOp kernel, const KernelReading &reading,
                     kernel::FuncOp general, ModuleOp scratch,
                     const GPUTarget &target) {
    auto attention = findInBody<kernel::AttentionOp>(general);
    if (attention && isAlone(attention, general)) {
      SmallVector<AttentionForm> forms =
          chooseAttentionForms(attention, general, scratch, target);
      setAttentionForms(kernel, target, forms);
      return describeForms(forms);
    }
    if (SmallVector<ProductForm> forms =
            chooseProductForms(reading, target, measured);
        !forms.empty()) {
      setProductForms(kernel, target.name, forms);
      return describeForms(forms);
    }
    SmallVector<StageForm> forms = chooseSteps(general, scratch);
    setStageForms(kernel, target.name, forms);
    return describeForms(forms);
  }

  /// Of the steps as code generation reads them: where a product is found,
  /// loops have merged.
  SmallVector<StageForm> chooseSteps(kernel::FuncOp general, ModuleOp scratch) {
    KernelFrame frame(general, scratch, general.getSymName() + ".steps");
    std::optional<KernelProgram> program =
        KernelProgram::read(general, frame, /*readsPadded=*/true);
    return program ? chooseStageForms(*program) : SmallVector<StageForm>();
  }

  /// The steps that make the rows of a kernel's products.
  void choosePrologue(kernel::FuncOp kernel, kernel::FuncOp before,
                      ModuleOp scratch) {
    DictionaryAttr given = getPrologueSchedule(kernel);
    before.setScheduleAttr(given ? given : kernel.getScheduleAttr());
    KernelFrame frame(before, scratch, before.getSymName() + ".rows");
    std::optional<KernelProgram> program = KernelProgram::read(before, frame);
    SmallVector<StageForm> forms;
    if (program)
      forms = choosePrologueForms(*program);
    if (forms.size() != 1 || forms[0].kind == StageForm::Kind::flat)
      forms = chooseSteps(before, scratch);
    for (const GPUTarget &target : targets) {
      if (findSchedule(before, target.name))
        continue;
      setStageForms(before, target.name, forms);
      report(kernel, target, "rows by " + describeForms(forms));
    }
    setPrologueSchedule(kernel, before.getScheduleAttr());
  }

  static void report(kernel::FuncOp kernel, const GPUTarget &target,
                     const std::string &text) {
    if (!text.empty())
      remark::passed(
          kernel.getLoc(),
          remark::RemarkOpts::name("forms").category("choose-schedules"))
          << (target.name + ": " + text);
  }

  SmallVector<GPUTarget> targets;
  ScheduleTable measured;
};
} // namespace
