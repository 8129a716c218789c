"""The whole files that fuzz.py mutates: small models of different kinds."""
import pathlib
import subprocess

import numpy as np
import onnx
import onnx.parser

TEXTS = {
    "elementwise": """<ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 4] x, float[4] b) => (float[n, 4] y)
        { s = Add(x, b) t = Tanh(s) y = Mul(t, x) }""",
    "shapes": """<ir_version: 8, opset_import: ["" : 17]>
        g (float[n, m] x) => (float[p, 2] y)
        <int64[2] to = {-1, 2}, int64[1] zero = {0}, int64[1] one = {1}>
        { s = Shape(x) a = Gather<axis = 0>(s, zero) c = Concat<axis = 0>(a, one)
          r = Reshape(x, to) e = Cast<to = 1>(c) m2 = ReduceMean<axes = [0]>(e)
          y = Add(r, m2) }""",
    "matmul": """<ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 8] x) => (float[n, 3] y)
        <float[8, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
                          1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}>
        { p = MatMul(x, w) y = Softmax<axis = -1>(p) }""",
    "conv": """<ir_version: 8, opset_import: ["" : 17]>
        g (float[1, 2, h, w] x) => (float[1, 1, h2, w2] y)
        <float[1, 2, 2, 2] k = {1, 2, 3, 4, 5, 6, 7, 8}>
        { c = Conv<pads = [1, 1, 1, 1], strides = [2, 2]>(x, k)
          y = MaxPool<kernel_shape = [2, 2]>(c) }""",
    "gather": """<ir_version: 8, opset_import: ["" : 17]>
        g (int64[n] i, float[5, 3] t) => (float[n, 3] y) { y = Gather<axis = 0>(t, i) }""",
    "branches": """<ir_version: 8, opset_import: ["" : 17]>
        g (bool c, float[4] x) => (float[4] y) {
          y = If(c) <then_branch = t () => (float[4] a) { a = Neg(x) },
                     else_branch = e () => (float[4] b) { b = Exp(x) }> }""",
    "loop": """<ir_version: 8, opset_import: ["" : 17]>
        g (int64 n, float[2] x) => (float[2] last, float[k, 2] all) {
          last, all = Loop(n, "", x) <body = b (int64 i, bool go, float[2] s)
            => (bool go2, float[2] s2, float[2] o) {
              go2 = Identity(go) s2 = Add(s, x) o = Identity(s2) }> }""",
    "cache": """<ir_version: 10, opset_import: ["" : 24]>
        g (float[b, 2, t, 8] x, float[b, 2, p, 8] past_k, float[b, 2, p, 8] past_v)
            => (float[b, 2, t, 8] y, float[b, 2, q, 8] k, float[b, 2, q, 8] v)
        { y, k, v = Attention<is_causal = 1>(x, x, x, "", past_k, past_v) }""",
}
SIZES = {"n": 3, "m": 4, "h": 6, "w": 5}


def make_seeds(folder):
    """name -> the path of a model."""
    paths = {}
    for name, text in TEXTS.items():
        model = onnx.parser.parse_model(text)
        onnx.checker.check_model(model)
        paths[name] = folder / f"{name}.onnx"
        onnx.save(model, paths[name])
    generator = np.random.default_rng(0)
    big = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[n, 64] x) => (float[n, 32] y) { y = MatMul(x, w) }""")
    weight = generator.standard_normal((64, 32)).astype(np.float32)
    big.graph.initializer.append(onnx.numpy_helper.from_array(weight, "w"))
    paths["external"] = folder / "external.onnx"
    onnx.save(big, paths["external"], save_as_external_data=True,
              location="external.onnx.data", size_threshold=0)
    return paths


def input_array(value):
    """Ones of the value's type; symbolic dimensions as in SIZES."""
    tensor = value.type.tensor_type
    shape = [d.dim_value if d.HasField("dim_value") else SIZES.get(d.dim_param, 2)
             for d in tensor.shape.dim]
    return np.ones(shape, onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))


def write_inputs(models, build):
    """Compiles each model that can be and writes inputs beside its artifact."""
    artifacts = {}
    kinds = [(name, path, "io") for name, path in models.items()]
    kinds.append(("kept", models["cache"], "session"))
    for name, path, kept in kinds:
        artifact = pathlib.Path(path).with_name(f"{name}.tenon")
        done = subprocess.run([build / "bin/tenon-compile", path, "-o", artifact,
                               "--target=cpu:host", f"--kv={kept}"], capture_output=True)
        if done.returncode:
            continue
        artifacts[name] = artifact
        for value in onnx.load(path).graph.input:
            if kept == "io" or not value.name.startswith("past"):
                np.save(f"{artifact.parent}/{name}.input.{value.name}.npy",
                        input_array(value))
    if not artifacts:
        raise SystemExit("expected at least one model to compile, but none did")
    return artifacts
