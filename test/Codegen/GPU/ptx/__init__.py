"""Runs PTX text with NumPy, a block at a time and vectorised over its threads.

It is strict where a GPU is silent: what it does not know, or what breaks a rule (bounds,
alignment, warps that part where they may not, accesses to shared memory with no barrier
between them), is an error. It knows nothing of time.
"""
from ptx.machine import Block, ExecutionError
from ptx.memory import AccessError, Memory
from ptx.text import Function, UnknownInstruction, parse
from ptx.watch import RaceError

__all__ = ["AccessError", "Block", "ExecutionError", "Function", "Memory", "RaceError",
           "UnknownInstruction", "parse"]
