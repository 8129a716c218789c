"""Claims about the Python package; run by check-runtime with python -m unittest.

TENON_TEST_ARTIFACTS names the folder that tenon-test-artifacts has filled.
"""
import os
import pathlib
import threading
import unittest

import numpy as np
import tenon

SCALE = pathlib.Path(os.environ["TENON_TEST_ARTIFACTS"]) / "scale.tenon"  # y = 6 x


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


if __name__ == "__main__":
    unittest.main()
