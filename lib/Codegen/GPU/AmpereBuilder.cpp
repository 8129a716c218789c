#include "AmpereBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;
using namespace tenon;

Value AmpereBuilder::callPure(StringRef text, StringRef constraints,
                              ValueRange operands, Type result,
                              bool readsMemory) {
  return LLVM::InlineAsmOp::create(
             builder, loc, result, operands, text, constraints,
             /*has_side_effects=*/readsMemory, /*is_align_stack=*/false,
             LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
      .getRes();
}

SmallVector<Value> AmpereBuilder::split(Value structure, int64_t count) {
  Values parts;
  for (int64_t i = 0; i < count; ++i)
    parts.push_back(LLVM::ExtractValueOp::create(builder, loc, structure, i));
  return parts;
}

Value AmpereBuilder::toInteger(Value index) {
  return arith::IndexCastOp::create(builder, loc, builder.getI64Type(), index);
}

void AmpereBuilder::copyAsync(Value to, Value from, Value isThere) {
  Value bytes =
      arith::SelectOp::create(builder, loc, isThere, number(16), number(0));
  call("{ .reg .b64 source; cvta.to.global.u64 source, $1; "
       "cp.async.cg.shared.global [$0], [source], 16, $2; }",
       "r,l,r,~{memory}", {to, from, bytes});
}

void AmpereBuilder::commitCopies() {
  call("cp.async.commit_group;", "~{memory}", {});
}

void AmpereBuilder::waitForCopies(int64_t left) {
  call(("cp.async.wait_group " + Twine(left) + ";").str(), "~{memory}", {});
}

SmallVector<Value> AmpereBuilder::loadMatrices(Value address, bool transposed) {
  constexpr int64_t count = 4;
  Type word = builder.getI32Type();
  auto words = LLVM::LLVMStructType::getLiteral(builder.getContext(),
                                                SmallVector<Type>(count, word));
  StringRef form = transposed ? ".trans" : "";
  std::string text = ("ldmatrix.sync.aligned.m8n8.x4" + form +
                      ".shared.b16 {$0,$1,$2,$3}, [$4];")
                         .str();
  Value loaded = callPure(text, "=r,=r,=r,=r,r,~{memory}", {address}, words,
                          /*readsMemory=*/true);
  return split(loaded, count);
}

SmallVector<Value> AmpereBuilder::multiplyBy(StringRef instruction,
                                             StringRef constraints,
                                             ArrayRef<Value> a,
                                             ArrayRef<Value> b,
                                             ArrayRef<Value> sums) {
  Values operands(a);
  operands.append(b.begin(), b.end());
  operands.append(sums.begin(), sums.end());
  auto result = LLVM::LLVMStructType::getLiteral(
      builder.getContext(), SmallVector<Type>(4, builder.getF32Type()));
  return split(callPure(instruction, constraints, operands, result), 4);
}

SmallVector<Value> AmpereBuilder::multiply(ArrayRef<Value> a, ArrayRef<Value> b,
                                           ArrayRef<Value> sums, Type type) {
  std::string name = type.isF16() ? "f16" : "bf16";
  std::string text =
      "mma.sync.aligned.m16n8k16.row.col.f32." + name + "." + name +
      ".f32 {$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$0,$1,$2,$3};";
  return multiplyBy(text, "=f,=f,=f,=f,r,r,r,r,r,r,0,1,2,3", a, b, sums);
}

SmallVector<Value> AmpereBuilder::multiplyTF32(ArrayRef<Value> a,
                                               ArrayRef<Value> b,
                                               ArrayRef<Value> sums) {
  return multiplyBy("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
                    "{$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$0,$1,$2,$3};",
                    "=f,=f,=f,=f,r,r,r,r,r,r,0,1,2,3", a, b, sums);
}

Value AmpereBuilder::toTF32(Value x) {
  return callPure("cvt.rna.tf32.f32 $0, $1;", "=r,f", {x},
                  builder.getI32Type());
}

Value AmpereBuilder::joinHalves(Value first, Value second, bool high) {
  StringRef text =
      high ? "prmt.b32 $0, $1, $2, 0x7632;" : "prmt.b32 $0, $1, $2, 0x5410;";
  return callPure(text, "=r,r,r", {first, second}, builder.getI32Type());
}

static std::string getPacking(Type type) {
  StringRef name = type.isF16() ? "f16x2" : "bf16x2";
  return ("cvt.rn." + name + ".f32 $0, $1, $2;").str();
}

Value AmpereBuilder::pack(Value low, Value high, Type type) {
  return callPure(getPacking(type), "=r,f,f", {high, low},
                  builder.getI32Type());
}

Value AmpereBuilder::packHere(Value low, Value high, Type type) {
  return call(getPacking(type), "=r,f,f", {high, low}, builder.getI32Type());
}

Value AmpereBuilder::power(Value x) {
  return callPure("ex2.approx.ftz.f32 $0, $1;", "=f,f", {x},
                  builder.getF32Type());
}

Value AmpereBuilder::reciprocal(Value x) {
  return callPure("rcp.approx.ftz.f32 $0, $1;", "=f,f", {x},
                  builder.getF32Type());
}

Value AmpereBuilder::higher(Value x, Value y) {
  return callPure("max.f32 $0, $1, $2;", "=f,f,f", {x, y},
                  builder.getF32Type());
}
