"""What the end-to-end tests share: the built tools, the package, ONNX Runtime."""
import argparse
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TENON_BUILD", ROOT / "build"))
# What runs the artifacts, of tests that have no option for it too: cpu or cuda[:N].
DEVICE = os.environ.get("TENON_DEVICE", "cpu")
# The package as the build puts it together, its library beside it.
sys.path.append(str(BUILD / "python"))


class CompileError(Exception):
    """What tenon-compile said; `refused` where it exited 1, else it crashed."""

    def __init__(self, status, message):
        super().__init__(message)
        self.refused = status == 1


def default_target(device=DEVICE):
    return "cpu:host" if device == "cpu" else "cuda:sm_90a"


def compile_model(model, artifact, *options, target=default_target(), limit_s=300):
    """Compiles model if artifact is older than it or than the compiler."""
    tool = BUILD / "bin/tenon-compile"
    newest = max(p.stat().st_mtime for p in (pathlib.Path(model), tool))
    if artifact.exists() and artifact.stat().st_mtime > newest:
        return artifact
    artifact.parent.mkdir(parents=True, exist_ok=True)
    command = [tool, model, "-o", artifact, f"--target={target}", *options]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise CompileError(-1, f"expected an artifact in {limit_s} s, but got none")
    if result.returncode != 0:
        raise CompileError(result.returncode, result.stderr.strip())
    return artifact


def add_device_options(parser):
    """--device and --target; `chosen_target` says which target they mean."""
    parser.add_argument("--device", default=DEVICE, type=_device, metavar="cpu|cuda[:N]",
                        help=f"what runs the artifacts ($TENON_DEVICE; now {DEVICE})")
    parser.add_argument("--target", help="of tenon-compile (default: cpu:host, and "
                                         "cuda:sm_90a where the device is cuda)")


def _device(text):
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"expected cpu or cuda[:N], but got {text!r}")
    return text


def chosen_target(args):
    return args.target or default_target(args.device)


def tenon_session(artifact, threads=2, device=DEVICE, **options):
    import tenon
    return tenon.load(str(artifact)).session(threads=threads, device=device, **options)


def ort_session(model, threads=2):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(model), options,
                                        providers=["CPUExecutionProvider"])


class Tally:
    """Counts claims; every failed one is printed with its reason."""

    def __init__(self):
        self.passed = self.failed = 0
        self.prefix = ""

    def check(self, claim, holds, found=""):
        self.passed += bool(holds)
        self.failed += not holds
        print(f"{'pass' if holds else 'FAIL'}: {self.prefix}{claim}{': ' if found else ''}{found}",
              flush=True)

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)
