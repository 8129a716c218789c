"""Runs Tenon artifacts on NumPy arrays.

    artifact = tenon.load("model.tenon")
    session = artifact.session()
    outputs = session.run({"x": x})
"""
from __future__ import annotations

import ctypes
import os
import threading
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from . import _dlpack
from . import _library as _c
from . import _tensors
from ._dlpack import GpuArray
from ._library import TenonError

__all__ = ["Artifact", "CacheInfo", "GpuArray", "Session", "Statistics", "TenonError",
           "TensorInfo", "load", "version"]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output: a dimension is a number, a symbol's name, or None."""

    name: str
    dtype: np.dtype
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True)
class CacheInfo:
    """A cache that a session keeps: its rows, and how many there is room for; None
    where the model's inputs say so, or it is a recurrent state, which has no rows."""

    name: str
    length: int | None
    capacity: int | None
    nbytes: int


@dataclass(frozen=True)
class Statistics:
    """Of a session: bytes it holds at most, and facts of its last run."""

    peak_bytes: int
    launches: int
    threads: int
    variant: str
    h2d_bytes: int  # copied to the device in the last run
    d2h_bytes: int  # and back
    host_reads: int  # how often the host waited for sizes or conditions
    is_replay: bool  # the last run was one CUDA graph, made before


def version() -> str:
    """The runtime's version and build."""
    return _c.library.tenon_version().decode()


class _Handle:
    """Owns one object of the C API."""

    def __init__(self, create: str, close: str, *arguments: Any) -> None:
        self._close = getattr(_c.library, close)
        self.pointer = ctypes.c_void_p()
        _c.call(create, *arguments, ctypes.byref(self.pointer))

    def close(self) -> None:
        if self.pointer:
            self._close(self.pointer)
            self.pointer = ctypes.c_void_p()

    def __del__(self) -> None:
        if hasattr(self, "pointer"):
            self.close()


class Artifact:
    """A loaded artifact and its weights, which its sessions share."""

    def __init__(self, path: str | os.PathLike[str], verify: bool = False) -> None:
        options = _c.ArtifactOptions(verify_weights=int(verify))
        self._artifact = _Handle("tenon_artifact_open", "tenon_artifact_close",
                                 os.fsencode(path), ctypes.byref(options))
        self._weights = _Handle("tenon_weights_create", "tenon_weights_close",
                                self._artifact.pointer)

    @property
    def entries(self) -> list[str]:
        count = _c.library.tenon_artifact_num_entries(self._artifact.pointer)
        return [_c.library.tenon_artifact_entry_name(self._artifact.pointer, i).decode()
                for i in range(count)]

    def replace_weight(self, name: str, array: np.ndarray) -> None:
        """Takes a copy of `array` for weight `name`; before the first session."""
        array = np.ascontiguousarray(array)
        tensor = _tensors.describe(array, _tensors.runtime_type(array.dtype))
        _c.call("tenon_weights_replace", self._weights.pointer, name.encode(),
                ctypes.byref(tensor))

    def session(self, entry: str | None = None, threads: int | None = None, *,
                capacity: int | None = None, shares: Session | None = None,
                device: str | None = None, keep_on_device: bool = False) -> Session:
        """`device` is "cpu", "cuda" or "cuda:N"; without it cuda, where the artifact has
        code for it and a driver and a GPU are there, else cpu. `keep_on_device` leaves
        outputs in the GPU's memory, as GpuArray. Without `threads`, all sessions share a pool, a thread a core. Of an artifact
        that keeps caches: `capacity` is the longest sequence (without it room grows),
        and `shares` a session of another entry whose caches this one uses too."""
        return Session(self, entry, threads, capacity, shares, device, keep_on_device)


