"""Memory in which every access is checked, as a GPU does not."""
import numpy as np

from ptx.watch import Watch

# Between buffers, so that a step past an end is not a step into the next one.
GUARD = 256
# What nobody has written: NaN as a float of any size.
GARBAGE = 0xFF


class AccessError(Exception):
    pass


class Memory:
    """A space of addresses from `base` on, with a watch for each kind of agents."""

    def __init__(self, base, kinds=1):
        self.base, self.bytes = base, np.empty(0, np.uint8)
        self.names, self.begins, self.ends, self.writable = [], [], [], []
        self.constant = []
        self.watches = [Watch() for _ in range(kinds)]

    def add(self, name, contents, alignment=16, writable=True, constant=False):
        """The address of a copy of it: a multiple of the alignment, and of no more. What is
        `constant` no launch writes, ever."""
        begin = self.base + len(self.bytes) + GUARD
        begin += -begin % (2 * alignment) + alignment
        data = np.frombuffer(np.ascontiguousarray(contents).tobytes(), np.uint8)
        gap = np.full(begin - self.base - len(self.bytes), GARBAGE, np.uint8)
        self.bytes = np.concatenate([self.bytes, gap, data])
        for watch in self.watches:
            watch.grow(len(self.bytes))
        self.names.append(name)
        self.begins.append(begin)
        self.ends.append(begin + len(data))
        self.writable.append(writable)
        self.constant.append(constant)
        return begin

    def add_garbage(self, name, size, alignment=16):
        return self.add(name, np.full(size, GARBAGE, np.uint8), alignment)

    def contents(self, begin):
        place = self.begins.index(begin)
        return self.bytes[begin - self.base:self.ends[place] - self.base].copy()

    def read(self, addresses, size, agents, text, alignment=None):
        """[access, byte] of `size` bytes at each address; `agents`: of each kind, who reads."""
        places = self._checked(addresses, size, text, False, alignment or size)
        for watch, these in zip(self.watches, agents, strict=True):
            watch.read(places, these, text)
        return self.bytes[places]

    def write(self, addresses, values, agents, text):
        places = self._checked(addresses, values.shape[1], text, True, values.shape[1])
        for watch, these in zip(self.watches, agents, strict=True):
            watch.write(places, these, text)
        self.bytes[places] = values

    def expect(self, addresses, size, agents, text):
        """A copy in the background will write there."""
        places = self._checked(addresses, size, text, True, size)
        for watch, these in zip(self.watches, agents, strict=True):
            watch.write(places, these, text, pending=True)

    def arrive(self, addresses, values, text):
        """What was expected is here."""
        places = self._checked(addresses, values.shape[1], text, True, values.shape[1])
        for watch in self.watches:
            watch.arrive(places, text)
        self.bytes[places] = values

    def require_constant(self, addresses, text):
        """What the launch before may write has to be waited for."""
        owners = np.searchsorted(self.begins, addresses.astype(np.int64), "right") - 1
        wrong = ~np.array(self.constant)[owners]
        if wrong.any():
            self._refuse("a wait for the launch before", addresses[wrong][0], owners[wrong][0],
                         text)

    def require_inside(self, addresses, text):
        self._checked(addresses, 1, text, False, 1)

    def _checked(self, addresses, size, text, writes, alignment):
        """[access, byte] -> place in `bytes`."""
        addresses = addresses.astype(np.int64)
        owners = np.searchsorted(self.begins, addresses, "right") - 1
        inside = (owners >= 0) & (addresses + size <= np.array(self.ends)[owners])
        for holds, rule in ((addresses % alignment == 0, f"an address that {alignment} divides"),
                            (inside, f"{size} bytes inside a buffer"),
                            (np.array(self.writable)[owners] | (not writes), "no operand written")):
            if not holds.all():
                self._refuse(rule, addresses[~holds][0], owners[~holds][0], text)
        return (addresses - self.base)[:, None] + np.arange(size)

    def _refuse(self, rule, address, owner, text):
        near = "before all buffers"
        if owner >= 0:
            size = self.ends[owner] - self.begins[owner]
            near = (f"byte {address - self.begins[owner]} of '{self.names[owner]}', "
                    f"which has {size}")
        raise AccessError(f"expected {rule}, but got {address:#x}, {near}, in '{text}'")
