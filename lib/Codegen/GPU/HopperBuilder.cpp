#include "HopperBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace tenon;

static constexpr unsigned kShared = 3;
/// The alignment of tiles whose rows are swizzled over 128 bytes.
static constexpr int64_t kAlignment = 1024;
static constexpr StringLiteral kDynamic = "dynamic_shared";

Value HopperBuilder::number(int64_t value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getI32IntegerAttr(value));
}

Value HopperBuilder::narrow(Value index) {
  return arith::IndexCastOp::create(builder, loc, builder.getI32Type(), index);
}

Value HopperBuilder::widen(Value number) {
  return arith::IndexCastUIOp::create(builder, loc, builder.getIndexType(),
                                      number);
}

Value HopperBuilder::call(StringRef text, StringRef constraints,
                          ValueRange operands, Type result) {
  auto op = LLVM::InlineAsmOp::create(
      builder, loc, result, operands, text, constraints,
      /*has_side_effects=*/true, /*is_align_stack=*/false,
      LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
  return result ? op.getRes() : Value();
}

static LLVM::GlobalOp getDynamic(OpBuilder &builder, Location loc) {
  auto module = builder.getBlock()->getParentOp()->getParentOfType<ModuleOp>();
  if (auto known = module.lookupSymbol<LLVM::GlobalOp>(kDynamic))
    return known;
  OpBuilder globals = OpBuilder::atBlockBegin(module.getBody());
  auto type = LLVM::LLVMArrayType::get(globals.getI8Type(), 0);
  return LLVM::GlobalOp::create(globals, loc, type, /*isConstant=*/false,
                                LLVM::Linkage::External, kDynamic, Attribute(),
                                kAlignment, kShared);
}

Value HopperBuilder::getDynamicShared(int64_t alignment) {
  LLVM::GlobalOp global = getDynamic(builder, loc);
  Value pointer = LLVM::AddressOfOp::create(builder, loc, global);
  Type i32 = builder.getI32Type();
  Value address = LLVM::PtrToIntOp::create(builder, loc, i32, pointer);
  if (alignment <= 16)
    return address;
  Value raised = add(address, number(alignment - 1));
  return arith::AndIOp::create(builder, loc, raised, number(-alignment));
}

Value HopperBuilder::viewDynamicShared(int64_t size, Type type,
                                       int64_t alignment) {
  Value address = getDynamicShared(alignment);
  auto pointerType = LLVM::LLVMPointerType::get(builder.getContext(), kShared);
  Value pointer = LLVM::IntToPtrOp::create(builder, loc, pointerType, address);
  auto space = builder.getI64IntegerAttr(kShared);
  auto memory =
      MemRefType::get({size}, type, MemRefLayoutAttrInterface(), space);
  Type i64 = builder.getI64Type();
  auto constant = [&](int64_t value) -> Value {
    return LLVM::ConstantOp::create(builder, loc, i64,
                                    builder.getI64IntegerAttr(value));
  };
  auto array = LLVM::LLVMArrayType::get(i64, 1);
  auto descriptor = LLVM::LLVMStructType::getLiteral(
      builder.getContext(), {pointerType, pointerType, i64, array, array});
  Value built = LLVM::PoisonOp::create(builder, loc, descriptor);
  auto insert = [&](Value value, ArrayRef<int64_t> at) {
    built = LLVM::InsertValueOp::create(builder, loc, built, value, at);
  };
  insert(pointer, 0);
  insert(pointer, 1);
  insert(constant(0), 2);
  insert(constant(size), {3, 0});
  insert(constant(1), {4, 0});
  return UnrealizedConversionCastOp::create(builder, loc, memory, built)
      .getResult(0);
}

Value HopperBuilder::forget(Value number) {
  return call("mov.b32 $0, $1;", "=r,r", {number}, builder.getI32Type());
}

void HopperBuilder::initBarrier(Value barrier, int64_t count) {
  call("mbarrier.init.shared::cta.b64 [$0], $1;", "r,r,~{memory}",
       {barrier, number(count)});
}

void HopperBuilder::fenceBarriers() {
  call("fence.mbarrier_init.release.cluster;", "~{memory}", {});
}

void HopperBuilder::expectBytes(Value barrier, Value bytes) {
  call("mbarrier.arrive.expect_tx.shared::cta.b64 _, [$0], $1;",
       "r,r,~{memory}", {barrier, bytes});
}

void HopperBuilder::arrive(Value barrier) {
  call("mbarrier.arrive.shared::cta.b64 _, [$0];", "r,~{memory}", {barrier});
}

void HopperBuilder::arriveIf(Value condition, Value barrier) {
  Value flag =
      arith::ExtUIOp::create(builder, loc, builder.getI32Type(), condition);
  call("{ .reg .pred some; setp.ne.u32 some, $1, 0; "
       "@some mbarrier.arrive.shared::cta.b64 _, [$0]; }",
       "r,r,~{memory}", {barrier, flag});
}

void HopperBuilder::waitFor(Value barrier, Value phase) {
  call("{ .reg .pred done; again: "
       "mbarrier.try_wait.parity.shared::cta.b64 done, [$0], $1; "
       "@!done bra again; }",
       "r,r,~{memory}", {barrier, phase});
}

void HopperBuilder::prefetchMap(Value map) {
  call("prefetch.tensormap [$0];", "l,~{memory}", map);
}

void HopperBuilder::clear(Value address) {
  call("st.shared.v4.b32 [$0], {$1, $1, $1, $1};", "r,r,~{memory}",
       {address, number(0)});
}

void HopperBuilder::fenceWrites() {
  call("fence.proxy.async.shared::cta;", "~{memory}", {});
}

void HopperBuilder::copyBox(Value to, Value map, ArrayRef<Value> coordinates,
                            Value barrier) {
  std::string list, constraints = "r,l,r";
  SmallVector<Value> operands = {to, map, barrier};
  for (auto [i, coordinate] : llvm::enumerate(coordinates)) {
    list += (i ? ", $" : "$") + std::to_string(3 + i);
    constraints += ",r";
    operands.push_back(coordinate);
  }
  std::string text = "cp.async.bulk.tensor." +
                     std::to_string(coordinates.size()) +
                     "d.shared::cluster.global.mbarrier::complete_tx::bytes "
                     "[$0], [$1, {" +
                     list + "}], [$2];";
  call(text, constraints + ",~{memory}", operands);
}

void HopperBuilder::copyWindows(Value to, Value map,
                                ArrayRef<Value> coordinates,
                                ArrayRef<Value> offsets, Value barrier) {
  std::string constraints = "r,l,r";
  SmallVector<Value> operands = {to, map, barrier};
  auto list = [&](ArrayRef<Value> values, StringRef constraint) {
    std::string names;
    for (Value value : values) {
      names += (names.empty() ? "$" : ", $") + std::to_string(operands.size());
      constraints += ("," + constraint).str();
      operands.push_back(value);
    }
    return names;
  };
  std::string places = list(coordinates, "r"), within = list(offsets, "h");
  std::string text = "cp.async.bulk.tensor." +
                     std::to_string(coordinates.size()) +
                     "d.shared::cluster.global.im2col.mbarrier::complete_tx::"
                     "bytes [$0], [$1, {" +
                     places + "}], [$2], {" + within + "};";
  call(text, constraints + ",~{memory}", operands);
}

void HopperBuilder::setRegisters(bool increases, int64_t count) {
  call(("setmaxnreg." + Twine(increases ? "inc" : "dec") +
        ".sync.aligned.u32 " + Twine(count) + ";")
           .str(),
       "", {});
}

void HopperBuilder::syncSome(int64_t barrier, int64_t threads) {
  call(("bar.sync " + Twine(barrier) + ", " + Twine(threads) + ";").str(),
       "~{memory}", {});
}

void HopperBuilder::syncSome(Value barrier, int64_t threads) {
  call(("bar.sync $0, " + Twine(threads) + ";").str(), "r,~{memory}",
       {barrier});
}

void HopperBuilder::arriveSome(Value barrier, int64_t threads) {
  call(("bar.arrive $0, " + Twine(threads) + ";").str(), "r,~{memory}",
       {barrier});
}

Value HopperBuilder::rankInCluster() {
  return call("mov.u32 $0, %cluster_ctarank;", "=r", {}, builder.getI32Type());
}

void HopperBuilder::syncCluster() {
  call("barrier.cluster.arrive.release.aligned; "
       "barrier.cluster.wait.acquire.aligned;",
       "~{memory}", {});
}

SmallVector<Value> HopperBuilder::loadFromCluster(Value address, Value rank,
                                                  int64_t count) {
  Type f32 = builder.getF32Type();
  StringRef map = "{ .reg .b32 there; mapa.shared::cluster.u32 there, ";
  if (count == 1)
    return {call((map + "$1, $2; ld.shared::cluster.f32 $0, [there]; }").str(),
                 "=f,r,r,~{memory}", {address, rank}, f32)};
  auto type = LLVM::LLVMStructType::getLiteral(builder.getContext(),
                                               SmallVector<Type>(4, f32));
  Value four = call((map + "$4, $5; ld.shared::cluster.v4.f32 "
                           "{$0, $1, $2, $3}, [there]; }")
                        .str(),
                    "=f,=f,=f,=f,r,r,~{memory}", {address, rank}, type);
  SmallVector<Value> elements;
  for (int64_t i = 0; i < count; ++i)
    elements.push_back(LLVM::ExtractValueOp::create(builder, loc, four, i));
  return elements;
}

SmallVector<Value> HopperBuilder::sumOverCluster(Value address, Value at,
                                                 int64_t count,
                                                 int64_t blocks) {
  SmallVector<Value> total;
  int64_t width = std::min<int64_t>(count, 4);
  for (int64_t e = 0; e < count; e += width) {
    // All are asked for before the first is waited for.
    SmallVector<SmallVector<Value>> parts;
    Value bytes = mul(narrow(add(at, index(e))), number(4));
    for (int64_t block = 0; block < blocks; ++block)
      parts.push_back(
          loadFromCluster(add(address, bytes), number(block), width));
    for (int64_t i = 0; i < width; ++i) {
      Value sum = parts[0][i];
      for (int64_t block = 1; block < blocks; ++block)
        sum = arith::AddFOp::create(builder, loc, sum, parts[block][i]);
      total.push_back(sum);
    }
  }
  return total;
}

/// PTX ISA, "Matrix descriptor": the address, the distances between groups of
/// columns and of eight rows, all over 16 bytes, and the swizzle of 128 bytes.
Value HopperBuilder::describe(Value address, bool isAlongK, int64_t chunk) {
  constexpr int64_t group = 1024 / 16;
  int64_t leading = isAlongK ? 1 : chunk / 16;
  int64_t fixed = leading << 16 | group << 32 | int64_t(1) << 62;
  Type i64 = builder.getI64Type();
  auto constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(builder, loc,
                                     builder.getI64IntegerAttr(value));
  };
  Value wide = arith::ExtUIOp::create(builder, loc, i64, address);
  wide = arith::ShRUIOp::create(builder, loc, wide, constant(4));
  wide = arith::AndIOp::create(builder, loc, wide, constant((1 << 14) - 1));
  return arith::OrIOp::create(builder, loc, wide, constant(fixed));
}

