#!/usr/bin/env python3
"""Writes ODS for every operator of the newest opset from the `onnx` package's
schemas, and for the operators of other domains in contrib_ops.json, so that the
dialect cannot drift from the standard, and the table of what may be of 16 bits.
Usage: generate_ods.py TABLE.json OUT.td HALF_FORMS.inc"""
import json
import re
import sys

import onnx
import onnx.defs

PINNED = "1.23.2"
# These have ODS of their own in ONNXOps.td.
HAND_WRITTEN = {"Constant"}
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike",
          "RandomUniform", "RandomUniformLike"}
PREFIXES = {"": "", "ai.onnx.ml": "ml.", "com.microsoft": "ms.", "ai.tenon": "tenon."}
OLDEST, NEWEST = 7, 28
OPTIONS = {"Single": "1", "Optional": "?", "Variadic": "*"}
# Getters of these names would hide members of mlir::OpState.
RESERVED = {"Attr", "Context", "Loc", "Operation", "Properties", "OperationName"}
KINDS = {"INT": "int", "INTS": "ints", "FLOAT": "float", "FLOATS": "floats",
         "STRING": "string", "STRINGS": "strings", "TENSOR": "tensor",
         "GRAPH": "graph", "TYPE_PROTO": "type"}
ODS_ATTRIBUTES = {"int": "ONNX_IntAttr", "ints": "DenseI64ArrayAttr",
                  "float": "ONNX_FloatAttr", "floats": "DenseF32ArrayAttr",
                  "string": "StrAttr", "strings": "StrArrayAttr",
                  "tensor": "TypedAttrInterface", "type": "TypeAttr"}


class Op:
    """One operator: formals are (name, letter), attributes (name, kind, required, default)."""

    def __init__(self, domain, name, summary, inputs, outputs, attributes):
        self.domain, self.name, self.summary = domain, name, summary
        self.inputs, self.outputs, self.attributes = inputs, outputs, attributes


def first_sentence(doc, name):
    text = re.sub(r"[`\"\\]", "", " ".join((doc or name).split()))
    text = re.split(r"(?<=[a-z0-9)])\. |: |\.$", text)[0]
    return text if len(text) <= 200 else text[:197] + "..."


def default_of(attribute):
    value = attribute.default_value
    if not value.type:
        return None
    value = onnx.helper.get_attribute_value(value)
    if isinstance(value, list):
        return [v.decode() if isinstance(v, bytes) else v for v in value]
    return value.decode() if isinstance(value, bytes) else value


def from_schema(schema):
    def formals(ports):
        return [(p.name, OPTIONS[p.option.name]) for p in ports]
    attributes = [(a.name, KINDS[a.type.name], a.required, default_of(a))
                  for a in sorted(schema.attributes.values(), key=lambda a: a.name)]
    return Op(schema.domain, schema.name, first_sentence(schema.doc, schema.name),
              formals(schema.inputs), formals(schema.outputs), attributes)


def from_table(domain, name, entry):
    def formals(text):
        return [(w.rstrip("?*"), w[-1] if w[-1] in "?*" else "1") for w in text.split()]
    attributes = [(a, v[0], len(v) == 1, v[1] if len(v) > 1 else None)
                  for a, v in sorted(entry["attributes"].items())]
    return Op(domain, name, entry["summary"], formals(entry["inputs"]),
              formals(entry["outputs"]), attributes)


def camel(name):
    """The part of the getter's name that mlir-tblgen makes of a snake_case name."""
    return "".join(w[:1].upper() + w[1:] for w in name.split("_"))


def literal(kind, value):
    if kind == "string":
        return json.dumps(value).replace('"', '\\"')
    if kind == "strings":
        return "{" + ", ".join(literal("string", v) for v in value) + "}"
    if kind in ("ints", "floats"):
        return "{" + ", ".join(str(v) for v in value) + "}"
    return f"{value!r}f" if kind == "float" else str(value)


def attribute_ods(name, kind, required, default):
    ods = ODS_ATTRIBUTES[kind]
    if required:
        return f"{ods}:${name}"
    if default is None:
        return f"OptionalAttr<{ods}>:${name}"
    return f'DefaultValuedAttr<{ods}, "{literal(kind, default)}">:${name}'


def formal_ods(name, letter):
    wrap = {"1": "ONNX_Value", "?": "Optional<ONNX_Value>", "*": "Variadic<ONNX_Value>"}
    return f"{wrap[letter]}:${name}"


def traits(op, regions):
    found = []
    if regions:
        found += ["RecursiveMemoryEffects", "RecursivelySpeculatable"]
    elif op.name not in RANDOM:
        found.append("Pure")
    # With one group mlir-tblgen does without segments.
    if sum(letter != "1" for _, letter in op.inputs) > 1:
        found.append("AttrSizedOperandSegments")
    if sum(letter != "1" for _, letter in op.outputs) > 1:
        found.append("AttrSizedResultSegments")
    return ", ".join(found)


