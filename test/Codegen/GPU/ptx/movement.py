"""Loads, stores, moves, and copies to shared memory that go on in the background."""
import re

import numpy as np

from ptx.table import TYPES, UNSIGNED, UnknownInstruction, instruction


def _places(block, made, operand):
    """The addresses of active threads: of [register + offset] or [variable + offset]."""
    base, offset = re.fullmatch(r"\[([%\w$]+)(?:\+(-?\d+))?\]", made.operands[operand]).groups()
    if base in block.variables:
        address = np.full(block.function.threads, block.variables[base], np.int64)
    else:
        address = block.bits(base).astype(np.int64)
    return (address + int(offset or 0))[block.active]


def _space(block, made):
    """The memory, and who uses it."""
    warps = block.warps[block.active]
    if made.has("shared"):
        return block.shared, [warps]
    return block.memory, [warps, block.index]


def _require_waited(block, made, addresses):
    """A load of constants (.nc) may be moved before the wait, wherever it is written."""
    early = ~block.has_waited[block.active] | (block.overlaps and made.has("nc"))
    if early.any() and not made.has("shared"):
        block.memory.require_constant(addresses[early], made.text)


@instruction("griddepcontrol", "launch_dependents wait", types=0)
def griddepcontrol(made, block):
    """Launches do not overlap here; what is read before the wait is looked at."""
    if made.has("wait"):
        block.has_waited[block.active] = True


@instruction("prefetch", "L1", types=0)
def prefetch(made, block):
    addresses = _places(block, made, 0)
    block.memory.require_inside(addresses, made.text)
    _require_waited(block, made, addresses)


def _require_space(made):
    if made.has("shared") == made.has("global"):
        raise UnknownInstruction(f"expected global or shared memory, but got '{made.text}'")


@instruction("ld", "param global shared nc cg v2 v4")
def ld(made, block):
    dtype, lanes = TYPES[made.type], made.lanes(0)
    if made.has("param"):
        name = made.operands[1].strip("[]")
        word = np.array(block.parameters[name] % (1 << 64), np.uint64)
        return block.put(lanes[0], word.astype(dtype))
    _require_space(made)
    space, agents = _space(block, made)
    places = _places(block, made, 1)
    _require_waited(block, made, places)
    raw = space.read(places, len(lanes) * dtype.itemsize, agents, made.text)
    for lane, values in zip(lanes, raw.view(dtype).T):
        block.put_active(lane, values)


@instruction("st", "global shared v2 v4")
def st(made, block):
    _require_space(made)
    values = [np.broadcast_to(block.get(lane, made.type), block.function.threads)[block.active]
              for lane in made.lanes(1)]
    raw = np.stack(values, 1).view(np.uint8)
    space, agents = _space(block, made)
    places = _places(block, made, 0)
    _require_waited(block, made, places)
    space.write(places, raw, agents, made.text)


@instruction("mov")
def mov(made, block):
    """Also of a register to its halves, and of halves to a register."""
    source, target = made.lanes(1), made.lanes(0)
    if len(source) == len(target) == 1:
        return block.put(target[0], block.get(source[0], made.type))
    dtype = TYPES[made.type]
    part = UNSIGNED[dtype.itemsize // max(len(source), len(target))]
    bits = 8 * np.dtype(part).itemsize
    if len(source) == 1:
        whole = block.get(source[0], made.type)
        for place, lane in enumerate(target):
            if lane != "_":
                block.put(lane, (whole >> dtype.type(bits * place)).astype(part))
        return None
    whole = dtype.type(0)
    for place, lane in enumerate(source):
        whole = whole | block.get(lane, f"b{bits}").astype(dtype) << dtype.type(bits * place)
    return block.put(target[0], whole)


@instruction("cvta", "to global")
def cvta(made, block):
    """Global addresses are generic ones here."""
    block.put(made.operands[0], block.get(made.operands[1], made.type))


@instruction("cp", "async cg shared global commit_group wait_group", types=0)
def cp(made, block):
    """cp.async: what was asked for arrives no sooner than it is waited for."""
    action = made.modifiers[1]
    if action == "commit_group":
        block.committed[block.active] += 1
    elif action == "wait_group":
        _arrive(block, made, int(made.operands[0]))
    elif made.modifiers == ["async", "cg", "shared", "global"] and made.operands[2] == "16":
        threads = np.flatnonzero(block.active)
        sizes = np.broadcast_to(block.get(made.operands[3], "u32"),
                                block.function.threads)[threads]
        targets = _places(block, made, 0)
        block.shared.expect(targets, 16, [block.warps[threads]], made.text)
        block.copies.append((threads, block.committed[threads], targets,
                             _places(block, made, 1), sizes, made.text))
    else:
        raise UnknownInstruction(f"expected cp.async.cg of 16 bytes, but got '{made.text}'")


def _arrive(block, made, left):
    """The copies of active threads, but those of their last `left` groups."""
    waiting = []
    for threads, groups, targets, sources, sizes, text in block.copies:
        ready = block.active[threads] & (groups < block.committed[threads] - left)
        for size in np.unique(sizes[ready]):
            these = ready & (sizes == size)
            values = np.zeros((these.sum(), 16), np.uint8)  # zeros beyond what is read
            if size:
                agents = [block.warps[threads[these]], block.index]
                values[:, :size] = block.memory.read(sources[these], int(size), agents, text, 16)
            block.shared.arrive(targets[these], values, text)
        rest = ~ready
        if rest.any():
            waiting.append((threads[rest], groups[rest], targets[rest], sources[rest],
                            sizes[rest], text))
    block.copies = waiting
