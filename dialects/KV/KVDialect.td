#ifndef TENON_DIALECTS_KV_KVDIALECT_TD
#define TENON_DIALECTS_KV_KVDIALECT_TD

include "mlir/IR/DialectBase.td"

def KV_Dialect : Dialect {
  let name = "kv";
  let cppNamespace = "::tenon::kv";
  let summary = "Caches of attention as values";
  let description = [{
    The `kv` dialect says what a cache holds and what is done with it: rows are
    appended, queries attend to it. How a row is encoded and where a slot lies are
    attributes that implement interfaces, so that a new encoding or layout is a new
    attribute and not a new operation. See README.md beside this file.
  }];
  let useDefaultAttributePrinterParser = 1;
  let useDefaultTypePrinterParser = 1;
}

#endif // TENON_DIALECTS_KV_KVDIALECT_TD
