"""A block of threads: registers, and who runs what next."""
import functools

import numpy as np

from ptx.matrix import WARP
from ptx.memory import Memory
from ptx.table import TYPES, UNSIGNED, immediate

REGISTERS = {"%p": np.dtype(bool), "%rs": np.dtype(np.uint16), "%r": np.dtype(np.uint32),
             "%rd": np.dtype(np.uint64)}
BOOL = np.dtype(bool)
# Far beyond what a test's block needs: a loop that does not end.
MOST_STEPS = 5_000_000


class ExecutionError(Exception):
    pass


@functools.lru_cache(maxsize=None)
def register_type(register):
    """That of an inline assembly's scope has no class, and 64 bits."""
    kind = register.rstrip("0123456789")
    return REGISTERS[kind] if register.startswith("%") else np.dtype(np.uint64)


class Block:
    """Handlers use `get`, `put` and what they read of `active`, the threads that run."""

    def __init__(self, function, memory, parameters, index, dynamic_shared):
        if len(parameters) != len(function.parameters):
            raise ExecutionError(f"{function.name}: expected {len(function.parameters)} "
                                 f"parameters, but got {len(parameters)}")
        self.function, self.memory, self.index = function, memory, index
        self.parameters = dict(zip(function.parameters, parameters))
        self.shared, self.variables = Memory(0), {}
        for variable in function.shared:
            size = dynamic_shared if variable.size is None else variable.size
            self.variables[variable.name] = self.shared.add_garbage(
                variable.name, size, variable.alignment)
        self.threads = np.arange(function.threads, dtype=np.uint32)
        self.warps = self.threads.astype(np.int64) // WARP
        self.registers = {"%tid.x": self.threads,
                          "%ctaid.x": np.full(function.threads, index, np.uint32)}
        # Whether launches overlap, and whether the thread has waited for the one before.
        self.overlaps = any(made.name == "griddepcontrol" for made in function.instructions)
        self.has_waited = np.full(function.threads, not self.overlaps)
        self.copies = []
        self.committed = np.zeros(function.threads, np.int64)  # groups of copies

    def bits(self, register):
        """As unsigned integers; garbage where it was not written."""
        known = self.registers.get(register)
        if known is None:
            dtype = REGISTERS[register.rstrip("0123456789")]
            ones = np.full(8 * self.function.threads, 0xFF, np.uint8)
            known = (np.ones(self.function.threads, bool) if dtype == bool
                     else ones.view(dtype)[:self.function.threads])
            self.registers[register] = known
        return known

    def get(self, operand, type):
        """A value of each thread, or one without dimension that is all theirs."""
        bits, dtype = self.registers.get(operand), TYPES[type]
        if bits is None:
            if operand in self.variables:
                return np.array(self.variables[operand], dtype)
            if not operand.startswith("%"):
                return immediate(operand, type)
            bits = self.bits(operand)
        if bits.dtype is dtype:
            return bits
        if bits.dtype.itemsize == dtype.itemsize:
            return bits.view(dtype)
        if bits.dtype.itemsize < dtype.itemsize:
            raise ExecutionError(f"expected a register of {type}, but got {operand}")
        return bits.astype(UNSIGNED[dtype.itemsize]).view(dtype)

    def put(self, register, values):
        """Into active threads; what is narrower than the register is extended by its sign."""
        bits = self._as_bits(register, values)
        if self.everyone:
            self.registers[register] = (bits if bits.shape == self.threads.shape else
                                        np.broadcast_to(bits, self.function.threads))
        else:
            self.registers[register] = np.where(self.active, bits, self.bits(register))

    def put_active(self, register, values):
        """`values` are those of active threads alone."""
        bits = self._as_bits(register, np.ascontiguousarray(values))
        if not self.everyone:
            whole = self.bits(register).copy()
            whole[self.active] = bits
            bits = whole
        self.registers[register] = bits

    @staticmethod
    def _as_bits(register, values):
        dtype = register_type(register)
        if values.dtype is dtype:
            return values
        if BOOL in (dtype, values.dtype):
            raise ExecutionError(f"expected a predicate and its register, but got {register}")
        if values.dtype.itemsize > dtype.itemsize:
            raise ExecutionError(f"expected at most {8 * dtype.itemsize} bits in {register}, "
                                 f"but got {values.dtype}")
        if values.dtype.itemsize == dtype.itemsize:
            return values.view(dtype)
        return values.astype(dtype)

    def require_whole_warps(self, made):
        warps = self.active.reshape(-1, WARP)
        if (warps.any(1) != warps.all(1)).any():
            raise ExecutionError(f"expected all threads of a warp, but got some, in '{made.text}'")

    def run(self):
        """The threads that are behind go first: so those that parted meet again."""
        self._order_warps()  # after the blocks that ran before; watches of blocks order those
        count = self.function.threads
        self.counter = np.zeros(count, np.int64)
        self.waiting, self.ended = np.zeros(count, bool), np.zeros(count, bool)
        steps = 0
        with np.errstate(all="ignore"):
            while not self.ended.all():
                ready = ~self.ended & ~self.waiting
                if ready.any():
                    steps += self._advance(ready)
                else:
                    self._release()
                if steps > MOST_STEPS:
                    raise ExecutionError(f"{self.function.name}: expected an end, but got "
                                         f"{steps} instructions without one")
        # Else this launch could be over before the one before it, and the next not know.
        if not self.has_waited.any():
            raise ExecutionError(f"{self.function.name}: expected every block to wait for the "
                                 f"launch before, but block {self.index} did not")

    def _release(self):
        """Every thread that has not ended waits: at one barrier, or this is an error."""
        at = np.unique(self.counter[~self.ended])
        if len(at) != 1:
            texts = sorted({f"{place}: {self.function.instructions[place].text}" for place in at})
            raise ExecutionError(f"{self.function.name}: expected one barrier, but got {texts}")
        self.counter[self.waiting] += 1
        self.waiting[:] = False
        self._order_warps()

    def _order_warps(self):
        self.shared.watches[0].barriers += 1
        self.memory.watches[0].barriers += 1

    def _advance(self, ready):
        """Runs the threads that are furthest behind up to a branch, a barrier, or where
        others wait for them; says how many instructions that were."""
        here = self.counter[ready].min()
        group = ready & (self.counter == here)
        others = self.counter[ready & ~group]
        limit = others.min() if len(others) else len(self.function.instructions)
        begin, all_of_block = here, group.all()
        for made in self.function.instructions[here:limit]:
            self.active, self.everyone = group, all_of_block
            if made.guard:
                predicate, negated = made.guard
                self.active = group & (self.bits(predicate) != negated)
                self.everyone = self.active.all()
            if made.execute is None:
                self._control(made, group, here)
                return here + 1 - begin
            if not made.guard or self.active.any():
                made.execute(self)
            here += 1
        self.counter[group] = here
        return here - begin

    def _control(self, made, group, here):
        self.counter[group] = here + 1
        if made.name == "ret":
            self.ended |= self.active
        elif made.name == "bra":
            self.counter[self.active] = self.function.labels[made.operands[0]]
        else:
            # Threads that parted may be on their way here: _release sees whether all were.
            if made.guard:
                self.require_whole_warps(made)
            self.waiting |= self.active
            self.counter[self.active] = here
