#!/usr/bin/env python3
"""Several programs in one artifact: variants of a model, two files with one set of weights."""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx

from tenon_tools import BUILD, ROOT, CompileError, Tally, compile_model, ort_session

MODEL = ROOT / "models/smollm2-tiny/plain.onnx"
LAYERS, HEADS, WIDTH = 2, 2, 16


def feeds(batch, sequence, past, seed=0):
    generator = np.random.default_rng(seed)
    total = past + sequence
    result = {"input_ids": generator.integers(0, 256, (batch, sequence)),
              "attention_mask": np.ones((batch, total), np.int64),
              "position_ids": np.tile(np.arange(past, total), (batch, 1))}
    for layer in range(LAYERS):
        for part in ("key", "value"):
            result[f"past_key_values.{layer}.{part}"] = generator.standard_normal(
                (batch, HEADS, past, WIDTH)).astype(np.float32)
    return result


def largest_difference(ours, peer, values):
    """Over all outputs; infinite for another shape or a NaN."""
    worst = 0.0
    names = [o.name for o in peer.get_outputs()]
    for name, expected in zip(names, peer.run(None, values)):
        found = np.array(ours[name])
        if found.shape != expected.shape:
            return float("inf")
        if found.size:
            difference = float(np.abs(found - expected).max())
            worst = max(worst, difference if np.isfinite(difference) else float("inf"))
    return worst


