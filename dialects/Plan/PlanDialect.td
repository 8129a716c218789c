#ifndef TENON_DIALECTS_PLAN_PLANDIALECT_TD
#define TENON_DIALECTS_PLAN_PLANDIALECT_TD

include "mlir/IR/DialectBase.td"

def Plan_Dialect : Dialect {
  let name = "plan";
  let cppNamespace = "::tenon::plan";
  let summary = "The program that the runtime executes";
  let description = [{
    The `plan` dialect is the artifact's program, one to one: launches, copies,
    views, branches and loops over tensors, each tensor with the place where its
    bytes are. See README.md beside this file.
  }];
  let useDefaultAttributePrinterParser = 1;
}

#endif // TENON_DIALECTS_PLAN_PLANDIALECT_TD
