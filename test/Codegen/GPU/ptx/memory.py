"""Memory in which every access is checked, as a GPU does not."""
import numpy as np

# Between buffers, so that a step past an end is not a step into the next one.
GUARD = 256
# What nobody has written: NaN as a float of any size.
GARBAGE = 0xFF


class AccessError(Exception):
    pass


class Memory:
    """A space of addresses from `base` on."""

    def __init__(self, base):
        self.base, self.bytes = base, np.empty(0, np.uint8)
        self.names, self.begins, self.ends, self.writable = [], [], [], []

    def add(self, name, contents, alignment=16, writable=True):
        """The address of a copy of it: a multiple of the alignment, and of no more."""
        begin = self.base + len(self.bytes) + GUARD
        begin += -begin % (2 * alignment) + alignment
        data = np.frombuffer(np.ascontiguousarray(contents).tobytes(), np.uint8)
        gap = np.full(begin - self.base - len(self.bytes), GARBAGE, np.uint8)
        self.bytes = np.concatenate([self.bytes, gap, data])
        self.names.append(name)
        self.begins.append(begin)
        self.ends.append(begin + len(data))
        self.writable.append(writable)
        return begin

    def add_garbage(self, name, size, alignment=16):
        return self.add(name, np.full(size, GARBAGE, np.uint8), alignment)

    def contents(self, begin):
        place = self.begins.index(begin)
        return self.bytes[begin - self.base:self.ends[place] - self.base].copy()

    def read(self, addresses, size, text, alignment=None):
        """[access, byte] of `size` bytes at each address; `text`: who asks, for errors."""
        places = self._checked(addresses, size, text, False, alignment or size)
        return self.bytes[places[:, None] + np.arange(size)]

    def write(self, addresses, values, text):
        places = self._checked(addresses, values.shape[1], text, True, values.shape[1])
        self.bytes[places[:, None] + np.arange(values.shape[1])] = values

    def _checked(self, addresses, size, text, writes, alignment):
        addresses = addresses.astype(np.int64)
        owners = np.searchsorted(self.begins, addresses, "right") - 1
        inside = (owners >= 0) & (addresses + size <= np.array(self.ends)[owners])
        for holds, rule in ((addresses % alignment == 0, f"an address that {alignment} divides"),
                            (inside, f"{size} bytes inside a buffer"),
                            (np.array(self.writable)[owners] | (not writes), "no operand written")):
            if not holds.all():
                self._refuse(rule, addresses[~holds][0], owners[~holds][0], text)
        return addresses - self.base

    def _refuse(self, rule, address, owner, text):
        near = "before all buffers"
        if owner >= 0:
            size = self.ends[owner] - self.begins[owner]
            near = (f"byte {address - self.begins[owner]} of '{self.names[owner]}', "
                    f"which has {size}")
        raise AccessError(f"expected {rule}, but got {address:#x}, {near}, in '{text}'")
