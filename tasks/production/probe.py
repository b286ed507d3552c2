"""A few rows in a bundle with the answers that its graphs gave where they were measured.

8-bit arithmetic is not the same on every processor: sums that fit where the CPU has VNNI overflow where it
has not, without a word. Who loads a bundle asks its graph these rows first, and falls back to the bundle's
portable graph where the answers are others.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.rows.raw import Rows, feed

Values = dict[str, npt.NDArray[Any]]
FOLDER = "probe"
GRAPH, PORTABLE = "model.onnx", "portable.onnx"
"""The graph that a bundle serves, and the float graph that it was made of, where 8-bit arithmetic may differ."""
ROWS = 16
TOLERANCE = 0.01
"""Of a probability, or relative to a number's size: rounding moves answers by less."""


def write(bundle: Path, rows: Rows, sessions: dict[str, Any]) -> None:
    """Rows, and what each of the bundle's graphs, by its file's name, answers to them."""
    folder = bundle / FOLDER
    folder.mkdir()
    asked = rows[:ROWS]
    write_rows(asked, folder)
    for name, session in sessions.items():
        answers: dict[str, Any] = ask(session, feed(asked))
        np.savez(folder / f"{name}.npz", **answers)


def difference(bundle: Path, name: str, session: Any) -> float:
    """How far a graph's answers lie from those that it gave where it was measured.

    0 for a bundle without a probe.
    """
    folder = bundle / FOLDER
    if not (folder / f"{name}.npz").is_file():
        return 0.0
    return difference_from(folder / f"{name}.npz", ask(session, read_rows(folder)))


def difference_from(known: Path, found: Values) -> float:
    """How far answers by output's name lie from those in a file."""
    with np.load(known, allow_pickle=False) as expected:
        return max(
            (largest_difference(found[output], values) for output, values in expected.items()), default=0.0
        )


def largest_difference(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Of numbers that should be equal, as a share of those above 1.

    Infinite where only one of two is a finite number, or shapes differ.
    """
    if found.shape != expected.shape:
        return np.inf
    finite = np.isfinite(expected)
    if (np.isfinite(found) != finite).any():
        return np.inf
    found, expected = found[finite].astype(np.float64), expected[finite].astype(np.float64)
    differences = np.abs(found - expected) / np.maximum(1, np.abs(expected))
    return float(np.max(differences, initial=0.0))


def ask(session: Any, inputs: Values) -> Values:
    """A session's outputs of floats by name.

    Classes follow from probabilities, and may turn at a hair's breadth.
    """
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, inputs), strict=True))
    return {name: values for name, values in found.items() if np.issubdtype(values.dtype, np.floating)}


def write_rows(rows: Rows, folder: Path) -> None:
    """Raw rows as files: numbers as npz, texts as JSON; nothing is pickled."""
    inputs = feed(rows)
    texts = {name: values.tolist() for name, values in inputs.items() if values.dtype == object}
    (folder / "texts.json").write_text(json.dumps(texts))
    numbers: dict[str, Any] = {name: values for name, values in inputs.items() if name not in texts}
    np.savez(folder / "rows.npz", **numbers)


def read_rows(folder: Path) -> Values:
    """What `write_rows` wrote, as ONNX Runtime takes it."""
    with np.load(folder / "rows.npz", allow_pickle=False) as numbers:
        inputs = dict(numbers)
    texts = json.loads((folder / "texts.json").read_text())
    return inputs | {name: np.array(values, dtype=object) for name, values in texts.items()}
