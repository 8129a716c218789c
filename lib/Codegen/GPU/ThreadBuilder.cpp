#include "ThreadBuilder.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace tenon;

/// The address space of shared memory.
static constexpr unsigned kShared = 3;

Value ThreadBuilder::constant32(int64_t value) {
  return arith::ConstantOp::create(builder, loc,
                                   builder.getI32IntegerAttr(value));
}

Value ThreadBuilder::thread() {
  Value number = NVVM::ThreadIdXOp::create(builder, loc, builder.getI32Type());
  return arith::IndexCastUIOp::create(builder, loc, builder.getIndexType(),
                                      number);
}

static constexpr StringLiteral kWait = "griddepcontrol.wait;";

bool ThreadBuilder::isWait(Operation *op) {
  auto text = dyn_cast<LLVM::InlineAsmOp>(op);
  return text && text.getAsmString() == kWait;
}

void ThreadBuilder::waitForLaunchBefore() {
  LLVM::InlineAsmOp::create(builder, loc, Type(), {}, kWait, "~{memory}",
                            /*has_side_effects=*/true,
                            /*is_align_stack=*/false, LLVM::TailCallKind::None,
                            LLVM::AsmDialectAttr(), ArrayAttr());
}

void ThreadBuilder::prefetch(Value bytes, int64_t count) {
  constexpr int64_t line = 128;
  Value place = mul(thread(), index(line));
  ifElse(isLess(place, index(count)), [&] {
    Value start =
        memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, bytes);
    Value address = arith::IndexCastOp::create(
        builder, loc, builder.getI64Type(), add(start, place));
    LLVM::InlineAsmOp::create(
        builder, loc, Type(), address, "prefetch.L1 [$0];", "l",
        /*has_side_effects=*/true,
        /*is_align_stack=*/false, LLVM::TailCallKind::None,
        LLVM::AsmDialectAttr(), ArrayAttr());
  });
}

void ThreadBuilder::barrier() { NVVM::Barrier0Op::create(builder, loc); }

Value ThreadBuilder::shuffle32(Value value, unsigned lanes) {
  return NVVM::ShflOp::create(builder, loc, value.getType(), constant32(-1),
                              value, constant32(lanes), constant32(kWarp - 1),
                              NVVM::ShflKind::bfly, UnitAttr());
}

/// Goes through words of 32 bits, whatever the type.
Value ThreadBuilder::shuffle(Value value, unsigned lanes) {
  Type type = value.getType();
  unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  if (width == 32)
    return shuffle32(value, lanes);
  Type bits = builder.getIntegerType(width), word = builder.getI32Type();
  if (type.isIndex())
    value = arith::IndexCastOp::create(builder, loc, bits, value);
  else if (!type.isInteger())
    value = arith::BitcastOp::create(builder, loc, bits, value);
  if (width < 32) {
    value = arith::ExtUIOp::create(builder, loc, word, value);
    value = shuffle32(value, lanes);
    value = arith::TruncIOp::create(builder, loc, bits, value);
  } else {
    Value half =
        arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(32));
    Value low = arith::TruncIOp::create(builder, loc, word, value);
    Value high = arith::TruncIOp::create(
        builder, loc, word, arith::ShRUIOp::create(builder, loc, value, half));
    low = arith::ExtUIOp::create(builder, loc, bits, shuffle32(low, lanes));
    high = arith::ExtUIOp::create(builder, loc, bits, shuffle32(high, lanes));
    high = arith::ShLIOp::create(builder, loc, high, half);
    value = arith::OrIOp::create(builder, loc, low, high);
  }
  if (type.isIndex())
    return arith::IndexCastOp::create(builder, loc, type, value);
  if (!type.isInteger())
    return arith::BitcastOp::create(builder, loc, type, value);
  return value;
}

Value ThreadBuilder::reduceWarp(Value value, Combine combine, unsigned lanes) {
  for (unsigned other = lanes / 2; other > 0; other /= 2)
    value = combine(builder, value, shuffle(value, other));
  return value;
}

