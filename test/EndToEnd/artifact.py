#!/usr/bin/env python3
"""Of artifacts: the same bytes each time, no larger than the model by more than 5 %,
compiled within the memory bound, weights replaced by name, hashes that verify."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnx.parser

from tenon_tools import BUILD, ROOT, Tally, ort_session

MODELS = ROOT / "models"
MEGABYTE = 1 << 20


def compile_watched(model, artifact, *options):
    """Compiles; (seconds, peak of anonymous memory in bytes)."""
    start, peak = time.monotonic(), 0
    process = subprocess.Popen([BUILD / "bin/tenon-compile", model, "-o", artifact, *options])
    while process.poll() is None:
        try:
            for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    peak = max(peak, int(line.split()[1]) * 1024)
        except OSError:
            pass
        time.sleep(0.005)
    if process.returncode:
        raise SystemExit(f"{model}: tenon-compile exited {process.returncode}")
    return time.monotonic() - start, peak


def model_bytes(path):
    return sum(p.stat().st_size for p in path.parent.glob(f"{path.name}*"))


def check_size_and_memory(tally, folder):
    model, artifact = MODELS / "smollm2/plain.onnx", folder / "smollm2.tenon"
    seconds, peak = compile_watched(model, artifact)
    size, bound = model_bytes(model), 400e6 + 0.3 * model_bytes(model)
    tally.check("SmolLM2: the artifact is the model's size and 5 % at most",
                artifact.stat().st_size <= 1.05 * size,
                f"{artifact.stat().st_size / size:.3f} of {size} bytes, in {seconds:.1f} s")
    tally.check("SmolLM2: compile memory is within 400 MB and 0.3 of the model", peak <= bound,
                f"{peak // MEGABYTE} MiB of {int(bound) // MEGABYTE} MiB")


def check_same_bytes(tally, folder):
    """From two folders, so that no path gets into the artifact."""
    contents = []
    for name in ("one", "two"):
        place = folder / name
        place.mkdir()
        for path in (MODELS / "smollm2-tiny").glob("plain.onnx*"):
            (place / path.name).write_bytes(path.read_bytes())
        compile_watched(place / "plain.onnx", place / "plain.tenon")
        contents.append((place / "plain.tenon").read_bytes())
    tally.check("two builds are byte-identical", contents[0] == contents[1])


def check_inspect(tally, folder):
    artifact = folder / "one/plain.tenon"
    result = subprocess.run([BUILD / "bin/tenon-inspect", artifact, "--json", "--verify"],
                            capture_output=True, text=True)
    tally.check("tenon-inspect --verify accepts it", result.returncode == 0, result.stderr)
    facts = json.loads(result.stdout)
    program = facts["entries"][0]["programs"][0]
    tally.check("tenon-inspect names symbols with ranges and residency",
                {(s["name"], s["residency"]) for s in program["symbols"]} >=
                {("batch", "bound"), ("sequence", "bound"), ("past", "bound")})
    tally.check("tenon-inspect counts the uses of kernels",
                any(k["uses"] > 1 for k in facts["kernels"]))
    tally.check("tenon-inspect says the memory's formula", "batch" in str(program["arena_bytes"]),
                str(program["arena_bytes"])[:60])
    damaged = folder / "damaged.tenon"
    content = bytearray(artifact.read_bytes())
    content[facts["weights"][0]["offset"]] ^= 1
    damaged.write_bytes(content)
    result = subprocess.run([BUILD / "bin/tenon-inspect", damaged, "--verify"],
                            capture_output=True, text=True)
    tally.check("tenon-inspect --verify refuses a damaged weight",
                result.returncode == 1 and facts["weights"][0]["name"] in result.stderr,
                result.stderr.strip())


def check_replaced_weight(tally, folder):
    """A weight replaced by its ONNX name gives what ONNX Runtime gives with it."""
    import tenon
    generator = np.random.default_rng(0)
    weight, other = (generator.standard_normal((64, 32)).astype(np.float32) for _ in "ab")
    x = generator.standard_normal((3, 64)).astype(np.float32)
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 64] x) => (float[n, 32] y) { p = MatMul(x, w) y = Tanh(p) }""")
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(model, folder / "weight.onnx")
    compile_watched(folder / "weight.onnx", folder / "weight.tenon")
    artifact = tenon.load(str(folder / "weight.tenon"))
    before = np.array(artifact.session().run({"x": x})["y"])
    artifact.replace_weight("w", other)
    after = np.array(artifact.session().run({"x": x})["y"])
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(other, "w"))
    onnx.save(model, folder / "other.onnx")
    expected = ort_session(folder / "other.onnx").run(None, {"x": x})[0]
    tally.check("a replaced weight is used", np.allclose(after, expected, atol=1e-5)
                and not np.allclose(before, after, atol=1e-5))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="part of a check's name")
    args = parser.parse_args()
    sys.path.append(str(BUILD / "python"))
    maker = ROOT / "tools/dev/models/smollm2"
    subprocess.run([sys.executable, maker, "--tiny", MODELS / "smollm2-tiny"], check=True)
    subprocess.run([sys.executable, maker, "--forms", "plain"], check=True)
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        for check in (check_size_and_memory, check_same_bytes, check_inspect,
                      check_replaced_weight):
            if args.filter in check.__name__:
                check(tally, pathlib.Path(name))
    tally.finish()


if __name__ == "__main__":
    main()
