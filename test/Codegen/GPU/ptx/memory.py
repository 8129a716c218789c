"""Memory in which every access is checked, as a GPU does not."""
import numpy as np

from ptx.watch import Places, Watch

# Between buffers, so that a step past an end is not a step into the next one.
GUARD = 256
# What nobody has written: NaN as a float of any size.
GARBAGE = 0xFF
# Which divides the size of a memory: it is rows of any size that an access may have.
WIDEST = 16


class AccessError(Exception):
    pass


class Memory:
    """A space of addresses from `base` on, with a watch for each kind of agents."""

    def __init__(self, base, kinds=1):
        self.base, self.bytes = base, np.empty(0, np.uint8)
        self.names = []
        self.begins, self.ends = (np.empty(0, np.int64) for _ in range(2))
        self.writable, self.constant = (np.empty(0, bool) for _ in range(2))
        self.watches = [Watch() for _ in range(kinds)]

    def add(self, name, contents, alignment=16, writable=True, constant=False):
        """The address of a copy of it: a multiple of the alignment, and of no more. What is
        `constant` no launch writes, ever."""
        begin = self.base + len(self.bytes) + GUARD
        begin += -begin % (2 * alignment) + alignment
        data = np.frombuffer(np.ascontiguousarray(contents).tobytes(), np.uint8)
        gap = np.full(begin - self.base - len(self.bytes), GARBAGE, np.uint8)
        rest = np.full(-(begin - self.base + len(data)) % WIDEST, GARBAGE, np.uint8)
        self.bytes = np.concatenate([self.bytes, gap, data, rest])
        for watch in self.watches:
            watch.grow(len(self.bytes))
        self.names.append(name)
        self.begins = np.append(self.begins, begin)
        self.ends = np.append(self.ends, begin + len(data))
        self.writable = np.append(self.writable, writable)
        self.constant = np.append(self.constant, constant)
        return begin

    def add_garbage(self, name, size, alignment=16):
        return self.add(name, np.full(size, GARBAGE, np.uint8), alignment)

    def contents(self, begin):
        end = self.ends[self.begins == begin][0]
        return self.bytes[begin - self.base:end - self.base].copy()

    def read(self, addresses, size, agents, text, alignment=None):
        """[access, byte] of `size` bytes at each address; `agents`: of each kind, who reads."""
        owners, places = self._checked(addresses, size, text, False, alignment or size)
        if self.writable[owners].any():  # else nobody ever writes there
            for watch, these in zip(self.watches, agents, strict=True):
                watch.read(places, these, text)
        return places.of(self.bytes)

    def write(self, addresses, values, agents, text):
        _, places = self._checked(addresses, values.shape[1], text, True, values.shape[1])
        for watch, these in zip(self.watches, agents, strict=True):
            watch.write(places, these, text)
        places.set(self.bytes, values)

    def expect(self, addresses, size, agents, text):
        """A copy in the background will write there."""
        _, places = self._checked(addresses, size, text, True, size)
        for watch, these in zip(self.watches, agents, strict=True):
            watch.write(places, these, text, pending=True)

    def arrive(self, addresses, values, text):
        """What was expected is here."""
        _, places = self._checked(addresses, values.shape[1], text, True, values.shape[1])
        for watch in self.watches:
            watch.arrive(places, text)
        places.set(self.bytes, values)

    def require_constant(self, addresses, text):
        """What the launch before may write has to be waited for."""
        owners = np.searchsorted(self.begins, addresses.astype(np.int64), "right") - 1
        wrong = ~self.constant[owners]
        if wrong.any():
            self._refuse("a wait for the launch before", addresses[wrong][0], owners[wrong][0],
                         text)

    def require_inside(self, addresses, text):
        self._checked(addresses, 1, text, False, 1)

    def _checked(self, addresses, size, text, writes, alignment):
        """The buffers, and the places in `bytes`."""
        addresses = addresses.astype(np.int64)
        owners = np.searchsorted(self.begins, addresses, "right") - 1
        inside = (owners >= 0) & (addresses + size <= self.ends[owners])
        for holds, rule in ((addresses % alignment == 0, f"an address that {alignment} divides"),
                            (inside, f"{size} bytes inside a buffer"),
                            (self.writable[owners] | (not writes), "no operand written")):
            if not holds.all():
                self._refuse(rule, addresses[~holds][0], owners[~holds][0], text)
        return owners, Places((addresses - self.base) // alignment, size, alignment)

    def _refuse(self, rule, address, owner, text):
        near = "before all buffers"
        if owner >= 0:
            size = self.ends[owner] - self.begins[owner]
            near = (f"byte {address - self.begins[owner]} of '{self.names[owner]}', "
                    f"which has {size}")
        raise AccessError(f"expected {rule}, but got {address:#x}, {near}, in '{text}'")