Value ThreadBuilder::reduceBlock(Value value, Value neutral, unsigned threads,
                                 Combine combine) {
  if (threads > kWarp)
    barrier(); // what was there before has been read
  return reduceBlockOnce(value, neutral, threads, combine);
}

Value ThreadBuilder::reduceBlockOnce(Value value, Value neutral,
                                     unsigned threads, Combine combine) {
  value = reduceWarp(value, combine);
  unsigned warps = threads / kWarp;
  if (warps == 1)
    return value;
  // A byte for a boolean.
  Type type = value.getType(), stored = type;
  if (type.isInteger(1)) {
    stored = builder.getI8Type();
    value = arith::ExtUIOp::create(builder, loc, stored, value);
  }
  Value memory = allocateShared(warps, stored);
  Value number = thread(), lane = rem(number, index(kWarp));
  Value isFirst = arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                                        lane, index(0));
  ifElse(isFirst, [&] { store(value, memory, div(number, index(kWarp))); });
  barrier();
  unsigned lanes = llvm::PowerOf2Ceil(warps);
  Value from = rem(lane, index(lanes));
  Value known = isLess(from, index(warps));
  Value read = load(memory, min(from, index(warps - 1)));
  if (type.isInteger(1))
    read = arith::TruncIOp::create(builder, loc, type, read);
  read = arith::SelectOp::create(builder, loc, known, read, neutral);
  return reduceWarp(read, combine, lanes);
}

/// Groups of lanes double: those of the second half have the first before them.
std::pair<Value, Value> ThreadBuilder::scanWarp(Value value, Value neutral,
                                                Combine combine) {
  Value lane = rem(thread(), index(kWarp)), before = neutral, total = value;
  for (unsigned lanes = 1; lanes < kWarp; lanes *= 2) {
    Value other = shuffle(total, lanes);
    Value isSecond = isLess(index(0), rem(div(lane, index(lanes)), index(2)));
    auto choose = [&](Value x, Value y) -> Value {
      return arith::SelectOp::create(builder, loc, isSecond, x, y);
    };
    before = choose(combine(builder, other, before), before);
    total = combine(builder, choose(other, total), choose(total, other));
  }
  return {before, total};
}

std::pair<Value, Value> ThreadBuilder::scanBlock(Value value, Value neutral,
                                                 unsigned threads,
                                                 Combine combine) {
  std::pair<Value, Value> own = scanWarp(value, neutral, combine);
  unsigned warps = threads / kWarp;
  if (warps == 1)
    return own;
  Value memory = allocateShared(warps, value.getType());
  Value lane = rem(thread(), index(kWarp)), warp = div(thread(), index(kWarp));
  barrier(); // what was there before has been read
  ifElse(isLess(lane, index(1)), [&] { store(own.second, memory, warp); });
  barrier();
  Value known = isLess(lane, index(warps));
  Value read = load(memory, min(lane, index(warps - 1)));
  read = arith::SelectOp::create(builder, loc, known, read, neutral);
  // Lane i has what the warps before warp i hold.
  std::pair<Value, Value> all = scanWarp(read, neutral, combine);
  Value offsets = allocateShared(warps, value.getType());
  Value isWriter =
      arith::AndIOp::create(builder, loc, known, isLess(warp, index(1)));
  ifElse(isWriter, [&] { store(all.first, offsets, lane); });
  barrier();
  return {combine(builder, load(offsets, warp), own.first), all.second};
}

Value ThreadBuilder::allocateShared(int64_t size, Type type) {
  auto module = builder.getBlock()->getParentOp()->getParentOfType<ModuleOp>();
  auto memory = MemRefType::get({size}, type, MemRefLayoutAttrInterface(),
                                builder.getI64IntegerAttr(kShared));
  SymbolTable symbols(module);
  OpBuilder globals = OpBuilder::atBlockBegin(module.getBody());
  auto global = memref::GlobalOp::create(
      globals, loc, "shared", globals.getStringAttr("private"), memory,
      globals.getUnitAttr(), /*constant=*/false, globals.getI64IntegerAttr(16));
  symbols.insert(global);
  return memref::GetGlobalOp::create(builder, loc, memory, global.getSymName());
}
