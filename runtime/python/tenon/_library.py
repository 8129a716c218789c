"""The C API (tenon_rt.h) in ctypes' terms, and errors as exceptions."""
from __future__ import annotations

import ctypes
import functools
import os
import pathlib
from typing import Any, Callable, NoReturn

ABI_VERSION = 3


class DLDevice(ctypes.Structure):
    _fields_ = [("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32)]


class DLDataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", DLDevice),
        ("ndim", ctypes.c_int32),
        ("dtype", DLDataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class ManagedTensor(DLTensor):
    """DLManagedTensor, which begins with a DLTensor; `deleter` is an address."""

    _fields_ = [("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


@functools.lru_cache(maxsize=None)
def deleter(address: int) -> Callable[[int], None]:
    """The function there, for the address of a ManagedTensor."""
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)


class _Sized(ctypes.Structure):
    """An options or information struct, which begins with its size."""

    def __init__(self, **fields: object) -> None:
        super().__init__(ctypes.sizeof(type(self)), **fields)


class ArtifactOptions(_Sized):
    _fields_ = [("size", ctypes.c_size_t), ("verify_weights", ctypes.c_int32)]


class SessionOptions(_Sized):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("entry", ctypes.c_char_p),
        ("threads", ctypes.c_uint32),
        ("capacity", ctypes.c_int64),
        ("shares_states_of", ctypes.c_void_p),
        ("device", ctypes.c_char_p),
        ("keep_outputs_on_device", ctypes.c_int32),
        ("refuse_host_reads", ctypes.c_int32),
    ]


class RunOptions(_Sized):
    _fields_ = [("size", ctypes.c_size_t), ("stream", ctypes.c_void_p),
                ("returns_early", ctypes.c_int32)]


class CCacheInfo(_Sized):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("length", ctypes.c_int64),
        ("capacity", ctypes.c_int64),
        ("bytes", ctypes.c_int64),
    ]


class CTensorInfo(_Sized):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("dtype", DLDataType),
        ("ndim", ctypes.c_int32),
        ("dims", ctypes.POINTER(ctypes.c_int64)),
        ("dim_names", ctypes.POINTER(ctypes.c_char_p)),
    ]


class CStatistics(_Sized):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("peak_bytes", ctypes.c_int64),
        ("launches", ctypes.c_int64),
        ("threads", ctypes.c_uint32),
        ("variant", ctypes.c_char_p),
        ("h2d_bytes", ctypes.c_int64),
        ("d2h_bytes", ctypes.c_int64),
        ("host_reads", ctypes.c_int64),
        ("is_replay", ctypes.c_int32),
    ]


