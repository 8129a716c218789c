"""Between NumPy arrays and DLTensor. No bytes are copied here."""
from __future__ import annotations

import ctypes

import numpy as np

from ._library import DLDataType, DLDevice, DLTensor, ManagedTensor, deleter

try:
    from ml_dtypes import bfloat16 as _bfloat16
except ImportError:  # NumPy has none of its own: its bits come as uint16
    _bfloat16 = np.uint16
BFLOAT16 = np.dtype(_bfloat16)

_CPU = DLDevice(1, 0)
_INT, _UINT, _FLOAT, _BFLOAT, _BOOL = 0, 1, 2, 4, 6
_KINDS = {_INT: "i", _UINT: "u", _FLOAT: "f"}
_CODES = {kind: code for code, kind in _KINDS.items()}


def is_on_gpu(tensor: DLTensor) -> bool:
    return tensor.device.device_type == 2  # kDLCUDA


def numpy_type(dtype: DLDataType) -> np.dtype:
    """The array type for an element type of the runtime."""
    if dtype.code == _BFLOAT:
        return BFLOAT16
    if dtype.code == _BOOL:
        return np.dtype(np.bool_)
    return np.dtype(f"{_KINDS[dtype.code]}{dtype.bits // 8}")


def runtime_type(dtype: np.dtype, expected: np.dtype | None = None) -> DLDataType:
    """The runtime's element type; uint16 is bfloat16 where that is expected."""
    if dtype == BFLOAT16 and (BFLOAT16 != np.uint16 or expected == BFLOAT16):
        return DLDataType(_BFLOAT, 16, 1)
    if dtype == np.uint16 and expected is not None and expected == BFLOAT16:
        return DLDataType(_BFLOAT, 16, 1)
    if dtype.kind == "b":
        return DLDataType(_BOOL, 8, 1)
    if dtype.kind not in _CODES or not dtype.isnative:
        raise TypeError(f"expected an array of numbers in native byte order, but got {dtype}")
    return DLDataType(_CODES[dtype.kind], dtype.itemsize * 8, 1)


def describe(array: np.ndarray, dtype: DLDataType) -> DLTensor:
    """A DLTensor on the array's own memory, which must outlive it."""
    shape = (ctypes.c_int64 * array.ndim)(*array.shape)
    strides = None
    if not array.flags.c_contiguous:
        strides = (ctypes.c_int64 * array.ndim)(*(s // array.itemsize for s in array.strides))
    return DLTensor(array.ctypes.data, _CPU, array.ndim, dtype, shape, strides, 0)


_first_byte, _address = ctypes.c_char.from_buffer, ctypes.addressof


class Slot:
    """A DLTensor that is filled in again for each array: making one takes longer."""

    def __init__(self, dtype: np.dtype, ndim: int) -> None:
        self._dtype, self._ndim = dtype, ndim
        self._shape = (ctypes.c_int64 * ndim)()
        self._tensor = DLTensor(None, _CPU, ndim, runtime_type(dtype, dtype), self._shape)
        self.reference = ctypes.byref(self._tensor)

    def describe(self, array: np.ndarray) -> bool:
        """As the function does; False where only that one can."""
        # `carray`: contiguous, aligned, writable; what is not has no such buffer.
        if array.dtype != self._dtype or array.ndim != self._ndim or not array.flags.carray:
            return False
        try:
            self._tensor.data = _address(_first_byte(array))
        except (BufferError, TypeError, ValueError):  # it is empty, or of bfloat16
            return False
        self._shape[:] = array.shape
        return True


class _Owned:
    """A tensor that the runtime gave away, as NumPy wants to see it. An array on it is
    its last owner."""

    __slots__ = "__array_interface__", "_place", "_release"

    def __init__(self, place: int, typestr: str) -> None:
        tensor = ManagedTensor.from_address(place)
        self._place = place
        self._release = deleter(tensor.deleter)
        self.__array_interface__ = {
            "data": (tensor.data, False), "shape": tuple(tensor.shape[:tensor.ndim]),
            "typestr": typestr, "version": 3}

    def __del__(self) -> None:
        self._release(self._place)


class Place:
    """Where the runtime writes the address of a DLManagedTensor that it gives away."""

    def __init__(self, dtype: np.dtype) -> None:
        self._dtype, self._typestr = dtype, dtype.str
        self._address = ctypes.c_void_p()
        self.reference = ctypes.byref(self._address)

    def array(self) -> np.ndarray:
        """An array on the tensor's bytes, which dies with it."""
        array = np.asarray(_Owned(self._address.value, self._typestr))
        return array if array.dtype is self._dtype else array.view(self._dtype)  # bfloat16


def view(tensor: DLTensor, owner: object) -> np.ndarray:
    """An array on the tensor's memory; it keeps `owner` alive."""
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    dtype = numpy_type(tensor.dtype)
    count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if count == 0:
        return np.empty(shape, dtype)
    memory = (ctypes.c_uint8 * count).from_address(tensor.data)
    memory.owner = owner
    return np.frombuffer(memory, dtype=dtype).reshape(shape)
