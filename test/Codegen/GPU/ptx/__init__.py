"""Runs PTX text with NumPy, a block at a time and vectorised over its threads.

It is strict where a GPU is silent: what it does not know, or what breaks a rule (bounds,
alignment, warps that diverge where they may not), is an error. It knows nothing of time,
and warps take turns, so it finds no missing barrier for sure.
"""
from ptx.machine import Block, ExecutionError
from ptx.memory import AccessError, Memory
from ptx.text import Function, UnknownInstruction, parse

__all__ = ["AccessError", "Block", "ExecutionError", "Function", "Memory",
           "UnknownInstruction", "parse"]
