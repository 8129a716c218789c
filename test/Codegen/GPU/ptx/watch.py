"""Finds accesses that nothing orders: two agents, one byte, a write, and no barrier between.

The agents are warps, which barriers of their block order, and in global memory blocks too,
which only the end of a launch orders.
"""
import numpy as np

NOBODY, SEVERAL = -1, -2
NEVER = -1
# Of bytes that a copy in the background has not written yet.
PENDING = np.iinfo(np.int64).max


class RaceError(Exception):
    pass


class Watch:
    """Of each byte, who wrote and who read it last, and after how many barriers."""

    def __init__(self):
        self.barriers = 0
        self.writers, self.readers = (np.empty(0, np.int64) for _ in range(2))
        self.written, self.read_at = (np.empty(0, np.int64) for _ in range(2))

    def grow(self, size):
        """Memory has that many bytes now."""
        def grown(old, value):
            return np.concatenate([old, np.full(size - len(old), value)])
        self.writers, self.readers = grown(self.writers, NOBODY), grown(self.readers, NOBODY)
        self.written, self.read_at = grown(self.written, NEVER), grown(self.read_at, NEVER)

    def read(self, places, agents, text):
        """Agent i reads the bytes of row i."""
        agents = np.broadcast_to(np.reshape(agents, (-1, 1)), places.shape)
        self._require_ordered(places, agents, text)
        others = (self.read_at[places] == self.barriers) & (self.readers[places] != agents)
        self.readers[places] = agents
        # Of agents that read a byte now, one has been noted.
        others |= self.readers[places] != agents
        self.readers[places[others]] = SEVERAL
        self.read_at[places] = self.barriers

    def write(self, places, agents, text, pending=False):
        """`pending`: a copy in the background, which does so at some later time."""
        agents = np.broadcast_to(np.reshape(agents, (-1, 1)), places.shape)
        self._require_ordered(places, agents, text)
        read = (self.read_at[places] == self.barriers) & (self.readers[places] != agents)
        self._refuse(read, places, text, "that others have read since the last barrier")
        self.writers[places] = agents
        self._refuse(self.writers[places] != agents, places, text, "that others write too")
        self.written[places] = PENDING if pending else self.barriers

    def arrive(self, places, text):
        """What was pending is written."""
        self._refuse(self.written[places] != PENDING, places, text, "that others wrote meanwhile")
        self.written[places] = self.barriers

    def _require_ordered(self, places, agents, text):
        written = self.written[places]
        self._refuse(written == PENDING, places, text, "that a copy is about to write")
        unordered = (written == self.barriers) & (self.writers[places] != agents)
        self._refuse(unordered, places, text, "that others have written since the last barrier")

    def _refuse(self, wrong, places, text, which):
        if wrong.any():
            raise RaceError(f"expected accesses in an order, but got one to byte "
                            f"{places[wrong][0]}, {which}, in '{text}'")
