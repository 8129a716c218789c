"""PTX text -> functions of instructions, each with the handler that runs it."""
import dataclasses
import re

from ptx import arithmetic, matrix, movement  # noqa: F401 (they fill the table)
from ptx.table import HANDLERS, Instruction, UnknownInstruction

ENTRY = re.compile(r"\.entry\s+(\w+)\s*\(([^)]*)\)([^{]*)\{")
SHARED = re.compile(r"\.shared \.align (\d+) \.[bu](\d+) ([\w$]+)(\[\d*\])?;")
LABEL = re.compile(r"(\$\w+):\s*")
GUARD = re.compile(r"@(!?)(%p\d+)\s+")
# What an instruction's place is told to the debugger and the optimizer.
DIRECTIVES = (".reg", ".shared", ".pragma", ".loc")
# Branches, ends and barriers, which Block runs itself.
CONTROL = ("bra", "bra.uni", "ret", "bar.sync")


@dataclasses.dataclass
class Shared:
    """A variable in shared memory; without a size, it is the launch's dynamic memory."""
    name: str
    alignment: int
    size: int | None


@dataclasses.dataclass
class Function:
    name: str
    parameters: list
    threads: int
    shared: list
    instructions: list
    labels: dict


def parse(text):
    """name -> Function of all entries of a module."""
    text = re.sub(r"//.*", "", text)
    functions = {}
    module_shared = _shared(ENTRY.split(text)[0])
    for entry in ENTRY.finditer(text):
        name, parameters, directives = entry.groups()
        body = _body(text, entry.end())
        instructions, labels = _instructions(body)
        functions[name] = Function(
            name, re.findall(r"(\w+_param_\d+)", parameters),
            int(re.search(r"\.maxntid (\d+)", directives)[1]),
            module_shared + _shared(body), instructions, labels)
    return functions


def _shared(text):
    def size(bits, count):
        count = count.strip("[]") if count else 1
        return int(bits) // 8 * int(count) if count else None

    return [Shared(name, int(alignment), size(bits, count))
            for alignment, bits, name, count in SHARED.findall(text)]


def _body(text, begin):
    """Up to the brace that closes the one before `begin`."""
    depth = 1
    for brace in re.compile("[{}]").finditer(text, begin):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return text[begin:brace.start()]
    raise ValueError("expected a brace that closes a function, but got none")


def _instructions(body):
    # Scopes of inline assembly have one register each, always of the same name.
    body = re.sub(r"\{\s*\.reg [^;]*;", "", body)
    body = re.sub(r";\s*\}", ";", body)
    instructions, labels = [], {}
    for statement in body.split(";"):
        statement = statement.strip()
        while match := LABEL.match(statement):
            labels[match[1]] = len(instructions)
            statement = statement[match.end():].strip()
        if statement and not statement.startswith(DIRECTIVES):
            instructions.append(_instruction(statement))
    return instructions, labels


def _instruction(text):
    match = GUARD.match(text)
    guard = (match[2], bool(match[1])) if match else None
    opcode, _, rest = re.sub(r"\s+", " ", text[match.end() if match else 0:]).partition(" ")
    name, *modifiers = opcode.split(".")
    made = Instruction(name, modifiers, _operands(rest), guard, text)
    if opcode not in CONTROL or (name == "bar" and made.operands != ["0"]):
        if name not in HANDLERS:
            raise UnknownInstruction(f"expected an instruction of {sorted(HANDLERS)}, but got "
                                     f"'{text}'")
        made.execute = HANDLERS[name](made)
    return made


def _operands(text):
    """Split at commas outside {} and []."""
    return [part.strip() for part in re.split(r",(?![^{\[]*[}\]])", text) if part.strip()]
