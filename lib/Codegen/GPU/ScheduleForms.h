// How forms are written in a kernel's `schedule`: a list for each architecture,
// in it a dictionary for each form, with its name and its numbers.

#ifndef TENON_LIB_CODEGEN_GPU_SCHEDULEFORMS_H
#define TENON_LIB_CODEGEN_GPU_SCHEDULEFORMS_H

#include "dialects/Kernel/KernelDialect.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/StringExtras.h"

#include <optional>

namespace tenon {

/// What the schedule has for an architecture; null where it has nothing.
mlir::Attribute findSchedule(kernel::FuncOp kernel,
                             llvm::StringRef architecture);
/// The list for an architecture; null where there is none.
mlir::ArrayAttr findForms(kernel::FuncOp kernel, llvm::StringRef architecture);
void setForms(kernel::FuncOp kernel, llvm::StringRef architecture,
              llvm::ArrayRef<mlir::Attribute> forms);

/// The name of a form; empty where it has none.
llvm::StringRef getFormName(mlir::Attribute form);

/// "FORM; FORM".
template <typename Forms>
std::string describeForms(const Forms &forms) {
  return llvm::join(
      llvm::map_range(forms, [](const auto &form) { return form.describe(); }),
      "; ");
}

/// Fails with what was expected of the list for an architecture as a whole, but
/// `got` something else.
mlir::InFlightDiagnostic failForms(kernel::FuncOp kernel,
                                   llvm::StringRef architecture);

/// Writes a dictionary. What has its standard value is left out.
class FormWriter {
public:
  explicit FormWriter(mlir::MLIRContext *context) : builder(context) {}
  FormWriter(mlir::MLIRContext *context, llvm::StringRef name)
      : builder(context) {
    entries.set("form", builder.getStringAttr(name));
  }

  void set(llvm::StringRef key, int64_t value, int64_t standard);
  void set(llvm::StringRef key, llvm::ArrayRef<mlir::Attribute> list);
  void set(llvm::StringRef key, llvm::ArrayRef<int64_t> numbers);
  mlir::DictionaryAttr get() {
    return entries.getDictionary(builder.getContext());
  }

private:
  mlir::Builder builder;
  mlir::NamedAttrList entries;
};

/// Reads a dictionary, and says what is not as expected, once.
class FormReader {
public:
  /// `what`: "form 0", as messages call it.
  FormReader(kernel::FuncOp kernel, llvm::StringRef architecture,
             const llvm::Twine &what, mlir::Attribute form);

  /// Which of the names the form has; 0 where it is none of them.
  unsigned getName(llvm::ArrayRef<llvm::StringRef> names);
  /// A number from `least` to `most`; the standard where there is none.
  int64_t getNumber(llvm::StringRef key, int64_t standard, int64_t least = 0,
                    int64_t most = INT64_MAX);
  /// One of some numbers.
  int64_t getOneOf(llvm::StringRef key, int64_t standard,
                   llvm::ArrayRef<int64_t> numbers);
  llvm::SmallVector<int64_t> getNumbers(llvm::StringRef key);
  /// Calls `read` with each dictionary of a list.
  void forAll(llvm::StringRef key, llvm::function_ref<void(FormReader &)> read);
  /// Fails where anything was not as expected, or an entry was not asked for.
  mlir::LogicalResult finish();
  /// Says that something else was expected.
  void fail(const llvm::Twine &expected, const llvm::Twine &got);

private:
  mlir::Attribute find(llvm::StringRef key);
  std::string show(mlir::Attribute attr);

  kernel::FuncOp kernel;
  std::string architecture, what;
  mlir::DictionaryAttr entries;
  llvm::SmallVector<llvm::StringRef> asked;
  bool isWrong = false;
};

/// All forms of the list for an architecture; `fromAttr` reads one.
template <typename Form>
mlir::FailureOr<llvm::SmallVector<Form>>
readForms(kernel::FuncOp kernel, llvm::StringRef architecture,
          Form (*fromAttr)(FormReader &)) {
  llvm::SmallVector<Form> forms;
  for (auto [number, attr] : llvm::enumerate(findForms(kernel, architecture))) {
    FormReader reader(kernel, architecture, "form " + llvm::Twine(number),
                      attr);
    forms.push_back(fromAttr(reader));
    if (failed(reader.finish()))
      return mlir::failure();
  }
  return forms;
}

/// The list for an architecture; `toAttr` writes one form.
template <typename Form>
void writeForms(kernel::FuncOp kernel, llvm::StringRef architecture,
                llvm::ArrayRef<Form> forms,
                mlir::DictionaryAttr (*toAttr)(const Form &,
                                               mlir::MLIRContext *)) {
  llvm::SmallVector<mlir::Attribute> list;
  for (const Form &form : forms)
    list.push_back(toAttr(form, kernel.getContext()));
  setForms(kernel, architecture, list);
}

} // namespace tenon

#endif // TENON_LIB_CODEGEN_GPU_SCHEDULEFORMS_H
