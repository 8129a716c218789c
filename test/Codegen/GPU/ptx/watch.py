"""Finds accesses that nothing orders: two agents, one byte, a write, and no barrier between.

The agents are warps, which barriers of their block order, and in global memory blocks too,
which only the end of a launch orders.
"""
import numpy as np

NOBODY, SEVERAL = -1, -2
NEVER = -1
# Of bytes that a copy in the background has not written yet.
PENDING = np.iinfo(np.int32).max


class RaceError(Exception):
    pass


class Places:
    """The first `size` bytes of rows of `pitch` bytes: a row is moved as one, not by the byte."""

    def __init__(self, rows, size, pitch):
        self.rows, self.size, self.pitch = rows, size, pitch

    def of(self, array):
        """[access, byte] of an array with an element for each byte."""
        rows = array.reshape(-1, self.pitch)
        return rows[self.rows] if self.size == self.pitch else rows[self.rows, :self.size]

    def set(self, array, values):
        array.reshape(-1, self.pitch)[self.rows, :self.size] = values

    def first(self, chosen):
        """The first byte that `chosen`, [access, byte], is true of."""
        access, byte = np.argwhere(np.broadcast_to(chosen, (len(self.rows), self.size)))[0]
        return self.rows[access] * self.pitch + byte


class Watch:
    """Of each byte, who wrote and who read it last, and after how many barriers."""

    def __init__(self):
        self.barriers = 0
        self.writers, self.readers = (np.empty(0, np.int32) for _ in range(2))
        self.written, self.read_at = (np.empty(0, np.int32) for _ in range(2))

    def grow(self, size):
        """Memory has that many bytes now."""
        def grown(old, value):
            return np.concatenate([old, np.full(size - len(old), value, np.int32)])
        self.writers, self.readers = grown(self.writers, NOBODY), grown(self.readers, NOBODY)
        self.written, self.read_at = grown(self.written, NEVER), grown(self.read_at, NEVER)

    def read(self, places, agents, text):
        """Agent i reads the bytes of row i."""
        agents = np.reshape(agents, (-1, 1))
        self._require_ordered(places, agents, text)
        others = (places.of(self.read_at) == self.barriers) & (places.of(self.readers) != agents)
        places.set(self.readers, agents)
        # Of agents that read a byte now, one has been noted.
        others |= places.of(self.readers) != agents
        if others.any():
            self._note_several(places, others)
        places.set(self.read_at, self.barriers)

    def _note_several(self, places, others):
        access, byte = np.nonzero(others)
        self.readers[places.rows[access] * places.pitch + byte] = SEVERAL

    def write(self, places, agents, text, pending=False):
        """`pending`: a copy in the background, which does so at some later time."""
        agents = np.reshape(agents, (-1, 1))
        self._require_ordered(places, agents, text)
        read = (places.of(self.read_at) == self.barriers) & (places.of(self.readers) != agents)
        self._refuse(read, places, text, "that others have read since the last barrier")
        places.set(self.writers, agents)
        self._refuse(places.of(self.writers) != agents, places, text, "that others write too")
        places.set(self.written, PENDING if pending else self.barriers)

    def arrive(self, places, text):
        """What was pending is written."""
        self._refuse(places.of(self.written) != PENDING, places, text,
                     "that others wrote meanwhile")
        places.set(self.written, self.barriers)

    def _require_ordered(self, places, agents, text):
        written = places.of(self.written)
        self._refuse(written == PENDING, places, text, "that a copy is about to write")
        recent = written == self.barriers
        if recent.any():
            self._refuse(recent & (places.of(self.writers) != agents), places, text,
                         "that others have written since the last barrier")

    def _refuse(self, wrong, places, text, which):
        if wrong.any():
            raise RaceError(f"expected accesses in an order, but got one to byte "
                            f"{places.first(wrong)}, {which}, in '{text}'")
