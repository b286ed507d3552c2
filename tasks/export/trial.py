"""The exported program against ONNX Runtime in this process, on the same rows.

How far their answers lie apart.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.export.model_facts import Facts
from tasks.export.trial_rows import Row, raw_rows
from tasks.rows.raw import feed

MOST = 1e-3
"""Largest difference that is taken for rounding; of numbers above 1 as a share of them.

Here all were under 1e-5.
"""
TIMEOUT_S = 600


class TrialError(ValueError):
    """An exported program does not answer, or not as the graph does; the message says on which row."""


@dataclass(frozen=True)
class Trial:
    """What came of it."""

    rows: int
    difference: float
    """The largest one; of numbers above 1 as a share of them."""


def compare(command: Sequence[str], lines: list[str], rows: list[Row], facts: Facts, graph: Path) -> Trial:
    """Runs a program that reads `lines`, one a row, and holds its answers against the graph's.

    Raises TrialError where it fails, or where an output is further away than MOST.
    """
    name = " ".join(Path(part).name for part in command)
    try:
        done = subprocess.run(
            command,
            input="\n".join(lines) + "\n",
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TrialError(f"{name}: no answer to {len(rows)} rows after {TIMEOUT_S} s") from None
    # Not splitlines: a text may hold U+2028, which JSON leaves as it is.
    answered = [json.loads(line) for line in done.stdout.split("\n") if line]
    if done.returncode or len(answered) != len(rows):
        refused = next((each["error"] for each in answered if "error" in each), done.stderr.strip()[-300:])
        raise TrialError(
            f"{name} ended with {done.returncode} after {len(answered)} of {len(rows)} rows: {refused}"
        )
    return compare_answers(answered, rows, facts, graph, name)


def compare_answers(
    answered: Sequence[Facts], rows: list[Row], facts: Facts, graph: Path, name: str
) -> Trial:
    """Holds answers, outputs by name a row, against the graph's.

    Raises TrialError where an output is further away than MOST; `name` is how it calls what answered.
    """
    expected = graph_answers(graph, rows, facts)
    differences = [
        difference(expected[output][number], answered[number][output], output, number, name, facts)
        for output in facts["outputs"]
        for number in range(len(rows))
    ]
    return Trial(len(rows), max(differences))


def graph_answers(graph: Path, rows: list[Row], facts: Facts) -> dict[str, npt.NDArray[Any]]:
    """The graph's outputs by name for these rows, asked one by one, as the program asks them."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    raw = raw_rows(rows, facts)
    given = [session.run(facts["outputs"], feed(raw[number : number + 1])) for number in range(len(raw))]
    return {
        name: np.concatenate(parts)
        for name, parts in zip(facts["outputs"], zip(*given, strict=True), strict=True)
    }


def difference(expected: Any, found: Any, output: str, row: int, name: str, facts: Facts) -> float:
    """How far one row's output lies from the graph's. Raises TrialError where that is too far."""
    mine, theirs = np.asarray(expected), np.asarray(found)
    if mine.dtype.kind not in "fiu":
        apart = 0.0 if np.array_equal(mine, theirs.reshape(mine.shape)) else np.inf
    else:
        # Null stands for what is not finite, in both.
        numbers = mine.astype(np.float64)
        given = theirs.astype(np.float64).reshape(numbers.shape)
        if not np.array_equal(np.isfinite(numbers), np.isfinite(given)):
            apart = np.inf
        else:
            gaps = np.abs(numbers - given) / np.maximum(1.0, np.abs(numbers))
            apart = float(np.nan_to_num(gaps).max(initial=0.0))
    # Two classes may be equally probable; then the probabilities, which are compared too, say all.
    is_class = facts["classes"] is not None and output == facts["outputs"][0] and len(facts["outputs"]) > 1
    if apart > MOST and not is_class:
        raise TrialError(
            f"{name}: row {row}: output {output!r} is {str(found)[:80]}, ONNX Runtime says {str(expected.tolist())[:80]}"
        )
    return 0.0 if is_class else apart
