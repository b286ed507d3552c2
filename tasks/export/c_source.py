"""The model's facts as C, and rows as the C program reads them."""

import json
from pathlib import Path
from typing import Any

from tasks.export.model_facts import Facts
from tasks.export.trial_rows import Row
from tasks.rows.raw import TEXT

C_TYPES = {
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "uint8": "UINT8",
    "int8": "INT8",
    "uint16": "UINT16",
    "int16": "INT16",
    "uint32": "UINT32",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
    TEXT: "STRING",
}
PRINTED = ("tensor(float)", "tensor(double)", "tensor(int64)")
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""Of a text between two tabs."""


def check_outputs(graph: Path) -> None:
    """Raises ValueError naming an output of a type that the program does not print."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for output in session.get_outputs():
        if output.type not in PRINTED:
            raise ValueError(
                f"output {output.name!r} is {output.type}; the C program prints {', '.join(PRINTED)}"
            )


def model_header(facts: Facts) -> str:
    """model.h. Raises ValueError naming an input that the program does not read."""
    lines = ["/* What the graph takes and gives; written by gyre export. */", ""]
    entries = []
    for number, taken in enumerate(facts["inputs"]):
        if taken["dtype"] not in C_TYPES:
            raise ValueError(
                f"input {taken['name']!r} is {taken['dtype']}; the C program reads {', '.join(C_TYPES)}"
            )
        if taken["dtype"] == TEXT and taken["shape"]:
            raise ValueError(
                f"input {taken['name']!r} has several texts a row; the C program reads one an input"
            )
        sizes = [1, *taken["shape"]]
        lines.append(f"static const int64_t SHAPE{number}[] = {{{', '.join(map(str, sizes))}}};")
        categories = "NULL"
        if taken["categories"] is not None:
            categories = f"CATEGORIES{number}"
            lines.append(f"static const char *const {categories}[] = {texts([*taken['categories'], None])};")
        usual = literal(taken["usual"])
        entries.append(
            f"  {{{literal(taken['name'])}, ONNX_TENSOR_ELEMENT_DATA_TYPE_{C_TYPES[taken['dtype']]}, "
            f"SHAPE{number}, {len(sizes)}, {categories}, {usual}, {int(taken['lowered'])}}},"
        )
    lines += [
        "static const struct input INPUTS[] = {",
        *entries,
        "};",
        f"static const char *const OUTPUTS[] = {texts(facts['outputs'])};",
        f"static const char *const CLASSES[] = {texts([*(facts['classes'] or []), None])};",
        f"enum {{ INPUT_COUNT = {len(facts['inputs'])}, OUTPUT_COUNT = {len(facts['outputs'])}, "
        f"CLASS_COUNT = {len(facts['classes'] or [])}, LONGEST_TEXT = {facts['longest_text']} }};",
    ]
    return "\n".join(lines) + "\n"


def texts(values: list[str | None]) -> str:
    """An array of string literals; None is NULL, which ends one."""
    return "{" + ", ".join(map(literal, values)) + "}"


def literal(text: str | None) -> str:
    """A text as a C string literal.

    What is not plain ASCII by its bytes in octal, which a digit behind cannot change.
    """
    if text is None:
        return "NULL"
    plain = [
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in text.encode()
    ]
    return f'"{"".join(plain)}"'


def c_lines(rows: list[Row], facts: Facts) -> list[str]:
    """Rows as the program reads them.

    Inputs between tabs, numbers of one input between blanks, missing ones empty.
    """
    return ["\t".join(field(row[each["name"]]) for each in facts["inputs"]) for row in rows]


def field(value: Any) -> str:
    """One input's value or values."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.translate(ESCAPES)
    if isinstance(value, list):
        return " ".join(field(each) for each in value)
    return json.dumps(int(value) if isinstance(value, bool) else value)
