"""Ways to damage a file: bytes of any, fields of a model, numbers of a manifest."""
import random
import struct

import onnx
import xxhash

HEADER = struct.Struct("<8sIIQQQQQQ")
NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 0x7fffffff, 0x80000000, 0xffffffff,
           2**31 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def flip_bytes(data, rng):
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)


def put_number(data, rng):
    width, code = rng.choice([(1, "<B"), (2, "<H"), (4, "<I"), (8, "<Q")])
    if len(data) >= width:
        at = rng.randrange(len(data) - width + 1)
        struct.pack_into(code, data, at, rng.choice(NUMBERS) % (1 << 8 * width))


def add_number(data, rng):
    if len(data) >= 4:
        at = rng.randrange(len(data) - 3) & ~3
        value, = struct.unpack_from("<I", data, at)
        struct.pack_into("<I", data, at, (value + rng.choice((-4, -1, 1, 4, 64))) % 2**32)


def truncate(data, rng):
    del data[rng.randrange(len(data)):]


def repeat(data, rng):
    start, size = rng.randrange(len(data)), rng.randint(1, 64)
    at = rng.randrange(len(data))
    data[at:at] = data[start:start + size]


def remove(data, rng):
    start = rng.randrange(len(data))
    del data[start:start + rng.randint(1, 64)]


BYTES = (flip_bytes, flip_bytes, put_number, add_number, truncate, repeat, remove)
KEEPING_SIZE = (flip_bytes, put_number, add_number)


def messages(message):
    """The message and every one inside it."""
    yield message
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for inner in value if field.is_repeated else [value]:
                yield from messages(inner)


def other_value(field, value, rng, strings):
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        text = rng.choice(strings + ["", "x", "../x", "/etc/passwd", "\x00", "é" * 40])
        return text if field.type == field.TYPE_STRING else text.encode()
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return rng.choice((0.0, -1.0, 1e30, float("nan"), float("inf")))
    if field.type == field.TYPE_BOOL:
        return not value
    if field.type == field.TYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    if field.type == field.TYPE_UINT64:
        return rng.choice(NUMBERS)
    low, high = ((-2**31, 2**31 - 1) if field.type == field.TYPE_INT32
                 else (-2**63, 2**63 - 1))
    return rng.choice((0, 1, -1, 2, 3, 5, 8, 64, value + 1, value - 1, low, high))


def change_field(model, rng, strings):
    """Changes, drops or doubles one field somewhere in the model."""
    message = rng.choice(list(messages(model)))
    fields = message.ListFields()
    if not fields:
        return
    field, value = rng.choice(fields)
    if field.is_repeated:
        index = rng.randrange(len(value))
        choice = rng.randrange(3)
        if choice == 0:
            del value[index]
        elif choice == 1 and field.type == field.TYPE_MESSAGE:
            value.add().CopyFrom(value[index])
        elif field.type != field.TYPE_MESSAGE:
            value[index] = other_value(field, value[index], rng, strings)
    elif field.type == field.TYPE_MESSAGE or rng.randrange(4) == 0:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, other_value(field, value, rng, strings))


def mutate_model(data, rng):
    """Two in three: valid protobuf that says something else; the rest: bytes."""
    if rng.randrange(3) == 0:
        changed = bytearray(data)
        for _ in range(rng.randint(1, 3)):
            if changed:
                rng.choice(BYTES)(changed, rng)
        return bytes(changed)
    model = onnx.ModelProto()
    model.ParseFromString(data)
    strings = [n.op_type for n in model.graph.node]
    strings += [o for n in model.graph.node for o in (*n.output, *n.input)]
    for _ in range(rng.randint(1, 4)):
        try:
            change_field(model, rng, strings)
        except (ValueError, UnicodeError, TypeError):
            pass
    return model.SerializeToString()


def mutate_artifact(data, rng, recompute):
    """With recomputed hashes only the manifest and the header change: code is trusted."""
    changed = bytearray(data)
    if not recompute:
        for _ in range(rng.randint(1, 3)):
            if changed:
                rng.choice(BYTES)(changed, rng)
        return bytes(changed)
    fields = list(HEADER.unpack_from(data))
    offset, size = fields[3], fields[4]
    manifest = bytearray(data[offset:offset + size])
    for _ in range(rng.randint(1, 4)):
        rng.choice(KEEPING_SIZE)(manifest, rng)
    changed[offset:offset + size] = manifest
    fields[5] = xxhash.xxh64_intdigest(bytes(manifest))
    HEADER.pack_into(changed, 0, *fields)
    return bytes(changed)
