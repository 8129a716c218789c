"""Claims about the Python package; run by check-runtime with python -m unittest.

TENON_TEST_ARTIFACTS names the folder that tenon-test-artifacts has filled.
"""
import os
import pathlib
import threading
import unittest

import numpy as np
import tenon

ARTIFACTS = pathlib.Path(os.environ["TENON_TEST_ARTIFACTS"])
SCALE = ARTIFACTS / "scale.tenon"  # y = 6 x
TWICE = ARTIFACTS / "twice.tenon"  # y = 2 x, of any size


class Package(unittest.TestCase):
    def setUp(self):
        self.session = tenon.load(SCALE, verify=True).session(threads=2)

    def test_signature(self):
        info, = self.session.inputs
        self.assertEqual((info.name, info.dtype, info.shape), ("x", np.float32, ("n",)))

    def test_run_gives_owned_arrays(self):
        first = self.session.run({"x": np.array([1, 2], np.float32)})["y"]
        self.session.run({"x": np.array([5, 6], np.float32)})
        np.testing.assert_array_equal(first, [6, 12])

    def test_views_live_in_the_session(self):
        x = np.array([1, 2], np.float32)
        first = self.session.run({"x": x}, copy=False)["y"]
        second = self.session.run({"x": x}, copy=False)["y"]
        self.assertEqual(first.ctypes.data, second.ctypes.data)

    def test_contiguous_inputs_are_not_copied(self):
        x = np.zeros(3, np.float32)
        self.session.run({"x": x})
        x[:] = 7  # seen by a run that names no input
        np.testing.assert_array_equal(self.session.run()["y"], [42] * 3)

    def test_strided_inputs(self):
        x = np.arange(8, dtype=np.float32)[::-2]
        np.testing.assert_array_equal(self.session.run({"x": x})["y"], 6 * x)

    def test_bound_output(self):
        y = np.zeros(4, np.float32)
        self.session.bind_output("y", y)
        self.session.run({"x": np.ones(4, np.float32)})
        np.testing.assert_array_equal(y, [6] * 4)

    def test_errors_name_the_input(self):
        with self.assertRaisesRegex(tenon.TenonError, "'x'.*1..64"):
            self.session.run({"x": np.zeros(65, np.float32)})
        with self.assertRaisesRegex(tenon.TenonError, "'x'.*f32.*f64"):
            self.session.run({"x": np.zeros(3)})
        with self.assertRaisesRegex(KeyError, "'z'"):
            self.session.run({"z": np.zeros(3)})

    def test_replaced_weight(self):
        artifact = tenon.load(SCALE)
        artifact.replace_weight("w", np.array([5], np.float32))
        y = artifact.session().run({"x": np.ones(1, np.float32)})["y"]
        np.testing.assert_array_equal(y, [10])

    def test_missing_file(self):
        with self.assertRaisesRegex(tenon.TenonError, "no-such.tenon"):
            tenon.load("no-such.tenon")

    def test_sessions_in_threads(self):
        artifact, wrong = tenon.load(SCALE), []

        def work(k):
            session = artifact.session()
            for n in range(1, 65):
                y = session.run({"x": np.full(n, k, np.float32)})["y"]
                wrong.extend(y[y != 6 * k])

        threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


class LargeOutputs(unittest.TestCase):
    """Outputs that are given away in place of copied."""

    def setUp(self):
        self.session = tenon.load(TWICE).session(threads=1)
        self.x = np.arange(1 << 16, dtype=np.float32)

    def test_an_array_takes_the_session_s_memory(self):
        view = self.session.run({"x": self.x}, copy=False)["y"]
        address = view.ctypes.data
        y = self.session.run()["y"]
        self.assertEqual(y.ctypes.data, address)
        np.testing.assert_array_equal(y, 2 * self.x)

    def test_memory_is_used_again_when_its_array_is_gone(self):
        y = self.session.run({"x": self.x})["y"]
        address = y.ctypes.data
        part = y[5:7]
        del y
        other = self.session.run()["y"]
        self.assertNotEqual(other.ctypes.data, address)  # `part` is still there
        del part
        self.assertEqual(self.session.run()["y"].ctypes.data, address)

    def test_arrays_outlive_runs_and_the_session(self):
        first = self.session.run({"x": self.x})["y"]
        second = self.session.run({"x": first})["y"]
        self.session.run({"x": second})
        del self.session
        np.testing.assert_array_equal(first, 2 * self.x)
        np.testing.assert_array_equal(second, 4 * self.x)
        first[:] = 0  # and they are the caller's to write to

    def test_outputs_of_all_sizes_outlive_the_session(self):
        for n in (0, 1, 100, 1 << 14, 1 << 18):
            session = tenon.load(TWICE).session(threads=1)
            y = session.run({"x": np.ones(n, np.float32)})["y"]
            del session
            np.testing.assert_array_equal(y, np.full(n, 2, np.float32))
            self.assertTrue(y.flags.writeable and y.flags.carray)

    def test_what_is_taken_has_no_view(self):
        views = self.session.run({"x": self.x}, copy=False)
        self.session.run()
        with self.assertRaisesRegex(tenon.TenonError, "'y'.*taken"):
            views["y"]

    def test_a_bound_output_is_copied(self):
        bound = np.empty_like(self.x)
        self.session.bind_output("y", bound)
        y = self.session.run({"x": self.x})["y"]
        bound[:] = 0
        np.testing.assert_array_equal(y, 2 * self.x)

    def test_memory_does_not_grow(self):
        """As of a decoder that feeds caches back which grow by a row a step."""
        kept = self.session.run({"x": self.x})["y"]
        for step in range(400):
            kept = self.session.run({"x": np.append(kept, np.zeros(64, np.float32))})["y"]
        self.assertLess(self.session.statistics.peak_bytes, 4 * kept.nbytes)

    def test_arrays_die_in_other_threads(self):
        made, wrong = [], []

        def drop():
            while True:
                y, k = made.pop() if made else (np.zeros(1), 0)
                if k is None:
                    return
                wrong.extend(y[y != 2 * k])

        thread = threading.Thread(target=drop)
        thread.start()
        for k in range(200):
            made.append((self.session.run({"x": np.full(1 << 15, k, np.float32)})["y"], k))
        made.insert(0, (None, None))
        thread.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
