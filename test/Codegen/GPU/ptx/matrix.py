"""Instructions of whole warps: shuffles, and products of small matrices."""
import ml_dtypes
import numpy as np

from ptx.table import UnknownInstruction, instruction

WARP = 32


@instruction("shfl", "sync bfly")
def shfl(made, block):
    block.require_whole_warps(made)
    if made.operands[3:] != ["31", "-1"]:
        raise UnknownInstruction(f"expected a shuffle of whole warps, but got '{made.text}'")
    values = block.get(made.operands[1], made.type)
    distance = block.get(made.operands[2], "u32")
    block.put(made.operands[0], values[block.threads ^ distance])


@instruction("ldmatrix", "sync aligned m8n8 x4 trans shared")
def ldmatrix(made, block):
    """Thread 8 i + r of a warp has the address of row r of matrix i; a thread gets two
    neighbours of each matrix."""
    block.require_whole_warps(made)
    address = block.bits(made.operands[1].strip("[]")).astype(np.int64)[block.active]
    rows = block.shared.read(address, 16, [block.warps[block.active]], made.text).view(np.uint16)
    matrices = rows.reshape(-1, 4, 8, 8)
    if made.has("trans"):
        matrices = matrices.transpose(0, 1, 3, 2)
    pairs = np.ascontiguousarray(matrices).view(np.uint32).reshape(-1, 4, WARP)
    for place, lane in enumerate(made.lanes(0)):
        block.put_active(lane, pairs[:, place].reshape(-1))


def _halves(block, registers, dtype):
    """[register, warp, row of 8, 8 elements] of registers that hold two elements each: four
    threads have a row."""
    packed = np.stack([np.broadcast_to(block.get(r, "b32"), block.function.threads)
                       for r in registers])
    return packed.view(dtype).astype(np.float32).reshape(len(registers), -1, 8, 8)


def _tf32(block, registers):
    """[register, warp, row of 8, 4 elements]; a GPU may read the lower 13 bits or not."""
    words = np.stack([np.broadcast_to(block.get(r, "b32"), block.function.threads)
                      for r in registers])
    if (words & np.uint32(0x1fff)).any():
        raise UnknownInstruction("expected factors that were rounded to TF32")
    return words.view(np.float32).reshape(len(registers), -1, 8, 4)


def _accumulators(block, registers):
    """[warp, 16, 8]: two registers have the upper eight rows, two the lower."""
    values = np.stack([np.broadcast_to(block.get(r, "f32"), block.function.threads)
                       for r in registers], 1)
    fragments = values.reshape(-1, 8, 4, 2, 2)  # warp, row, thread of it, half, column
    return fragments.transpose(0, 3, 1, 2, 4).reshape(-1, 16, 8)


@instruction("mma", "sync aligned m16n8k16 m16n8k8 row col f32 f16 bf16 tf32")
def mma(made, block):
    block.require_whole_warps(made)
    result, left, right, start = (made.lanes(i) for i in range(4))
    kind = made.modifiers[-2]
    shape = "m16n8k8" if kind == "tf32" else "m16n8k16"
    if made.modifiers[2:] != [shape, "row", "col", "f32", kind, kind, "f32"] or kind == "f32":
        raise UnknownInstruction(f"expected sums of f32, but got '{made.text}'")
    if kind == "tf32":
        a, b = _tf32(block, left), _tf32(block, right)
    else:
        dtype = np.float16 if kind == "f16" else ml_dtypes.bfloat16
        a, b = _halves(block, left, dtype), _halves(block, right, dtype)
    # Quarters of a: rows first.
    a = np.concatenate([np.concatenate([a[0], a[1]], 1), np.concatenate([a[2], a[3]], 1)], 2)
    b = np.concatenate(b, 2)  # [warp, n, k]
    sums = a @ b.transpose(0, 2, 1) + _accumulators(block, start)
    fragments = sums.reshape(-1, 2, 8, 4, 2).transpose(0, 2, 3, 1, 4).reshape(-1, 4)
    for place, lane in enumerate(result):
        block.put(lane, np.ascontiguousarray(fragments[:, place]))