class TenonError(RuntimeError):
    """What the runtime refused, and why. `code` is a tenon_status."""

    def __init__(self, code: int, message: str, node: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.node = node


def _candidates() -> list[str]:
    """Where the library may be: what the environment says, then beside us."""
    here = pathlib.Path(__file__).resolve().parent
    named = os.environ.get("TENON_RT_LIBRARY")
    return [named] if named else [str(here / "libtenon_rt.so"), "libtenon_rt.so.0"]


def _open_library() -> ctypes.CDLL:
    problems = []
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
        except OSError as problem:
            problems.append(str(problem))
            continue
        library.tenon_abi_version.restype = ctypes.c_uint32
        found = library.tenon_abi_version()
        if found != ABI_VERSION:
            raise ImportError(f"{path}: expected ABI version {ABI_VERSION}, but got {found}")
        return library
    raise ImportError("cannot load libtenon_rt.so: " + "; ".join(problems))


library = _open_library()

_handle = ctypes.c_void_p
_out = ctypes.POINTER(ctypes.c_void_p)
_size = ctypes.c_size_t
# Functions that return a status take a place for an error object as their last.
_checked = {
    "tenon_artifact_open": [ctypes.c_char_p, ctypes.POINTER(ArtifactOptions), _out],
    "tenon_weights_create": [_handle, _out],
    "tenon_weights_replace": [_handle, ctypes.c_char_p, ctypes.POINTER(DLTensor)],
    "tenon_session_create": [_handle, ctypes.POINTER(SessionOptions), _out],
    "tenon_session_input_info": [_handle, _size, ctypes.POINTER(CTensorInfo)],
    "tenon_session_output_info": [_handle, _size, ctypes.POINTER(CTensorInfo)],
    "tenon_session_set_input": [_handle, _size, ctypes.POINTER(DLTensor)],
    "tenon_session_bind_output": [_handle, _size, ctypes.POINTER(DLTensor)],
    "tenon_session_output_shape": [
        _handle, _size, ctypes.POINTER(ctypes.c_int64), ctypes.POINTER(ctypes.c_int32)],
    "tenon_session_run": [_handle, ctypes.POINTER(RunOptions)],
    "tenon_session_wait": [_handle],
    "tenon_session_output": [_handle, _size, ctypes.POINTER(DLTensor)],
    "tenon_session_take_output": [_handle, _size, _out],
    "tenon_session_cache_info": [_handle, _size, ctypes.POINTER(CCacheInfo)],
    "tenon_session_reset": [_handle],
    "tenon_session_rewind": [_handle, ctypes.c_int64, ctypes.c_int64],
    "tenon_session_fork": [_handle, _out],
    "tenon_session_select_rows": [_handle, ctypes.POINTER(ctypes.c_int64), _size],
    "tenon_session_save": [_handle, ctypes.c_char_p],
    "tenon_session_load": [_handle, ctypes.c_char_p],
    "tenon_session_get_statistics": [_handle, ctypes.POINTER(CStatistics)],
}
_plain = {
    "tenon_version": (ctypes.c_char_p, []),
    "tenon_error_message": (ctypes.c_char_p, [_handle]),
    "tenon_error_node": (ctypes.c_char_p, [_handle]),
    "tenon_error_free": (None, [_handle]),
    "tenon_artifact_close": (None, [_handle]),
    "tenon_artifact_num_entries": (_size, [_handle]),
    "tenon_artifact_entry_name": (ctypes.c_char_p, [_handle, _size]),
    "tenon_weights_close": (None, [_handle]),
    "tenon_session_num_caches": (_size, [_handle]),
    "tenon_session_close": (None, [_handle]),
    "tenon_session_device": (ctypes.c_char_p, [_handle]),
    "tenon_session_num_inputs": (_size, [_handle]),
    "tenon_session_num_outputs": (_size, [_handle]),
    "tenon_session_cancel": (None, [_handle]),
}
for _name, _arguments in _checked.items():
    _function = getattr(library, _name)
    _function.restype = ctypes.c_int
    _function.argtypes = [*_arguments, _out]
for _name, (_result, _arguments) in _plain.items():
    _function = getattr(library, _name)
    _function.restype = _result
    _function.argtypes = _arguments


def call(name: str, *arguments: object) -> None:
    """Calls a function that can fail; raises TenonError when it does."""
    error = ctypes.c_void_p()
    code = getattr(library, name)(*arguments, ctypes.byref(error))
    if code != 0:
        _fail(code, error)


def indexed(name: str) -> Callable[[ctypes.c_void_p, int, Any], None]:
    """`call` of one function of a session, an index and a place; for one thread at a time.
    A decoder's step calls it for each cache, so it makes nothing anew."""
    function, error = getattr(library, name), ctypes.c_void_p()
    place = ctypes.byref(error)

    def invoke(session: ctypes.c_void_p, index: int, argument: Any) -> None:
        code = function(session, index, argument, place)
        if code != 0:
            _fail(code, error)
    return invoke


def _fail(code: int, error: ctypes.c_void_p) -> NoReturn:
    message = (library.tenon_error_message(error) or b"out of memory").decode(errors="replace")
    node = (library.tenon_error_node(error) or b"").decode(errors="replace")
    library.tenon_error_free(error)
    raise TenonError(code, message, node)
