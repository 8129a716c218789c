"""A case of every way that kernels for a GPU are made, for tests of the kernels' code.

Node tests, and models of one operator whose sizes fill tiles and leave rests.
"""
import subprocess
import sys

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper

from tenon_tools import BUILD, ROOT, default_target

TYPES = {"f32": (TensorProto.FLOAT, np.float32), "f16": (TensorProto.FLOAT16, np.float16),
         "bf16": (TensorProto.BFLOAT16, ml_dtypes.bfloat16)}
NODES = """add_bcast where_example cast_FLOAT_to_FLOAT16 transpose_all_permutations_3 concat_3d_axis_1
slice constant_pad gather_1 gather_elements_0 gathernd_example_int32 scatter_elements_with_axis
scatternd_add scatter_elements_with_reduction_max dft_inverse dft_axis reduce_sum_keepdims_random reduce_max_default_axes_keepdim_example argmax_default_axis_random
softmax_axis_2 logsoftmax_axis_0 layer_normalization_4d_axis1 rms_normalization_4d_axis1 cumsum_2d_axis_1
top_k nonzero_example maxpool_2d_pads averagepool_2d_strides resize_upsample_scales_linear
convtranspose einsum_batch_matmul lstm_defaults gru_defaults if loop11 scan9_sum dequantizelinear_blocked
qlinearmatmul_2D_uint8_float32 rotary_embedding attention_4d_gqa_with_past_and_present
onehot_with_axis tril unique_sorted_without_axis gridsample nonmaxsuppression_identical_boxes compress_default_axis unique_not_sorted_without_axis
top_k_uint64""".split()


def one_node(op, shapes, dtype, **attributes):
    """A model of one operator on inputs of these shapes, its result of an unknown shape."""
    names = [f"x{i}" for i in range(len(shapes))]
    inputs = [helper.make_tensor_value_info(n, TYPES[dtype][0], s)
              for n, s in zip(names, shapes)]
    node = helper.make_node(op, names, ["y"], name=op, **attributes)
    output = onnx.ValueInfoProto(name="y")
    output.type.tensor_type.elem_type = TYPES[dtype][0]
    graph = helper.make_graph([node], op, inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=12)
    generator = np.random.default_rng(1)
    return model, {n: generator.standard_normal(s).astype(TYPES[dtype][1])
                   for n, s in zip(names, shapes)}


def packed_attention(shape, dtype):
    """Attention whose operands are parts of [batch, tokens, 3, heads, size]."""
    qkv = helper.make_tensor_value_info("x0", TYPES[dtype][0], shape)
    output = onnx.ValueInfoProto(name="y")
    output.type.tensor_type.elem_type = TYPES[dtype][0]
    nodes = [helper.make_node("Transpose", ["x0"], ["parts"], perm=[2, 0, 3, 1, 4])]
    nodes += [helper.make_node("Gather", ["parts", f"n{i}"], [name], axis=0)
              for i, name in enumerate(("q", "k", "v"))]
    nodes += [helper.make_node("Transpose", ["k"], ["turned"], perm=[0, 1, 3, 2]),
              helper.make_node("MatMul", ["q", "turned"], ["scores"]),
              helper.make_node("Mul", ["scores", "scale"], ["scaled"]),
              helper.make_node("Softmax", ["scaled"], ["weights"], axis=-1),
              helper.make_node("MatMul", ["weights", "v"], ["sums"]),
              helper.make_node("Transpose", ["sums"], ["y"], perm=[0, 2, 1, 3])]
    constants = [onnx.numpy_helper.from_array(np.array(i), f"n{i}") for i in range(3)]
    constants.append(onnx.numpy_helper.from_array(
        np.array(shape[-1] ** -0.5, TYPES[dtype][1]), "scale"))
    graph = helper.make_graph(nodes, "g", [qkv], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=12)
    value = np.random.default_rng(1).standard_normal(shape).astype(TYPES[dtype][1])
    return model, {"x0": value}


def layer(rows, dtype, width=520, wide=4200):
    """What a decoder's layer has beside attention: a norm and its products, a gate, a deep
    product and what it is added to, in joined launches."""
    kind, numpy_type = TYPES[dtype]
    generator = np.random.default_rng(1)

    def normal(*shape):
        return generator.standard_normal(shape).astype(np.float32)

    weights = {"gain": normal(width), "wq": normal(width, 200) / 20,
               "wg": normal(width, wide) / 20, "wu": normal(width, wide) / 20,
               "wd": normal(wide, width) / 60}
    nodes = [helper.make_node(op, inputs.split(), [output], **attributes)
             for op, inputs, output, attributes in (
                 ("RMSNormalization", "x gain", "n", {"epsilon": 1e-5}),
                 ("MatMul", "n wq", "q", {}), ("MatMul", "n wg", "g", {}),
                 ("MatMul", "n wu", "u", {}), ("Sigmoid", "g", "s", {}),
                 ("Mul", "g s", "a", {}), ("Mul", "a u", "m", {}),
                 ("MatMul", "m wd", "d", {}), ("Add", "d x", "y", {}))]
    constants = [onnx.numpy_helper.from_array(w.astype(numpy_type), n)
                 for n, w in weights.items()]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "layer", [value("x", kind, ["rows", width])],
        [value("y", kind, ["rows", width]), value("q", kind, ["rows", 200])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=12)
    return model, {"x": normal(rows, width).astype(numpy_type)}


