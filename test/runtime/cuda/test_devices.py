"""Claims about tenon-run and tenon-inspect where there is a GPU, or none, or a wrong one.

The driver is the fake one beside the artifacts in TENON_TEST_ARTIFACTS.
"""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np

ARTIFACTS = pathlib.Path(os.environ["TENON_TEST_ARTIFACTS"])
TOOLS = pathlib.Path(os.environ["TENON_BUILD"]) / "bin"
FAKE = str(ARTIFACTS / "libTenonFakeCuda.so")
NO_DRIVER = "/no/such/libcuda.so.1"


class Devices(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        np.save(self.folder / "x.npy", np.array([1, 2, 3], np.float32))

    def tool(self, name, *arguments, driver=FAKE, **environment):
        return subprocess.run(
            [TOOLS / name, *map(str, arguments)], capture_output=True, text=True, timeout=60,
            env={**os.environ, "TENON_CUDA_DRIVER": driver,
                 "TENON_CUDA_CACHE": str(self.folder / "cache"),
                 **{k.upper(): str(v) for k, v in environment.items()}})

    def run_scale(self, artifact, *arguments, **environment):
        return self.tool("tenon-run", ARTIFACTS / artifact, "--input",
                         f"x={self.folder / 'x.npy'}", "--output-dir", self.folder,
                         *arguments, **environment)

    def refused(self, result, *parts):
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        lines = [line for line in result.stderr.splitlines() if not line.startswith("device: ")]
        self.assertEqual(len(lines), 1, result.stderr)
        for part in parts:
            self.assertIn(part, lines[0])

    def computed(self, result, device):
        self.assertEqual(result.returncode, 0, result.stderr)
        np.testing.assert_array_equal(np.load(self.folder / "y.npy"), [6, 12, 18])
        self.assertEqual(json.loads(result.stdout)["device"], device)

    def test_runs_on_the_gpu(self):
        result = self.run_scale("scale-cuda.tenon", "--device=cuda", "--json",
                                "--error-on-host-transfer")
        self.computed(result, "cuda:0")
        facts = json.loads(result.stdout)
        self.assertEqual((facts["h2d_bytes"], facts["d2h_bytes"], facts["host_reads"],
                          facts["launches"]), (12, 12, 0, 2))

    def test_chooses_the_gpu_where_there_is_one(self):
        self.computed(self.run_scale("scale-both.tenon", "--json"), "cuda:0")
        self.computed(self.run_scale("scale-both.tenon", "--json", driver=NO_DRIVER), "cpu")
        self.computed(self.run_scale("scale-both.tenon", "--json", fake_cuda_gpus=0), "cpu")
        self.computed(self.run_scale("scale-both.tenon", "--json", "--device=cpu"), "cpu")
        self.computed(self.run_scale("scale.tenon", "--json"), "cpu")
        self.assertIn("device: cuda:0", self.run_scale("scale-both.tenon").stderr)

    def test_another_fault_is_an_error(self):
        self.refused(self.run_scale("scale-both.tenon", fake_cuda_version=11040),
                     "driver for CUDA 12.0 or later", "one for 11.4")

    def test_no_driver_or_gpu(self):
        self.refused(self.run_scale("scale-both.tenon", "--device=cuda", driver=NO_DRIVER),
                     "no NVIDIA driver")
        self.refused(self.run_scale("scale-cuda.tenon", driver=NO_DRIVER), "no NVIDIA driver")
        self.refused(self.run_scale("scale-cuda.tenon", fake_cuda_gpus=0), "no GPU")
        self.refused(self.run_scale("scale-cuda.tenon", "--device=cuda:3"), "cuda:3")

    def test_no_program_for_the_device(self):
        self.refused(self.run_scale("scale.tenon", "--device=cuda"), "programs for cuda",
                     "--target=cuda")
        self.refused(self.run_scale("scale-cuda.tenon", "--device=cpu"), "programs for cpu")
        self.refused(self.run_scale("scale.tenon", "--device=tpu"), "cuda:N", "'tpu'")

    def test_code_for_another_gpu(self):
        self.refused(self.run_scale("scale-cuda.tenon", fake_cuda_capability=75),
                     "'cuda:sm_80'", "8.0 or later", "has 7.5")

    def test_newer_gpus_run_the_baseline(self):
        self.computed(self.run_scale("scale-cuda.tenon", "--json", fake_cuda_capability=120),
                      "cuda:0")

    def test_out_of_memory(self):
        self.refused(self.run_scale("scale-cuda.tenon", fake_cuda_free=300), "bytes for",
                     "are free", "lower")

    def test_lost_gpu(self):
        self.refused(self.run_scale("scale-cuda.tenon", fake_cuda_fail=719), "the GPU failed")

    def test_dump_and_profile(self):
        trace = self.folder / "trace.json"
        result = self.run_scale("scale-cuda.tenon", "--dump=Add_0", f"--profile={trace}",
                                "--json")
        self.computed(result, "cuda:0")
        np.testing.assert_array_equal(np.load(self.folder / "dump/Add_0.npy"), [2, 4, 6])
        names = [event["name"] for event in json.loads(trace.read_text())["traceEvents"]]
        self.assertEqual(names, ["Add_0", "Mul_1"])

    def inspect(self, artifact, *arguments, **environment):
        return self.tool("tenon-inspect", ARTIFACTS / artifact, *arguments, **environment)

    def test_inspect_says_what_runs(self):
        text = self.inspect("scale-both.tenon").stdout
        self.assertIn("runs on Fake H200: this one is taken", text)
        self.assertIn("program '' for cuda", text)
        self.assertIn("cuda:sm_80: 128 threads, 0 bytes shared", text)
        self.assertIn("no NVIDIA driver", self.inspect("scale-both.tenon", driver=NO_DRIVER).stdout)
        facts = json.loads(self.inspect("scale-both.tenon", "--json").stdout)
        self.assertEqual(facts["gpu"], {"name": "Fake H200", "capability": 90, "driver": 12040})
        self.assertEqual((facts["chosen_cuda_code"], facts["chosen_code"]), (0, 1))

    def test_inspect_for_a_device(self):
        self.assertEqual(self.inspect("scale-cuda.tenon", "--device=sm_90",
                                      driver=NO_DRIVER).returncode, 0)
        self.assertIn("128 threads, 0 bytes shared, 40 registers, 8 bytes local",
                      self.inspect("scale-cuda.tenon", "--device=cuda").stdout)
        refused = self.inspect("scale-cuda.tenon", "--device=sm_75", driver=NO_DRIVER)
        self.refused(refused, "does not run on sm_75", "8.0 or later", "has 7.5")
        self.refused(self.inspect("scale.tenon", "--device=cuda"), "programs for cuda")
        self.refused(self.inspect("scale-cuda.tenon", "--device=cuda", driver=NO_DRIVER),
                     "no NVIDIA driver")
        self.assertEqual(self.inspect("scale.tenon", "--device=cpu").returncode, 0)


if __name__ == "__main__":
    unittest.main()
