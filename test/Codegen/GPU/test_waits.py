# RUN: %python %s
# On Hopper a kernel begins before the launch before has ended. What it reads before it waits,
# and that no other load can go there: one of constant memory (.nc) may, in ptxas's hands.
import pathlib
import re
import subprocess
import tempfile

import ml_dtypes
import numpy as np

from models import BUILD, model, node

BF16 = ml_dtypes.bfloat16


def kernels(nodes, feeds, output, weights=None, dims=None):
    """{name of a kernel without its hash, its stage: PTX for sm_90a}."""
    with tempfile.TemporaryDirectory() as folder:
        source, artifact = pathlib.Path(folder, "m.onnx"), pathlib.Path(folder, "m.tenon")
        made = model(nodes, feeds, output, dims, weights)
        source.write_bytes(made.SerializeToString())
        subprocess.run([BUILD / "bin/tenon-compile", source, "-o", artifact, "--no-baseline",
                        "--target=cuda:sm_90a"], check=True)
        text = artifact.read_bytes().decode("latin1")
    parts = re.split(r"\.visible \.entry (\w+)_[0-9a-f]{16}_(\d+)\(", text)
    return {(name, int(stage)): body.split("\0")[0]
            for name, stage, body in zip(parts[1::3], parts[2::3], parts[3::3])}


def loads(ptx):
    """Loads from global memory before and after the wait."""
    before, wait, after = ptx.partition("griddepcontrol.wait;")
    assert wait, "expected a wait"
    return [re.findall(r"\b(ld\.global\S*)", part) for part in (before, after)]


def main():
    x, w = np.ones((1, 512), BF16), np.ones((512, 512), BF16)
    product = [node("MatMul", "x w", "y")]

    before, after = loads(kernels(product, {"x": x}, BF16, {"w": w})[("mul_add_bf16_0", 0)])
    assert before, "expected a product to ask for its first weights before it waits"
    assert after, "expected a product to read its row after it waited"
    assert not any(".nc" in load for load in before + after), (before, after)

    before, after = loads(kernels(product, {"x": x, "w": w}, BF16)[("mul_add_bf16_0", 0)])
    assert not before, f"expected no load of an input before the wait, but got {before}"
    assert not any(".nc" in load for load in after), after

    # Rows that a stage before made lie in the workspace, where it still writes.
    gain = np.ones(512, np.float32)
    nodes = [node("RMSNormalization", "x g", "r", axis=-1, epsilon=1e-5),
             node("MatMul", "r w", "a"), node("MatMul", "r v", "b"), node("Add", "a b", "y")]
    weights = {"g": gain, "w": np.eye(512, dtype=np.float32), "v": np.eye(512, dtype=np.float32)}
    stages = kernels(nodes, {"x": np.ones((3, 512), np.float32)}, np.float32, weights,
                     {"x": ["m", 512]})
    early = [loads(text) for text in stages.values() if loads(text)[0]]
    assert len(stages) > len(early) > 1, (len(stages), len(early))
    for before, after in early:
        assert not any(".nc" in load for load in before + after), (before, after)

    rows = kernels([node("Add", "x w", "y")], {"x": np.ones((3, 700), np.float32)},
                   np.float32, {"w": np.ones((3, 700), np.float32)})
    ((before, after),) = [loads(text) for text in rows.values()]
    assert not before, before
    kinds = {".nc" in load for load in after}
    assert kinds == {True, False}, f"expected weights alone to be constant, but got {after}"

    # Threads know their place before they wait, and those without one wait too.
    (text,) = rows.values()
    place = text.index("setp.")
    assert text.index("%tid.x") < place < text.index("griddepcontrol.wait;"), text
    assert text.count("griddepcontrol.wait;") == 2, text


main()