Value HopperBuilder::advance(Value descriptor, int64_t bytes) {
  Value distance = arith::ConstantOp::create(
      builder, loc, builder.getI64IntegerAttr(bytes / 16));
  return add(descriptor, distance);
}

/// Constraints of `count` f32 that an instruction changes: results first, the
/// operands tied to them last.
static std::pair<std::string, std::string> changeAll(int64_t count) {
  std::string results, tied;
  for (int64_t i = 0; i < count; ++i) {
    results += i ? ",=f" : "=f";
    tied += "," + std::to_string(i);
  }
  return {results, tied};
}

SmallVector<Value> HopperBuilder::unpack(Value sums) {
  SmallVector<Value> elements;
  auto type = cast<LLVM::LLVMStructType>(sums.getType());
  for (int64_t i = 0; i < int64_t(type.getBody().size()); ++i)
    elements.push_back(LLVM::ExtractValueOp::create(builder, loc, sums, i));
  return elements;
}

Value HopperBuilder::getAny(int64_t count) {
  auto type = LLVM::LLVMStructType::getLiteral(
      builder.getContext(), SmallVector<Type>(count, builder.getF32Type()));
  return LLVM::PoisonOp::create(builder, loc, type);
}

Value HopperBuilder::bundle(ArrayRef<Value> elements) {
  Value sums = getAny(elements.size());
  for (auto [i, element] : llvm::enumerate(elements))
    sums = LLVM::InsertValueOp::create(builder, loc, sums, element, i);
  return sums;
}

