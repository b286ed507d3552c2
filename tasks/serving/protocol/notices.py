"""What an answer says about the rows it was asked about.

Values that are missing, and categories that training rows did not have.

A graph answers them all the same, so without a word nobody would know that a misspelled value was taken for
none.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.rows.raw import TEXT, Rows, TensorSpec
from tasks.serving.protocol.refusal import SHOWN, shorten
from tasks.serving.protocol.tensors import Values

MOST = 20
"""Notices about inputs, about: what more there are is counted, since each costs time and bytes."""

FEW = 16
"""Values up to which Python looks at them faster than numpy does; most requests have one row."""


@dataclass(frozen=True)
class TrainingValues:
    """What training rows had in one input, as far as the bundle tells."""

    categories: frozenset[str] | None = None
    """Texts that are told apart; None where any text is read."""
    usual: str | None = None
    """What stands for a missing value."""


NOTHING_KNOWN = TrainingValues()


def training_values(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, TrainingValues]:
    """By input, from the bundle's signature.json."""
    return {
        name: TrainingValues(
            frozenset(each["categories"]) if "categories" in each else None, each.get("usual")
        )
        for name, each in facts.items()
    }


def notices(rows: Rows, inputs: Sequence[TensorSpec], trained: Mapping[str, TrainingValues]) -> list[str]:
    """A sentence for each input with missing or unseen values; none, and fast, where there are none."""
    told: list[str] = []
    found = []
    for spec in inputs:
        known = trained.get(spec.name, NOTHING_KNOWN)
        missing = None if spec.shape else missing_values(rows[spec.name], spec, known)
        if missing is not None:
            found.append((spec.name, missing, known))
    for name, missing, known in found[:MOST]:
        told += [*missing_notice(name, missing, known), *unseen_notice(name, rows[name], known)]
    if len(found) > MOST:
        told.append(f"{len(found) - MOST} more inputs have missing or unseen values")
    empty = (
        np.logical_and.reduce([missing for _, missing, _ in found])
        if len(found) == len(inputs)
        else np.zeros(len(rows), bool)
    )
    if empty.any():
        told.insert(
            0,
            f"{count_rows(empty)} no value in any input: the answer is what the model says of a row that it knows nothing of",
        )
    return told


def missing_values(values: Values, spec: TensorSpec, known: TrainingValues) -> npt.NDArray[np.bool_] | None:
    """Which values are missing; None, at little cost, where all are there and none is unseen."""
    if spec.dtype == TEXT:
        texts = values.tolist()
        fine = "" not in texts if known.categories is None else known.categories.issuperset(texts)
        return None if fine else np.array([not text for text in texts])
    if values.dtype.kind != "f" or (len(values) <= FEW and not any(map(math.isnan, values.tolist()))):
        return None
    missing = np.isnan(values)
    return missing if missing.any() else None


def missing_notice(name: str, missing: npt.NDArray[np.bool_], known: TrainingValues) -> Iterator[str]:
    """How many values are missing, and what stands for them."""
    if missing.any():
        stand_in = (
            f"; the training rows' median {known.usual} stands for it" if known.usual is not None else ""
        )
        yield f"input {name!r}: {count_rows(missing)} no value{stand_in}"


def unseen_notice(name: str, values: Values, known: TrainingValues) -> Iterator[str]:
    """How many categories training rows did not have, or too seldom to learn from."""
    if known.categories is None:
        return
    unseen = np.array([bool(text) and text not in known.categories for text in values])
    if not unseen.any():
        return
    first = str(values[unseen.argmax()])
    meant = nearest(first, known.categories)
    hint = f" (did you mean {shorten(meant)}?)" if meant else ""
    few = ", ".join(map(shorten, sorted(known.categories)[:5])) or "none"
    more = ", ..." if len(known.categories) > 5 else ""
    found = f"{count_rows(unseen)} a category that counts as missing, such as {shorten(first)}{hint}"
    yield f"input {name!r}: {found}; training rows have {few}{more}"


def count_rows(which: npt.NDArray[np.bool_]) -> str:
    """How many rows, and the first of them, before a verb's object."""
    count, first = int(which.sum()), int(which.argmax())
    return (
        f"row {first} has" if count == 1 else f"{count} of {len(which)} rows (the first is row {first}) have"
    )


def nearest(text: str, categories: frozenset[str]) -> str | None:
    """The category that is most like a text, but for case, blanks and a few letters."""
    plain = {category.strip().lower(): category for category in sorted(categories)}
    close = get_close_matches(text.strip().lower()[:SHOWN], plain, 1)
    return plain[close[0]] if close else None