def inspect(artifact):
    result = subprocess.run([BUILD / "bin/tenon-inspect", artifact, "--json"],
                            capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


def check_variants(tally, folder):
    import tenon
    artifact = compile_model(MODEL, folder / "variants.tenon",
                             "--variant=decode:sequence=1,batch=1", "--variant=any:")
    session = tenon.load(str(artifact)).session(threads=2)
    peer = ort_session(MODEL)
    for sizes in [(1, 1, 7), (1, 5, 0), (3, 1, 2), (2, 13, 11)]:
        values = feeds(*sizes)
        worst = largest_difference(session.run(values), peer, values)
        tally.check(f"variants: batch, sequence, past = {sizes}", worst < 1e-4,
                    f"largest difference {worst:.1e}")
    programs = [p["variant"] for p in inspect(artifact)["entries"][0]["programs"]]
    tally.check("variants stand in the order given", programs == ["decode", "any"],
                str(programs))


def check_uncovered(tally, folder):
    """Sizes that no variant takes are found when compiling."""
    try:
        compile_model(MODEL, folder / "uncovered.tenon", "--variant=decode:sequence=1")
        tally.check("uncovered sizes are an error", False)
    except CompileError as error:
        tally.check("uncovered sizes are an error",
                    error.refused and "sequence=0..0" in str(error), str(error))


def make_first_step(folder):
    """The decoder without a past: its caches are empty constants, its batch 1."""
    model = onnx.load(MODEL, load_external_data=False)
    graph = model.graph
    for value in list(graph.input):
        if value.name.startswith("past_key_values."):
            graph.input.remove(value)
            empty = np.zeros((1, HEADS, 0, WIDTH), np.float32)
            graph.initializer.append(onnx.numpy_helper.from_array(empty, value.name))
        else:
            value.type.tensor_type.shape.dim[0].dim_value = 1
    for value in graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param == "total":
                dim.dim_param = "sequence"
    del graph.value_info[:]
    path = folder / "decoder.onnx"
    onnx.save(model, path)
    data = MODEL.with_suffix(".onnx.data")
    (folder / data.name).write_bytes(data.read_bytes())
    return path


def check_two_files(tally, folder):
    import tenon
    first = make_first_step(folder)
    artifact = compile_model(MODEL, folder / "two.tenon", f"--entry=first={first}")
    loaded = tenon.load(str(artifact))
    values = feeds(1, 6, 0)
    start = {n: v for n, v in values.items() if not n.startswith("past")}
    ours = loaded.session("first", threads=2).run(start)
    worst = largest_difference(ours, ort_session(first), start)
    tally.check("two files: the first step", worst < 1e-4, f"largest difference {worst:.1e}")
    values = feeds(1, 1, 6)
    values.update({n.replace("present", "past_key_values"): np.array(v)
                   for n, v in ours.items() if n.startswith("present")})
    worst = largest_difference(loaded.session("main", threads=2).run(values),
                               ort_session(MODEL), values)
    tally.check("two files: the next step", worst < 1e-4, f"largest difference {worst:.1e}")
    alone = inspect(compile_model(MODEL, folder / "one.tenon"))
    weights = [sum(w["bytes"] for w in facts["weights"]) for facts in (alone, inspect(artifact))]
    tally.check("two files: large weights are stored once", weights[1] < weights[0] * 1.02,
                f"{weights[0]} bytes for one, {weights[1]} for both")


def without_concat(path):
    """The first step without its appends to nothing, and of any batch."""
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    for node in graph.node:
        if node.op_type == "Concat" and node.output[0].startswith("present."):
            rows = node.input[1]
            del node.input[:], node.attribute[:]
            node.op_type = "Identity"
            node.input.append(rows)
    for value in [*graph.input, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    path = path.with_name("without-concat.onnx")
    onnx.save(model, path)
    return path


def check_sequences(tally, claim, start, then, batch):
    """Sequences whose first step `start` makes and `then` goes on with."""
    peer = ort_session(MODEL)
    names = [i.name for i in start.inputs]
    tally.check(f"{claim}: the caches have left the signature",
                [o.name for o in start.outputs] == ["logits"], str(start.outputs))
    for seed in (1, 2):  # the first step begins anew
        values = feeds(batch, 6, 0, seed)
        start.run({n: values[n] for n in names})
        outputs = [o.name for o in peer.get_outputs()]
        past = dict(zip(outputs, peer.run(None, values)))
        for total in (7, 8):
            values = feeds(batch, 1, total - 1, seed + total)
            ours = then.run({n: values[n] for n in names})["logits"]
            values.update({n.replace("present", "past_key_values"): v
                           for n, v in past.items() if n != "logits"})
            past = dict(zip(outputs, peer.run(None, values)))
            worst = np.abs(ours - past["logits"]).max()
            tally.check(f"{claim}: sequence {seed}, token {total}", worst < 1e-4,
                        f"largest difference {worst:.1e}")


def check_shared_states(tally, folder):
    """The same with caches that the sessions of both entries share."""
    import tenon
    first = make_first_step(folder)
    bare = without_concat(first)
    for claim, path, batch in (("shared states", first, 1),
                               ("a first step without Concat", bare, 3)):
        artifact = compile_model(path, folder / f"{path.stem}.tenon", f"--entry=next={MODEL}",
                                 "--kv=session")
        loaded = tenon.load(str(artifact))
        start = loaded.session("main", threads=2)
        check_sequences(tally, claim, start, loaded.session("next", threads=2, shares=start),
                        batch)
    message = ""
    try:
        compile_model(bare, folder / "alone.tenon", "--kv=session")
    except CompileError as error:
        message = str(error)
    tally.check("outputs that no other entry goes on with are outputs",
                "found none" in message, message)
    artifact = compile_model(MODEL, folder / "kept.tenon", f"--entry=first={first}",
                             "--kv=session")
    [program] = inspect(artifact)["entries"][0]["programs"]
    bytes_per_token = LAYERS * 2 * HEADS * WIDTH * 4
    tally.check("tenon-inspect says how many bytes a token takes",
                program["kv_bytes_per_token"] == bytes_per_token,
                str(program["kv_bytes_per_token"]))
    tensor = program["caches"][0]["tensors"][0]
    tally.check("and what stands for which input and output",
                (tensor["replaces_input"], tensor["replaces_output"]) ==
                ("past_key_values.0.key", "present.0.key"), str(tensor))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--filter", default="", help="part of a claim's name")
    args = parser.parse_args()
    sys.path.append(str(BUILD / "python"))
    subprocess.run([sys.executable, ROOT / "tools/dev/models/smollm2", "--tiny",
                    MODEL.parent], check=True)
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        for check in (check_variants, check_uncovered, check_two_files, check_shared_states):
            if args.filter in check.__name__:
                check(tally, pathlib.Path(name))
    tally.finish()


if __name__ == "__main__":
    main()