Value HopperBuilder::fenceProducts(Value sums) {
  SmallVector<Value> operands = unpack(sums);
  auto [results, tied] = changeAll(operands.size());
  return call("wgmma.fence.sync.aligned;", results + tied + ",~{memory}",
              operands, sums.getType());
}

void HopperBuilder::fenceProducts() {
  call("wgmma.fence.sync.aligned;", "~{memory}", {});
}

void HopperBuilder::commitProducts() {
  call("wgmma.commit_group.sync.aligned;", "~{memory}", {});
}

void HopperBuilder::waitForProducts(int64_t left) {
  call(("wgmma.wait_group.sync.aligned " + Twine(left) + ";").str(),
       "~{memory}", {});
}

Value HopperBuilder::waitForProducts(int64_t left, Value sums) {
  SmallVector<Value> operands = unpack(sums);
  auto [results, tied] = changeAll(operands.size());
  return call(("wgmma.wait_group.sync.aligned " + Twine(left) + ";").str(),
              results + tied + ",~{memory}", operands, sums.getType());
}

/// "wgmma... {$0, $1, ...}" for so many columns.
static std::string beginProduct(int64_t columns, StringRef type) {
  std::string registers;
  for (int64_t i = 0; i < columns / 2; ++i)
    registers += (i ? ", $" : "$") + std::to_string(i);
  return ("wgmma.mma_async.sync.aligned.m64n" + Twine(columns) + "k16.f32." +
          type + "." + type + " {" + registers + "}, ")
      .str();
}

