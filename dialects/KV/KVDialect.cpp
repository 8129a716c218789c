#include "dialects/KV/KVDialect.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::kv;

#include "dialects/KV/KVDialect.cpp.inc"
#include "dialects/KV/KVEnums.cpp.inc"
#include "dialects/KV/KVInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/KV/KVAttrs.cpp.inc"

/// ?x64x3xf32
static ParseResult parseSizesAndElement(AsmParser &parser,
                                        SmallVector<int64_t> &shape,
                                        Type &element) {
  return failure(parser.parseDimensionList(shape) || parser.parseType(element));
}

static void printSizesAndElement(AsmPrinter &printer, ArrayRef<int64_t> shape,
                                 Type element) {
  printer.printDimensionList(shape);
  printer << 'x' << element;
}

#define GET_TYPEDEF_CLASSES
#include "dialects/KV/KVTypes.cpp.inc"

void KVDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/KV/KVAttrs.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/KV/KVTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/KV/KVOps.cpp.inc"
      >();
}

LogicalResult CacheType::verify(function_ref<InFlightDiagnostic()> emitError,
                                int64_t heads, ArrayAttr streams,
                                LayoutInterface layout, Positions positions,
                                std::optional<int64_t> budget,
                                FlatSymbolRefAttr share) {
  if (heads < 1)
    return emitError() << "expected one head at least, but got " << heads;
  llvm::StringSet<> names;
  for (Attribute attribute : streams) {
    auto stream = dyn_cast<StreamAttr>(attribute);
    if (!stream || !names.insert(stream.getName().getValue()).second ||
        stream.getWidth() < 1 ||
        stream.getEncoding().getParts(stream.getWidth()).empty())
      return emitError() << "expected streams of different names and of widths "
                            "that their encodings take, but got "
                         << attribute;
  }
  if (streams.empty())
    return emitError() << "expected one stream at least, but got none";
  if (budget && *budget < 1) // cache-C2
    return emitError() << "expected a budget of one slot at least, but got "
                       << *budget;
  return success();
}

CacheType CacheType::withShare(FlatSymbolRefAttr owner) const {
  return get(getContext(), getHeads(), getStreams(), getLayout(),
             getPositions(), getBudget(), owner);
}

bool CacheType::isPlain() const {
  return getLayout().isContiguous() && !hasExplicitPositions() &&
         llvm::all_of(getStreams(), [](Attribute stream) {
           return cast<StreamAttr>(stream).getEncoding().isPlain();
         });
}

LogicalResult
RecurrentType::verify(function_ref<InFlightDiagnostic()> emitError,
                      ArrayRef<int64_t> shape, Type element,
                      int64_t snapshots) {
  if (shape.empty() || llvm::count(shape, ShapedType::kDynamic) > 1 ||
      !element.isIntOrFloat()) // recurrent-C1
    return emitError()
           << "expected numbers of one dimension at least, of which "
              "the batch's alone is dynamic, but got "
           << RankedTensorType::get(shape, element);
  if (snapshots < 0) // recurrent-C2
    return emitError() << "expected snapshots, but got " << snapshots;
  return success();
}

bool RecurrentType::takes(RankedTensorType tensor) const {
  return tensor.getElementType() == getElement() &&
         tensor.getRank() == int64_t(getShape().size()) &&
         llvm::all_of(llvm::zip(getShape(), tensor.getShape()), [](auto sizes) {
           auto [own, given] = sizes;
           return own == given || ShapedType::isDynamic(own);
         });
}
