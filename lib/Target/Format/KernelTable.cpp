#include "tenon/Target/Format/KernelTable.h"

#include "tenon/Target/Format/KernelBounds.h"

#include "runtime/format/KernelHash.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace tenon;

format::KernelT tenon::describeSignature(kernel::FuncOp kernel,
                                         ExprPool &exprs) {
  format::KernelT table;
  table.num_symbols = kernel.getNumKernelSymbols();
  for (BlockArgument argument : kernel.getBody().getArguments()) {
    AffineMap map = kernel.getArgumentDims(argument.getArgNumber());
    auto described = std::make_unique<format::KernelArgumentT>();
    described->type = getElementType(argument.getType());
    described->dims = exprs.addAll(map.getResults());
    table.arguments.push_back(std::move(described));
  }
  table.results = table.arguments.size() - kernel.getNumInputs();
  for (const SizeBound &bound : findBounds(kernel)) {
    table.bounds.push_back(exprs.add(bound.low));
    table.bounds.push_back(exprs.add(bound.high));
  }
  return table;
}

format::KernelT tenon::describeKernel(kernel::FuncOp kernel, AffineMap grid,
                                      AffineMap workspace) {
  ExprPool exprs(
      [](ExprPool &pool, unsigned symbol) { return pool.addSymbol(symbol); });
  format::KernelT table = describeSignature(kernel, exprs);
  table.grid = exprs.add(grid.getResult(0));
  table.workspace = exprs.add(workspace.getResult(0));
  table.exprs = exprs.getNodes();
  return table;
}

std::string tenon::getKernelSymbol(StringRef name,
                                   const format::KernelT &kernel) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(format::CreateKernel(builder, &kernel));
  auto *table =
      flatbuffers::GetRoot<format::Kernel>(builder.GetBufferPointer());
  return (name + "." +
          llvm::utohexstr(format::hashKernel(*table),
                          /*LowerCase=*/true, /*Width=*/16))
      .str();
}
