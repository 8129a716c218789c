#include "tools/tenon-compile/Report.h"

#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Location.h"

using namespace mlir;
using namespace tenon::compile;

/// "node 'X' (Op, domain 'd', version 13)" where the location names one, else the
/// file and line.
static std::string describe(Location loc) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (auto named = dyn_cast<NameLoc>(loc)) {
    stream << "node '" << named.getName().getValue() << "'";
    auto kind = dyn_cast<FusedLoc>(named.getChildLoc());
    if (auto origin = kind ? dyn_cast_or_null<StringAttr>(kind.getMetadata())
                           : StringAttr())
      stream << " (" << origin.getValue() << ")";
  } else if (auto fused = dyn_cast<FusedLoc>(loc);
             fused && !fused.getLocations().empty()) {
    stream << describe(fused.getLocations().front());
  } else if (auto file = dyn_cast<FileLineColLoc>(loc)) {
    stream << file.getFilename().getValue();
    if (file.getLine() != 0)
      stream << ':' << file.getLine() << ':' << file.getColumn();
  }
  return text;
}

/// The message without what its place says already: node and operator.
static std::string getReason(Diagnostic &diagnostic, StringRef place) {
  std::string text = diagnostic.str();
  StringRef reason = text;
  if (reason.consume_front(place))
    reason.consume_front(": ");
  auto [op, rest] = reason.split("' op ");
  if (place.starts_with("node") && op.starts_with("'onnx.") && !rest.empty())
    reason = rest;
  return reason.str();
}

LogicalResult tenon::compile::report(Diagnostic &diagnostic) {
  StringRef kind;
  switch (diagnostic.getSeverity()) {
  case DiagnosticSeverity::Error:
    kind = "error: ";
    break;
  case DiagnosticSeverity::Warning:
    kind = "warning: ";
    break;
  default:
    return success();
  }
  std::string place = describe(diagnostic.getLocation());
  llvm::errs() << "tenon-compile: " << kind << place
               << (place.empty() ? "" : ": ") << getReason(diagnostic, place)
               << '\n';
  for (Diagnostic &note : diagnostic.getNotes())
    llvm::errs() << "  note: " << note.str() << '\n';
  return success();
}

LogicalResult Obstacles::add(Diagnostic &diagnostic) {
  if (diagnostic.getSeverity() != DiagnosticSeverity::Error)
    return success();
  std::string place = describe(diagnostic.getLocation());
  std::string reason = getReason(diagnostic, place);
  for (const Obstacle &known : obstacles)
    if (known.place == place && known.reason == reason)
      return success();
  obstacles.push_back({place, reason});
  return success();
}

/// What a user can do about a reason.
static StringRef getRemedy(StringRef reason) {
  static constexpr std::pair<StringRef, StringRef> kRemedies[] = {
      {"but this one has no lowering",
       "replace it by operators that docs/coverage.md lists as passing, or add a "
       "lowering (docs/adding-an-op.md)"},
      {"expected a supported operator",
       "export the model with standard operators, or with a function of the model "
       "that defines this one"},
      {"depends on data",
       "make what decides the size a constant, or compute it from input shapes"},
      {"determine", "make the value a constant, or compute it from input shapes"},
      {"tensor of numbers",
       "keep strings, sequences, maps and optionals outside the model"},
      {"of known rank", "give the value a rank in the model, as value_info"},
      {"kernels calculate in", "convert the value to a type of 8 to 64 bits"},
      {"not in it", "raise the opset that the model imports, or export it anew"},
      {"no longer in it", "export the model with a newer opset"},
  };
  for (const auto &[part, remedy] : kRemedies)
    if (reason.contains(part))
      return remedy;
  return "change the model so that the expectation holds";
}

void Obstacles::print(llvm::raw_ostream &os, StringRef model) const {
  for (const Obstacle &obstacle : obstacles)
    os << (obstacle.place.empty() ? model : StringRef(obstacle.place))
       << "\n  reason: " << obstacle.reason
       << "\n  remedy: " << getRemedy(obstacle.reason) << '\n';
  if (obstacles.empty())
    os << "nothing stops the compilation of " << model << '\n';
  else
    os << obstacles.size()
       << (obstacles.size() == 1 ? " thing stops" : " things stop")
       << " the compilation of " << model << '\n';
}
