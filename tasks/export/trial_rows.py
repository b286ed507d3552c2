"""Rows that an exported program is tried with.

The bundle's own, and made-up ones, as hostile as a person's may be.
"""

from pathlib import Path
from typing import Any

import numpy as np

from tasks.export.model_facts import Facts
from tasks.production import probe
from tasks.rows.raw import MAX_TEXT, TEXT, Rows, TensorSpec, rows_from

ROWS = 32
"""At least; as many as there are different values of one input."""
WORDS = 48
CASES = (str, str.upper, str.lower, str.title)
SEED = 5
TEXTS = (
    "",
    " \t ",
    "Free prize! Call 08712 now, FREE",
    "Über ÜBER über İstanbul ẞ Σς ǅ",
    "日本語 中文 한국어 ไทย हिन्दी عربى",
    "😀👍🏽👨\u200d👩\u200d👧 🇩🇪 e\u0301 \ufeff\u00a0\u2028",
    "<script>alert('\"')</script> \\n $& %s {}",
    "now " * (MAX_TEXT // 4),
    "x" * 5000,
)

Row = dict[str, Any]
"""Values by input as JSON has them; null where one is missing."""


def known_words(graph: Any) -> list[str]:
    """Words that an onnx.ModelProto tells apart.

    The first of its tables, and the first that are no plain English.
    """
    tables = [each for node in graph.graph.node for each in node.attribute if each.name == "keys_strings"]
    words = [word.decode() for table in tables for word in table.strings]
    return [*words[:WORDS], *[word for word in words if not word.isascii()][:WORDS]]


def trial_rows(facts: Facts, words: list[str]) -> list[Row]:
    """The same rows every time; the last has no value in any input that may lack one.

    words: that the graph tells apart; texts are made of them too, in capitals and small letters
    """
    columns = {each["name"]: trial_values(each, words) for each in facts["inputs"]}
    count = max(ROWS, *map(len, columns.values()))
    rows = []
    for row in range(count):
        # Each input begins elsewhere, so that the same extremes do not always meet.
        places = {name: (row + number) % len(values) for number, (name, values) in enumerate(columns.items())}
        rows.append({name: columns[name][place] for name, place in places.items()})
    rows.append({each["name"]: missing_value(each) for each in facts["inputs"]})
    return rows


def probe_rows(bundle: Path, facts: Facts) -> list[Row]:
    """The real rows that a bundle brings as its probe; none of one that was made before there were probes."""
    folder = bundle / probe.FOLDER
    if not folder.is_dir():
        return []
    values = probe.read_rows(folder)
    rows = []
    for number in range(len(values[facts["inputs"][0]["name"]])):
        row = {each["name"]: as_json(values[each["name"]][number]) for each in facts["inputs"]}
        # The programs refuse such a text, and say why.
        if not any("\0" in value for value in row.values() if isinstance(value, str)):
            rows.append(row)
    return rows


def as_json(value: Any) -> Any:
    """One input's value, or its values flat, as JSON has them."""
    if isinstance(value, str):
        return value
    plain = np.asarray(value)
    if plain.ndim:
        return plain.ravel().tolist()
    return None if plain.dtype.kind == "f" and np.isnan(plain) else plain.item()


def trial_values(taken: Facts, words: list[str]) -> list[Any]:
    """Values of one input."""
    return shaped_values(taken) if taken["shape"] else single_values(taken, words)


def single_values(taken: Facts, words: list[str]) -> list[Any]:
    """Of an input with one value a row."""
    dtype, usual = taken["dtype"], taken["usual"]
    if dtype == TEXT:
        if taken["categories"] is None:
            groups = [words[at : at + 6] for at in range(0, len(words), 6)]
            # A few at a time: a network may be blind behind its first words.
            spelled = [case(" ".join(each)) for each in groups for case in CASES]
            return [*TEXTS, *spelled]
        return [*taken["categories"][:8], "never seen", " ", ""]
    if dtype == "bool":
        return [True, False]
    if np.dtype(dtype).kind in "iu":
        low, high = integer_range(dtype)
        return [0, 1, low, high, high // 2]
    middle = float(usual) if is_number(usual) else 1.0
    largest = float(np.finfo(dtype).max)
    return [middle, 0.0, None, -1.0, middle * 1.5, largest, -largest, 1e-30, 1e6, middle + 3.25, 20_000.5]


def shaped_values(taken: Facts) -> list[Any]:
    """Of an input with an array a row: all low, all high, a ramp, noise."""
    dtype, size = taken["dtype"], int(np.prod(taken["shape"]))
    draw = np.random.default_rng(SEED)
    if dtype == TEXT:
        return [[text] * size for text in TEXTS[:6]]
    if dtype == "bool":
        return [[False] * size, [True] * size, draw.random(size).round().astype(bool).tolist()]
    if np.dtype(dtype).kind in "iu":
        low, high = integer_range(dtype)
        ramp = np.linspace(low, high, size).astype(np.int64)
        noise = [draw.integers(low, high, size, endpoint=True) for _ in range(4)]
        return [each.tolist() for each in (np.full(size, low), np.full(size, high), ramp, *noise)]
    noise_values = [draw.normal(size=size) for _ in range(3)]
    return [each.tolist() for each in (np.zeros(size), np.full(size, 1e6), *noise_values)]


def integer_range(dtype: str) -> tuple[int, int]:
    """The smallest and largest number of a dtype that JSON carries exactly."""
    found = np.iinfo(dtype)
    return max(int(found.min), -(2**53) + 1), min(int(found.max), 2**53 - 1)


def missing_value(taken: Facts) -> Any:
    """No value, or zeros where there must be one."""
    if not taken["shape"] and (taken["dtype"] == TEXT or np.dtype(taken["dtype"]).kind == "f"):
        return None
    zero: Any = "" if taken["dtype"] == TEXT else False if taken["dtype"] == "bool" else 0
    return [zero] * int(np.prod(taken["shape"])) if taken["shape"] else zero


def is_number(text: str | None) -> bool:
    """Whether what stands for a missing value is a number; of a date it is a day."""
    try:
        return text is not None and bool(np.isfinite(float(text)))
    except ValueError:
        return False


def raw_rows(rows: list[Row], facts: Facts) -> Rows:
    """The same rows as ONNX Runtime takes them here."""
    specs = [TensorSpec(each["name"], each["dtype"], tuple(each["shape"])) for each in facts["inputs"]]
    return rows_from(specs, {spec.name: column(rows, spec) for spec in specs})


def column(rows: list[Row], spec: TensorSpec) -> Any:
    """One input's values [rows, *shape]."""
    if spec.dtype == TEXT:
        made = np.empty((len(rows), *spec.shape), object)
        for number, row in enumerate(rows):
            given = row[spec.name]
            made[number] = np.array(given, object).reshape(spec.shape) if spec.shape else given or ""
        return made
    values = [np.nan if row[spec.name] is None else row[spec.name] for row in rows]
    return np.array(values, spec.dtype).reshape(len(rows), *spec.shape)
