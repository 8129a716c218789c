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
                                LayoutInterface layout, Positions positions) {
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
  return success();
}

bool CacheType::isPlain() const {
  return getLayout().isContiguous() && !hasExplicitPositions() &&
         llvm::all_of(getStreams(), [](Attribute stream) {
           return cast<StreamAttr>(stream).getEncoding().isPlain();
         });
}
