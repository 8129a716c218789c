"""Claims about tensors that the Python package takes from and leaves on a GPU.

The driver is the fake one, whose memory is the host's: an array of NumPy that says that
it is on a GPU stands for another library's tensor.
"""
import ctypes
import gc
import os
import pathlib
import unittest

ARTIFACTS = pathlib.Path(os.environ["TENON_TEST_ARTIFACTS"])
os.environ["TENON_CUDA_DRIVER"] = str(ARTIFACTS / "libTenonFakeCuda.so")
os.environ["TENON_CUDA_CACHE"] = "off"

import numpy as np  # noqa: E402
import tenon  # noqa: E402
from tenon import _dlpack  # noqa: E402

_fake = ctypes.CDLL(os.environ["TENON_CUDA_DRIVER"])


def device_memory(count):
    """`count` floats of the fake GPU, as an array on the same bytes."""
    address = ctypes.c_uint64()
    assert _fake.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(4 * count)) == 0
    floats = (ctypes.c_float * count).from_address(address.value)
    return np.frombuffer(floats, np.float32)


class Foreign:
    """A tensor as another library hands it over."""

    def __init__(self, array):
        dtype = tenon._tensors.runtime_type(array.dtype)
        tensor = tenon._tensors.describe(array, dtype)
        tensor.device = tenon._library.DLDevice(2, 0)
        self.export = _dlpack.GpuArray(tensor, array.dtype, array)
        self.streams = []

    def __dlpack_device__(self):
        return self.export.__dlpack_device__()

    def __dlpack__(self, *, stream):
        self.streams.append(stream)
        return self.export.__dlpack__(stream=stream)


class GpuArrays(unittest.TestCase):
    def setUp(self):
        self.artifact = tenon.load(ARTIFACTS / "scale-cuda.tenon")

    def test_default_device(self):
        self.assertEqual(self.artifact.session().device, "cuda:0")

    def test_takes_a_tensor_without_a_copy(self):
        session = self.artifact.session(device="cuda")
        memory = device_memory(3)
        memory[:] = 1, 2, 3
        x = Foreign(memory)
        np.testing.assert_array_equal(session.run({"x": x})["y"], [6, 12, 18])
        self.assertEqual(session.statistics.h2d_bytes, 0)
        self.assertEqual(x.streams, [1])  # made ready in the default stream
        memory[:] = 5
        np.testing.assert_array_equal(session.run()["y"], [30, 30, 30])

    def test_writes_to_a_tensor(self):
        session = self.artifact.session(device="cuda")
        memory = device_memory(2)
        session.bind_output("y", Foreign(memory))
        session.run({"x": np.ones(2, np.float32)})
        np.testing.assert_array_equal(memory, [6, 6])
        self.assertEqual(session.statistics.d2h_bytes, 0)

    def test_returns_before_the_end(self):
        session = self.artifact.session(device="cuda")
        memory = device_memory(2)
        memory[:] = 0
        session.bind_output("y", Foreign(memory))
        x = np.ones(2, np.float32)
        outputs = session.run({"x": x}, copy=False, wait=False)
        np.testing.assert_array_equal(memory, [0, 0])
        session.wait()
        np.testing.assert_array_equal(memory, [6, 6])
        session.run({"x": 2 * x}, copy=False, wait=False)
        outputs["y"].__dlpack__()  # whoever takes it finds it ready
        np.testing.assert_array_equal(memory, [12, 12])
        with self.assertRaisesRegex(tenon.TenonError, "output 'y'.*the host's"):
            session.bind_output("y", None)
            session.run(wait=False)

    def test_leaves_outputs_on_the_gpu(self):
        session = self.artifact.session(device="cuda", keep_on_device=True)
        y = session.run({"x": np.ones(4, np.float32)})["y"]
        self.assertEqual((y.shape, y.dtype, y.__dlpack_device__()), ((4,), np.float32, (2, 0)))
        self.assertEqual(session.statistics.d2h_bytes, 0)
        # What was given is taken again by another session, and let go of at last.
        other = self.artifact.session(device="cuda")
        np.testing.assert_array_equal(other.run({"x": y})["y"], [36] * 4)
        del other, y
        gc.collect()
        self.assertEqual(_dlpack._given, {})

    def test_a_cpu_session_refuses_it(self):
        session = tenon.load(ARTIFACTS / "scale.tenon").session()
        with self.assertRaisesRegex(tenon.TenonError, "'x'.*memory of the host"):
            session.run({"x": Foreign(device_memory(2))})


if __name__ == "__main__":
    unittest.main()
