"""Tensors in the memory of a GPU, taken from and given to other libraries by DLPack."""
from __future__ import annotations

import ctypes
from typing import Any, Callable

import numpy as np

from ._library import DLTensor

_CUDA = 2  # kDLCUDA
_NAME = b"dltensor"


class _Managed(ctypes.Structure):
    """DLManagedTensor."""


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = [("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", _Deleter)]

_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype = ctypes.c_void_p
_get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_Destructor = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, _Destructor]
_is_unused = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_IsValid", ctypes.pythonapi))
_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi))


def is_on_gpu(value: Any) -> bool:
    """Whether it is a tensor of another library in a GPU's memory."""
    device = getattr(value, "__dlpack_device__", None)
    return device is not None and int(device()[0]) == _CUDA


class Borrowed:
    """A tensor of another library, held as long as this object lives."""

    def __init__(self, value: Any, stream: int | None) -> None:
        # 1 is the default stream, which a run without a stream of its own follows.
        self._capsule = value.__dlpack__(stream=stream or 1)
        self.tensor = DLTensor.from_address(_get_pointer(self._capsule, _NAME))


# What others have taken: the address of its DLManagedTensor -> it and its owner.
_given: dict[int, tuple[_Managed, Any]] = {}


@_Deleter
def _release(managed: Any) -> None:
    _given.pop(ctypes.addressof(managed.contents), None)


@_Destructor
def _destroy(capsule: int) -> None:
    if _is_unused(capsule, _NAME):
        _given.pop(_pointer_of(capsule, _NAME), None)


class GpuArray:
    """An output in the GPU's memory: torch.from_dlpack(array) makes a tensor of it without
    a copy. The session's next run overwrites it."""

    def __init__(self, tensor: DLTensor, dtype: np.dtype, owner: Any,
                 wait: Callable[[], None] = lambda: None) -> None:
        self.shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
        self.dtype = dtype
        self._tensor = tensor
        self._owner = owner
        self._wait = wait

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CUDA, self._tensor.device.device_id

    def __dlpack__(self, *, stream: int | None = None, **_: Any) -> Any:
        """Every stream may read it: a run that nobody has waited for ends first."""
        self._wait()
        shape = (ctypes.c_int64 * len(self.shape))(*self.shape)
        own = self._tensor
        managed = _Managed(DLTensor(own.data, own.device, own.ndim, own.dtype, shape, None,
                                    own.byte_offset), None, _release)
        place = ctypes.addressof(managed)
        _given[place] = managed, (self, shape)
        return _new_capsule(place, _NAME, _destroy)