def big_cases():
    """name -> (model, feeds): whole tiles and rests, few rows and many, each type."""
    cases = {}
    for dtype in TYPES:
        for m, n, k in ((200, 264, 136), (256, 256, 512), (1, 520, 264), (16, 256, 1024)):
            cases[f"product-{dtype}-{m}x{n}x{k}"] = one_node("MatMul", [(m, k), (k, n)], dtype)
        for width, queries, keys in ((64, 200, 200), (128, 256, 256), (128, 1, 700)):
            shapes = [(2, 4, queries, width), (2, 2, keys, width), (2, 2, keys, width)]
            cases[f"attention-{dtype}-{width}-{queries}x{keys}"] = one_node(
                "Attention", shapes, dtype, is_causal=int(queries == keys))
        for width, queries, keys, attributes in (
                (48, 33, 150, {"is_causal": 1}), (256, 90, 90, {"is_causal": 1}),
                (96, 300, 300, {"is_causal": 1}),
                (192, 3, 300, {"softcap": 20.0}), (256, 1, 700, {"softcap": 20.0})):
            shapes = [(2, 4, queries, width), (2, 2, keys, width), (2, 2, keys, width)]
            cases[f"attention-{dtype}-{width}-{queries}x{keys}"] = one_node(
                "Attention", shapes, dtype, **attributes)
        for rows in (1, 5, 40):
            cases[f"layer-{dtype}-{rows}"] = layer(rows, dtype)
        for tokens in (197, 7):
            cases[f"attention-parts-{dtype}-{tokens}"] = packed_attention(
                (2, tokens, 3, 6, 64), dtype)
        for queries, keys in ((70, 130), (2, 600)):
            shapes = [(2, 4, queries, 128), (2, 2, keys, 128), (2, 2, keys, 128),
                      (2, 4, queries, keys)]
            cases[f"attention-masked-{dtype}-{queries}x{keys}"] = one_node(
                "Attention", shapes, dtype)
        shapes = [(2, 4, 140, 192), (2, 2, 260, 192), (2, 2, 260, 192), (2, 4, 140, 260)]
        cases[f"attention-masked-{dtype}-192-140x260"] = one_node("Attention", shapes, dtype)
        cases[f"convolution-{dtype}"] = one_node(
            "Conv", [(2, 24, 29, 31), (40, 24, 3, 3), (40,)], dtype, pads=[1, 1, 1, 1])
        cases[f"depthwise-{dtype}"] = one_node(
            "Conv", [(2, 24, 29, 31), (24, 1, 3, 3)], dtype, group=24, strides=[2, 2])
        cases[f"softmax-{dtype}"] = one_node("Softmax", [(5, 4099)], dtype, axis=-1)
    return cases


def convolution_cases():
    """Those of the interpreter's test, and those whose rows tensor maps find on Hopper."""
    sys.path.append(str(ROOT / "test/Codegen/GPU"))
    import convolutions
    from models import model

    def make(nodes, feeds, want, dims=None, weights=None, **_):
        return model(nodes, feeds, want.dtype, dims, weights), feeds

    for cases in (convolutions.cases, convolutions.tiled_cases):
        yield from cases(make, np.float16, ml_dtypes.bfloat16)


SEARCHES = """top-f64-1-values top-f16-1-numbers top-int8-0-values top-300-of-6000
top-5-of-any-2049 sort-f64 top-of-any-columns sum-with-on sum-bf16-any sum-uint64
sum-of-columns-before-back unique-0-inverse compress suppression-30-0.3""".split()


def search_cases():
    """Some of the interpreter's test."""
    sys.path.append(str(ROOT / "test/Codegen/GPU"))
    import searches
    from models import model

    def make(nodes, feeds, want, dims=None, weights=None, **_):
        return model(nodes, feeds, want.dtype, dims, weights), feeds

    yield from ((name, case) for name, case in searches.cases(make) if name in SEARCHES)


def node_cases(names):
    sys.path.append(str(ROOT / "test/conformance"))
    from cases import in_form, load_cases
    known = load_cases()
    for name in names:
        if f"test_{name}" in known:
            model, feeds, _ = in_form(known[f"test_{name}"], "static")
            yield name, (model, feeds)
        else:
            print(f"none: {name}: this onnx package has no such test")


def all_cases(pattern):
    """name -> (model, feeds) of those whose name holds the pattern."""
    nodes = node_cases([name for name in NODES if pattern in name])
    return {n: c for n, c in (*nodes, *big_cases().items(), *convolution_cases(),
                              *search_cases()) if pattern in n}


def compile_case(folder, model, *options):
    """The artifact; subprocess.CalledProcessError with what the compiler said."""
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    subprocess.run([BUILD / "bin/tenon-compile", folder / "model.onnx", "-o",
                    folder / "model.tenon", f"--target={default_target('cuda')}", *options],
                   check=True, capture_output=True, text=True)
    return folder / "model.tenon"


def write_inputs(folder, feeds):
    """tenon-run's arguments for the inputs."""
    arguments = []
    for number, (name, value) in enumerate(feeds.items()):
        if value.dtype == ml_dtypes.bfloat16:
            value = value.view(np.uint16)
        np.save(folder / f"{number}.npy", value)
        arguments += ["--input", f"{name}={folder / f'{number}.npy'}"]
    return arguments
