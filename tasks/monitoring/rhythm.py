"""A reference of the same hours.

A window of one night is compared with the nights that a model was trained on.

Days have a rhythm, and a window of a few hours shows one beat of it. Where its hours or weekdays are others
than the training rows', and the training rows know all of them, rows of the same ones stand for the
reference, in production's shares as far as there are enough. What is left to find is what changed besides the
time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.production.drift_reference import EMBEDDING

RHYTHMS = ("hour of ", "weekday of ")
"""How descriptors of a time begin that comes again."""
FEWEST = 50
"""Rows that a reference of the same hours has at least."""


@dataclass(frozen=True)
class Side:
    """What production is compared with, of one origin."""

    inputs: pd.DataFrame
    """Descriptors of training rows."""
    answers: pd.DataFrame
    """Of held-out rows, or without any of the training rows' labels."""
    seen: pd.DataFrame
    """Inputs and embedding of the held-out rows, a line for each of `answers`.

    Empty where they are not kept.
    """
    matched: tuple[str, ...] = ()
    """Descriptors by which these rows were chosen; they are not watched."""

    @property
    def watched(self) -> dict[str, pd.Series]:
        """Descriptors by name, each judged by itself."""
        found: dict[str, pd.Series] = {}
        # Held-out rows know what training rows do not show: words that the vocabulary lacks.
        for frame in (self.inputs, self.answers, self.seen):
            for name in frame:
                if str(name) not in found and not str(name).startswith(EMBEDDING):
                    found[str(name)] = frame[name]
        return {name: values for name, values in found.items() if name not in self.matched}

    @property
    def together(self) -> pd.DataFrame:
        """Rows that a classifier is shown beside production's."""
        frame = self.seen if len(self.seen) else self.inputs
        return frame[[name for name in frame if name not in self.matched]]


def match_rhythm(now: pd.DataFrame, side: Side, moved: Sequence[str]) -> Side | None:
    """The reference's rows of production's hours and weekdays.

    None where these are no others, or the reference lacks them.

    moved: names of descriptors that drifted
    """
    rhythms = [name for name in map(str, side.inputs) if name.startswith(RHYTHMS) and name in moved]
    known = [name for name in rhythms if set(now[name].dropna()) <= set(side.inputs[name].dropna())]
    # Of both together there may be too few; hours say more about a day than weekdays.
    for names in (known, known[:1]):
        if not names:
            return None
        inputs = alike(now, side.inputs, names)
        held_out = alike(now, side.seen, names) if len(side.seen) else inputs
        others = side.seen if len(side.seen) else side.answers
        if min(len(inputs), len(held_out)) < FEWEST or len(others) != len(side.answers):
            continue
        return Side(
            side.inputs.iloc[inputs].reset_index(drop=True),
            side.answers.iloc[held_out].reset_index(drop=True),
            side.seen.iloc[held_out].reset_index(drop=True) if len(side.seen) else side.seen,
            tuple(known),
        )
    return None


def alike(now: pd.DataFrame, then: pd.DataFrame, names: Sequence[str]) -> npt.NDArray[np.intp]:
    """Places of rows that have production's values of these descriptors, in its shares as far as FEWEST rows allow."""
    wanted = now[list(names)].value_counts(normalize=True)
    places_of: dict[Any, npt.NDArray[np.intp]] = {}
    for key, places in then.groupby(list(names)).indices.items():
        places_of[key if isinstance(key, tuple) else (key,)] = np.asarray(places, np.intp)
    shares = [(float(share), places_of[key]) for key, share in wanted.items() if key in places_of]
    chosen: list[npt.NDArray[np.intp]] = []
    # The smallest number of rows for which every value has enough; where that is too few the rare values have fewer.
    for size in sorted(len(places) / share for share, places in shares):
        chosen = [places[: max(1, int(size * share))] for share, places in shares]
        if sum(map(len, chosen)) >= FEWEST:
            break
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.intp)
