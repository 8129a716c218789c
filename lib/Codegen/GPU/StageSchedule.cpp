#include "StageSchedule.h"
#include "RowForm.h"
#include "SharedLoop.h"

using namespace mlir;
using namespace tenon;

using Kind = StageForm::Kind;

StageSchedule::StageSchedule(const KernelProgram &program,
                             ArrayRef<StageForm> forms, bool keepsRowValues)
    : program(program), groups(program), keepsRowValues(keepsRowValues) {
  if (forms.size() == 1 && forms[0].isOfRows())
    makeRows(forms[0]);
  else
    makeStages(forms);
  if (wanted.empty())
    findForwarded();
}

/// Whether runs of so many neighbours are all there is along the last class.
bool StageSchedule::isMultiple(const ThreadGroup &group, int64_t width) const {
  if (width == 1 || group.spread.empty())
    return true;
  auto extent =
      dyn_cast<AffineConstantExpr>(program.extents[group.spread.back()]);
  return extent && extent.getValue() % width == 0;
}

void StageSchedule::hold(StagePlan &stage, const StageForm &form) {
  stage.form = findRowForm(program, stage);
  if (!stage.form || form.together.empty() ||
      stage.form->size % form.width != 0) {
    wanted = "a form that does not hold rows of that length in registers";
    return;
  }
  stage.form->width = form.width;
  stage.form->rows = form.rows;
  stage.form->threads = form.threads / form.rows;
  stage.form->chunks =
      llvm::divideCeil(stage.form->size / form.width, stage.form->threads);
}

/// One stage whose blocks are rows.
void StageSchedule::makeRows(const StageForm &form) {
  StagePlan stage;
  stage.rows = groups.getRows();
  for (int64_t index : form.together)
    if (index < 0 || index >= int64_t(program.steps.size()) ||
        !groups.canReduceTogether(index, stage.rows))
      wanted = "sums in all steps that threads make together";
  if (!wanted.empty())
    return;
  stage.groups = groups.make(stage.rows, form.together);
  if (stage.groups.empty())
    wanted = "no form";
  for (ThreadGroup &group : stage.groups) {
    groups.orderSpread(group);
    if (!isMultiple(group, form.width))
      wanted = "rows of a multiple of its width";
  }
  stage.threads = form.threads;
  stage.width = form.width;
  if (form.kind == Kind::held && wanted.empty())
    hold(stage, form);
  stages.push_back(stage);
}

void StageSchedule::makeStage(const StageForm &form, ThreadGroup group) {
  StagePlan stage;
  stage.threads = form.threads;
  if (form.kind == Kind::loop) {
    if (group.steps.size() != 1 ||
        !findChoosingLoop(program.steps[group.steps[0]]))
      wanted = "a loop that threads can share";
    std::swap(stage.rows, group.spread);
    group.sharesLoop = true;
  } else {
    groups.orderSpread(group);
    stage.isFlat = true;
    stage.width = form.width;
    if (form.isOfRows())
      wanted = "one form where one is of rows";
    else if (form.width > 1 &&
             !(groups.canBeWide(group) && isMultiple(group, form.width)))
      wanted = "neighbours of a multiple of its width";
  }
  stage.groups.push_back(group);
  stages.push_back(stage);
}

/// A stage for each group.
void StageSchedule::makeStages(ArrayRef<StageForm> forms) {
  SmallVector<ThreadGroup> all = groups.make({}, {});
  if (all.size() != forms.size()) {
    wanted = std::to_string(all.size()) + " forms, one for each stage";
    return;
  }
  for (auto [form, group] : llvm::zip_equal(forms, all))
    makeStage(form, group);
}

/// Whether the storage has one element for each row of the stage.
bool StageSchedule::isRowValue(int storage, const StagePlan &stage) const {
  return keepsRowValues && !stage.isFlat &&
         haveSameClasses(program.storageClasses[storage], stage.rows);
}

void StageSchedule::findForwarded() {
  SmallVector<int> writer(program.storages.size(), -1);
  SmallVector<const StagePlan *> stageOfWriter(writer.size(), nullptr);
  forwarded.assign(program.storages.size(), true);
  int number = 0;
  for (const StagePlan &stage : stages)
    for (const ThreadGroup &group : stage.groups) {
      for (unsigned index : group.steps) {
        const Step &step = program.steps[index];
        for (const Access &write : step.writes) {
          writer[write.storage] = number;
          stageOfWriter[write.storage] = &stage;
          forwarded[write.storage] &=
              program.storages[write.storage].buffer < 0;
        }
        auto check = [&](const Access &read) {
          int from = read.storage;
          if (from < 0 || writer[from] == number)
            return;
          if (stageOfWriter[from] != &stage ||
              !(stage.form || isRowValue(from, stage)))
            forwarded[from] = false;
        };
        llvm::for_each(step.reads, check);
        for (const Initial &initial : step.initials)
          check(initial.access);
      }
      ++number;
    }
  for (unsigned storage = 0; storage < program.storages.size(); ++storage)
    if (program.isExtracted(storage))
      forwarded[storage] = false;
}
