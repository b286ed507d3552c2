"""What is counted while a partition is scored."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.rows.raw import TEXT
from tasks.scoring.bundle import OpenBundle
from tasks.scoring.row_inputs import RowReading, Values

EXAMPLES = 3
SAMPLE = 500
"""Values of a column that a table gives to tell whether it came in another unit."""


@dataclass
class Counts:
    """What was counted on the way."""

    rows: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Refused rows by reason, values left out."""
    answers: Counter[str] = field(default_factory=Counter)
    """Rows by class."""
    moments: list[float] = field(default_factory=list)
    """Of numbers as answers: count, sum, least, greatest."""
    missing: Counter[str] = field(default_factory=Counter)
    """Rows without a value, by input."""
    unseen: Counter[str] = field(default_factory=Counter)
    """Rows with a category that training rows did not have, by input."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Of unseen categories."""
    unnamed: int = 0
    """Rows without a key, which are named by their place."""
    absent: tuple[str, ...] = ()
    samples: dict[str, list[float]] = field(default_factory=dict)
    """Some values of columns whose usual ones the contract knows."""


def note_answers(outputs: Values, bundle: OpenBundle, counts: Counts) -> None:
    """Counts classes, or sums numbers up."""
    values = outputs[bundle.outputs[0]]
    if not len(values):
        return
    if bundle.classes is not None:
        for index, count in zip(*np.unique(values, return_counts=True), strict=True):
            counts.answers[bundle.classes[index]] += int(count)
    elif values.dtype.kind in "iuf":
        count, total, least, greatest = counts.moments or [0, 0.0, float("inf"), float("-inf")]
        counts.moments = [
            count + len(values),
            total + float(values.sum(dtype=np.float64)),
            min(least, float(values.min())),
            max(greatest, float(values.max())),
        ]


def note_inputs(inputs: Values, bundle: OpenBundle, counts: Counts) -> None:
    """Counts rows without a value, and with a category that training rows did not have, by input."""
    for spec in bundle.inputs:
        if spec.shape:
            continue
        values, name = inputs[spec.name], spec.name
        if values.dtype.kind == "f":
            counts.missing[name] += int(np.isnan(values).sum())
        elif spec.dtype == TEXT:
            known = bundle.categories.get(name)
            distinct = pc.value_counts(pa.array(values, pa.string())) if known is not None else None
            if known is None or distinct is None:
                counts.missing[name] += int((values == "").sum())
                continue
            for text, times in zip(
                distinct.field("values").to_pylist(), distinct.field("counts").to_pylist(), strict=True
            ):
                if text == "":
                    counts.missing[name] += times
                elif text not in known:
                    counts.unseen[name] += times
                    examples = counts.examples.setdefault(name, [])
                    if len(examples) < EXAMPLES and (shown := text[:40]) not in examples:
                        examples.append(shown)


def note_samples(inputs: Values, reading: RowReading, counts: Counts) -> None:
    """Keeps some numbers of the columns whose usual quantiles the contract has."""
    for name, spec in reading.contract.items():
        if spec.usual and name in inputs and inputs[name].dtype == np.float32:
            values = inputs[name][np.isfinite(inputs[name])]
            step = max(1, len(values) // SAMPLE)
            counts.samples.setdefault(name, []).extend(map(float, values[::step][:SAMPLE]))
