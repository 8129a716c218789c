"""Writes docs/coverage.md: what every node test of the onnx package came to."""
import re

import onnx
from cases import FORMS, operators

REASON_WIDTH = 90


def write_table(path, cases, results):
    """Forms that did not run keep what the page says of them."""
    kept = {key: value for key, value in read_table(path).items() if key[0] in cases}
    results = {**kept, **results}
    lines = [
        "# Coverage",
        "",
        f"Every node test of `onnx` {onnx.__version__} ({len(cases)} cases), compiled for the",
        "host's CPU and run; `test/conformance/run.py --update` writes this page. static: as",
        "the package has it; dynamic: every input dimension is a symbol of its own; constant:",
        "every input but the first is an initializer.",
        "",
        *_totals(results), "", *_by_operator(cases, results), "",
        *_by_case(cases, results),
    ]
    path.write_text("\n".join(lines) + "\n")


def read_table(path):
    """(case, form) -> (result, reason) as the page has it."""
    found = {}
    rows = path.read_text().splitlines() if path.exists() else []
    for row in rows:
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", row)[1:-1]]
        if len(cells) != 1 + len(FORMS) or not cells[0].startswith("test_"):
            continue
        for form, cell in zip(FORMS, cells[1:]):
            found[cells[0], form] = _read_cell(cells[1] if cell == "same" else cell)
    return found


def _read_cell(cell):
    """What _cell made it from, the reason as short as it is."""
    if cell == "no such form":
        return "none", ""
    word, _, reason = cell.partition(" (")
    return word.removeprefix("fail, "), reason[:-1].replace("\\|", "|")


def _totals(results):
    kinds = ("pass", "refused", "wrong", "error", "crash")
    yield "| form | " + " | ".join(kinds) + " |"
    yield "|---|" + "---:|" * len(kinds)
    for form in FORMS:
        found = [r for (_, f), (r, _) in results.items() if f == form]
        if found:
            yield f"| {form} | " + " | ".join(str(found.count(k)) for k in kinds) + " |"


def _by_operator(cases, results):
    """Passing cases over all of each operator, static form."""
    counts = {}
    for name, case in cases.items():
        for operator in operators(case):
            entry = counts.setdefault(operator, [0, 0])
            entry[0] += results.get((name, "static"), ("", ""))[0] == "pass"
            entry[1] += 1
    yield "## Operators"
    yield ""
    yield "Cases that pass (static) of the cases in which the operator occurs."
    yield ""
    yield "| operator | pass | of |"
    yield "|---|---:|---:|"
    for operator, (passed, total) in sorted(counts.items()):
        yield f"| {operator} | {passed} | {total} |"


def _by_case(cases, results):
    yield "## Cases"
    yield ""
    yield "| case | " + " | ".join(FORMS) + " |"
    yield "|---|" + "---|" * len(FORMS)
    for name in sorted(cases):
        cells = [_cell(*results.get((name, form), ("not run", ""))) for form in FORMS]
        if cells[1:] == [cells[0]] * (len(cells) - 1) and len(cells[0]) > 20:
            cells[1:] = ["same"] * (len(cells) - 1)
        yield f"| {name} | " + " | ".join(cells) + " |"


def _cell(result, reason):
    if result == "none":
        return "no such form"
    if not reason:
        return result
    reason = reason.replace("|", "\\|").replace("\n", " ")
    if len(reason) > REASON_WIDTH and not reason.endswith("..."):
        reason = reason[:REASON_WIDTH].rstrip("\\") + "..."
    word = "refused" if result == "refused" else f"fail, {result}"
    return f"{word} ({reason})"