Value HopperBuilder::multiplyAsync(const Operand &a, const Operand &b,
                                   Value sums, int64_t columns, StringRef type,
                                   bool adds) {
  int64_t count = columns / 2;
  auto [results, tied] = changeAll(count);
  std::string text =
      (beginProduct(columns, type) + "$" + Twine(count) + ", $" +
       Twine(count + 1) + (adds ? ", 1" : ", 0") + ", 1, 1, " +
       (a.isAlongK ? "0" : "1") + ", " + (b.isAlongK ? "0" : "1") + ";")
          .str();
  SmallVector<Value> operands = {a.descriptor, b.descriptor};
  operands.append(unpack(sums));
  return call(text, results + ",l,l" + tied, operands, sums.getType());
}

Value HopperBuilder::multiplyAsync(ArrayRef<Value> a, const Operand &b,
                                   Value sums, int64_t columns,
                                   StringRef type) {
  int64_t count = columns / 2;
  auto [results, tied] = changeAll(count);
  std::string rows;
  for (int64_t i = 0; i < 4; ++i)
    rows += (i ? ", $" : "$") + std::to_string(count + i);
  std::string text =
      (beginProduct(columns, type) + "{" + rows + "}, $" + Twine(count + 4) +
       ", 1, 1, 1, " + (b.isAlongK ? "0" : "1") + ";")
          .str();
  SmallVector<Value> operands(a);
  operands.push_back(b.descriptor);
  operands.append(unpack(sums));
  return call(text, results + ",r,r,r,r,l" + tied, operands, sums.getType());
}
