"""What the end-to-end tests share: the built tools, the package, ONNX Runtime."""
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("TENON_BUILD", ROOT / "build"))
# The package as the build puts it together, its library beside it.
sys.path.append(str(BUILD / "python"))


class CompileError(Exception):
    """What tenon-compile said; `refused` where it exited 1, else it crashed."""

    def __init__(self, status, message):
        super().__init__(message)
        self.refused = status == 1


def compile_model(model, artifact, *options, target="cpu:host", limit_s=300):
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


def tenon_session(artifact, threads=2):
    import tenon
    return tenon.load(str(artifact)).session(threads=threads)


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