class Session:
    """Runs one entry. Use a session from one thread at a time."""

    def __init__(self, artifact: Artifact, entry: str | None = None,
                 threads: int | None = None, capacity: int | None = None,
                 shares: Session | None = None, device: str | None = None,
                 keep_on_device: bool = False) -> None:
        options = _c.SessionOptions(
            entry=entry.encode() if entry is not None else None, threads=threads or 0,
            capacity=capacity or 0,
            shares_states_of=shares._session.pointer if shares is not None else None,
            device=device.encode() if device is not None else None,
            keep_outputs_on_device=int(keep_on_device))
        self._adopt(artifact, _Handle("tenon_session_create", "tenon_session_close",
                                      artifact._weights.pointer, ctypes.byref(options)))

    def _adopt(self, artifact: Artifact, handle: _Handle) -> None:
        self.artifact = artifact
        self._session = handle
        self._running = threading.Lock()
        pointer = self._session.pointer
        self.inputs = [self._info("input", i)
                       for i in range(_c.library.tenon_session_num_inputs(pointer))]
        self.outputs = [self._info("output", i)
                        for i in range(_c.library.tenon_session_num_outputs(pointer))]
        self._input_index = {info.name: i for i, info in enumerate(self.inputs)}
        self._output_index = {info.name: i for i, info in enumerate(self.outputs)}
        self._held: dict[int, Any] = {}  # what the runtime points into
        self._slots = [_tensors.Slot(info.dtype, len(info.shape)) for info in self.inputs]
        self._set = _c.indexed("tenon_session_set_input")
        self._take = _c.indexed("tenon_session_take_output")
        self._places = [_tensors.Place(info.dtype) for info in self.outputs]
        self._gives = self.device == "cpu"  # outputs away

    @property
    def device(self) -> str:
        """What the session runs on: "cpu", "cuda:0", ..."""
        return _c.library.tenon_session_device(self._session.pointer).decode()

    def _info(self, kind: str, index: int) -> TensorInfo:
        info = _c.CTensorInfo()
        _c.call(f"tenon_session_{kind}_info", self._session.pointer, index, ctypes.byref(info))
        shape = tuple(info.dims[i] if info.dims[i] >= 0 else info.dim_names[i].decode() or None
                      for i in range(info.ndim))
        return TensorInfo(info.name.decode(), _tensors.numpy_type(info.dtype), shape)

    def _index(self, table: dict[str, int], what: str, name: str) -> int:
        if name not in table:
            raise KeyError(f"expected one of the {what}s {list(table)}, but got {name!r}")
        return table[name]

    def _set_input(self, name: str, value: Any, stream: int | None) -> None:
        index = self._index(self._input_index, "input", name)
        if type(value) is np.ndarray and self._slots[index].describe(value):
            self._set(self._session.pointer, index, self._slots[index].reference)
            self._held[index] = value
            return
        if _dlpack.is_on_gpu(value):
            borrowed = _dlpack.Borrowed(value, stream)
            _c.call("tenon_session_set_input", self._session.pointer, index,
                    ctypes.byref(borrowed.tensor))
            self._held[index] = borrowed
            return
        array = _aligned(np.asarray(value))
        dtype = _tensors.runtime_type(array.dtype, self.inputs[index].dtype)
        tensor = _tensors.describe(array, dtype)
        _c.call("tenon_session_set_input", self._session.pointer, index, ctypes.byref(tensor))
        self._held[index] = array

    def bind_output(self, name: str, array: Any) -> None:
        """Makes runs write output `name` to `array`, a contiguous one with room
        for it, of NumPy or in the GPU's memory; None: to the session's memory again."""
        index = self._index(self._output_index, "output", name)
        tensor = None
        if array is not None and _dlpack.is_on_gpu(array):
            array = _dlpack.Borrowed(array, None)
            tensor = ctypes.byref(array.tensor)
        elif array is not None:
            if not array.flags.writeable:
                raise ValueError(f"output {name!r}: expected a writable array")
            dtype = _tensors.runtime_type(array.dtype, self.outputs[index].dtype)
            tensor = ctypes.byref(_tensors.describe(array, dtype))
        _c.call("tenon_session_bind_output", self._session.pointer, index, tensor)
        self._held[-1 - index] = array

    def output_shape(self, name: str) -> tuple[int | None, ...]:
        """Shape of an output for the inputs of the last run; None where only the
        run can tell."""
        index = self._index(self._output_index, "output", name)
        ndim = ctypes.c_int32(len(self.outputs[index].shape))
        dims = (ctypes.c_int64 * ndim.value)()
        _c.call("tenon_session_output_shape", self._session.pointer, index, dims,
                ctypes.byref(ndim))
        return tuple(None if dim < 0 else dim for dim in dims)

    def run(self, inputs: Mapping[str, Any] | None = None, *, copy: bool = True,
            stream: int | None = None, wait: bool = True) -> Mapping[str, Any]:
        """Runs on `inputs`, arrays or tensors in the GPU's memory; those not named keep
        their last value. The results are the caller's, to write to as well: a large one has
        the session's memory, uncopied, which later runs use again when no array has it any
        more. With copy=False the results are views, made when they are looked up, that the
        next run overwrites. `stream`: a CUDA stream (its handle) in which the work goes.
        With wait=False a run on a GPU returns when its work is in the stream, or in the
        session's own, for which the default stream then waits; all outputs must be on the
        GPU, and inputs of the host stay as they are until `wait`."""
        if not self._running.acquire(blocking=False):
            raise RuntimeError("expected one run at a time; make a session for each thread")
        try:
            for name, value in (inputs or {}).items():
                self._set_input(name, value, stream)
            options = None
            if stream is not None or not wait:
                options = ctypes.byref(_c.RunOptions(stream=stream, returns_early=not wait))
            _c.call("tenon_session_run", self._session.pointer, options)
            if not copy:
                return _Views(self)
            return {info.name: self._own_output(i) for i, info in enumerate(self.outputs)}
        finally:
            self._running.release()

    def wait(self) -> None:
        """Waits for runs with wait=False."""
        _c.call("tenon_session_wait", self._session.pointer)

    def _own_output(self, index: int) -> Any:
        """An array that no later run writes to, unless it is in the GPU's memory."""
        if self._gives and self._held.get(-1 - index) is None:
            place = self._places[index]
            self._take(self._session.pointer, index, place.reference)
            return place.array()
        output = self._output(index)
        return output if isinstance(output, GpuArray) else output.copy()

    def _output(self, index: int) -> Any:
        tensor = _c.DLTensor()
        _c.call("tenon_session_output", self._session.pointer, index, ctypes.byref(tensor))
        if _tensors.is_on_gpu(tensor):
            return GpuArray(tensor, self.outputs[index].dtype, self, self.wait)
        return _tensors.view(tensor, self)

    def cancel(self) -> None:
        """Stops a run at its next launch; for another thread to call."""
        _c.library.tenon_session_cancel(self._session.pointer)

    @property
    def caches(self) -> list[CacheInfo]:
        """What the session keeps from run to run; they appear with the first one."""
        found = []
        for index in range(_c.library.tenon_session_num_caches(self._session.pointer)):
            info = _c.CCacheInfo()
            _c.call("tenon_session_cache_info", self._session.pointer, index,
                    ctypes.byref(info))
            found.append(CacheInfo(info.name.decode(), info.length if info.length >= 0 else None,
                                   info.capacity if info.capacity >= 0 else None, info.bytes))
        return found

    def reset(self) -> None:
        """Makes the next run begin anew."""
        _c.call("tenon_session_reset", self._session.pointer)

    def rewind(self, length: int, row: int = -1) -> None:
        """Keeps the first `length` rows of each cache; `row` -1: of the whole batch.
        A recurrent state becomes what it was then, if it keeps snapshots; else an error."""
        _c.call("tenon_session_rewind", self._session.pointer, row, length)

    def fork(self) -> Session:
        """A session of the same entry with a copy of the caches."""
        made = Session.__new__(Session)
        made._adopt(self.artifact, _Handle("tenon_session_fork", "tenon_session_close",
                                            self._session.pointer))
        return made

    def select_rows(self, rows: Sequence[int]) -> None:
        """Sequence i of the batch becomes a copy of what sequence rows[i] was."""
        _c.call("tenon_session_select_rows", self._session.pointer,
                (ctypes.c_int64 * len(rows))(*rows), len(rows))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the caches to a file."""
        _c.call("tenon_session_save", self._session.pointer, os.fsencode(path))

    def load(self, path: str | os.PathLike[str]) -> None:
        """Takes the caches from a file that `save` wrote."""
        _c.call("tenon_session_load", self._session.pointer, os.fsencode(path))

    @property
    def statistics(self) -> Statistics:
        known = _c.CStatistics()
        _c.call("tenon_session_get_statistics", self._session.pointer, ctypes.byref(known))
        return Statistics(known.peak_bytes, known.launches, known.threads,
                          known.variant.decode(), known.h2d_bytes, known.d2h_bytes,
                          known.host_reads, bool(known.is_replay))


class _Views(Mapping[str, Any]):
    """The outputs of a session's last run by name."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getitem__(self, name: str) -> Any:
        session = self._session
        return session._output(session._index(session._output_index, "output", name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._session._output_index)

    def __len__(self) -> int:
        return len(self._session.outputs)


def _aligned(array: np.ndarray) -> np.ndarray:
    """The array itself where its elements are aligned and its strides whole."""
    whole = all(stride % array.itemsize == 0 for stride in array.strides)
    return array if array.flags.aligned and whole else np.ascontiguousarray(array.copy())


def load(path: str | os.PathLike[str], *, verify: bool = False) -> Artifact:
    """Maps an artifact; `verify` checks the weights' hashes too."""
    return Artifact(path, verify)