def check(op):
    for formals in (op.inputs, op.outputs):
        letters = "".join(letter for _, letter in formals)
        if "*" in letters[:-1]:
            sys.exit(f"{op.name}: expected only the last formal to be variadic")
    for name, kind, _, default in op.attributes:
        if kind == "graph" and default is not None:
            sys.exit(f"{op.name}.{name}: expected no default graph")


def unique_outputs(op, attributes):
    """Outputs whose getter an input or attribute has already are called out_X."""
    taken = {camel(n) for n, *_ in op.inputs + attributes} | RESERVED
    return [("out_" + n if camel(n) in taken else n, letter) for n, letter in op.outputs]


def unique_inputs(op, attributes):
    taken = {camel(n) for n, *_ in attributes} | RESERVED
    return [("in_" + n if camel(n) in taken else n, letter) for n, letter in op.inputs]


def render(op):
    check(op)
    regions = [n for n, kind, *_ in op.attributes if kind == "graph"]
    attributes = [a for a in op.attributes if a[1] != "graph"]
    arguments = [formal_ods(*f) for f in unique_inputs(op, attributes)]
    arguments += [attribute_ods(*a) for a in attributes]
    results = [formal_ods(*f) for f in unique_outputs(op, attributes)]
    prefix = PREFIXES[op.domain]
    cpp = prefix.rstrip(".").capitalize() + op.name
    signatures = ["".join(letter for _, letter in f) for f in (op.inputs, op.outputs)]
    lines = [f'def ONNX_{cpp}Op : ONNX_Node<"{prefix}{op.name}", "{op.domain}", '
             f'"{op.name}", "{signatures[0]}", "{signatures[1]}", [{traits(op, regions)}]> {{',
             f'  let summary = "{op.summary}";',
             f"  let arguments = (ins {', '.join(arguments)});",
             f"  let results = (outs {', '.join(results)});"]
    if regions:
        ods = ", ".join(f"SizedRegion<1>:${n}" for n in regions)
        lines.append(f"  let regions = (region {ods});")
    return "\n".join(lines + ["}"])


def half_letters(schema, ports):
    """`x`: a formal of f32 may also be of f16 and of bf16; `h`: of f16 alone; `-`: of neither.
    What may be of bf16 alone follows an attribute and stays as it is."""
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    letters = ""
    for port in ports:
        types = allowed.get(port.type_str, [port.type_str])
        both = "tensor(float)" in types and "tensor(float16)" in types
        letters += ("x" if "tensor(bfloat16)" in types else "h") if both else "-"
    return letters


def first_opset(schema, letter, signature):
    """The opset of the first form that has the newest one's letters, for one type."""
    def has(version):
        try:
            form = onnx.defs.get_schema(schema.name, version, schema.domain)
        except onnx.defs.SchemaError:
            return False
        letters = half_letters(form, form.inputs) + half_letters(form, form.outputs)
        return sum(x in letter for x in letters) >= sum(x in letter for x in signature)
    return next((v for v in range(OLDEST, NEWEST + 1) if has(v)), NEWEST)


def half_form(schema):
    """HALF_FORM(operation, inputs, outputs, opset for f16, opset for bf16), or nothing."""
    inputs, outputs = (half_letters(schema, p) for p in (schema.inputs, schema.outputs))
    if set(inputs + outputs) <= {"-"}:
        return None
    opsets = [first_opset(schema, letter, inputs + outputs) for letter in ("hx", "x")]
    return (f'HALF_FORM("onnx.{schema.name}", "{inputs}", "{outputs}", '
            f"{opsets[0]}, {opsets[1]})")


def main(table, out, half_forms):
    if onnx.__version__ != PINNED:
        sys.exit(f"expected onnx {PINNED}, but got {onnx.__version__}")
    # scikit-learn's exporter writes operators of ai.onnx.ml that are deprecated.
    ops = [from_schema(s) for s in onnx.defs.get_all_schemas()
           if s.domain == "ai.onnx.ml" or
           s.domain == "" and not s.deprecated and s.name not in HAND_WRITTEN]
    with open(table) as file:
        for domain, entries in json.load(file).items():
            ops += [from_table(domain, name, e) for name, e in entries.items()]
    forms = [half_form(s) for s in onnx.defs.get_all_schemas()
             if s.domain == "" and not s.deprecated]
    with open(half_forms, "w") as file:
        file.write("\n".join(sorted(f for f in forms if f)) + "\n")
    ops.sort(key=lambda op: (op.domain, op.name))
    with open(out, "w") as file:
        file.write("\n\n".join(render(op) for op in ops) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
