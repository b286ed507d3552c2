"""Errors planted in a table, the same ones for a seed, for checks whether they are found."""

import random
import re
from collections.abc import Callable

import numpy as np
import pandas as pd

MARKERS = ("?", "N/A", "-")
SENTINELS = (-999, 9999)
UNITS = (1000, 100, 0.001)
DATE = re.compile(r"(\d{4}-)(\d{2})-(\d{2})(.*)|(\d{1,2})/(\d{1,2})(/\d{4}.*)", re.DOTALL)


def plant(clean: pd.DataFrame, rows: float, seed: int) -> tuple[pd.DataFrame, dict[str, list[int]]]:
    """A copy of a table (columns of text and of numbers) with one error in a share of its rows, and the rows of each kind of error."""
    chance = random.Random(seed)  # noqa: S311
    dirty = clean.copy()
    texts = [
        name for name in clean if not pd.api.types.is_numeric_dtype(clean[name]) and clean[name].nunique() > 1
    ]
    numbers = [
        name for name in clean if pd.api.types.is_numeric_dtype(clean[name]) and clean[name].nunique() > 1
    ]
    dirty = dirty.astype(dict.fromkeys(numbers, float))
    dates = [
        name for name in texts if clean[name].dropna().map(lambda value: bool(DATE.fullmatch(value))).all()
    ]
    texts = [name for name in texts if name not in dates]
    planted: dict[str, Callable[[int], bool]] = {
        "typo": lambda row: (
            bool(texts) and put(dirty, row, chance.choice(texts), lambda value: typo(value, chance))
        ),
        "marker": lambda row: (
            bool(texts) and put(dirty, row, chance.choice(texts), lambda _: chance.choice(MARKERS))
        ),
        "swapped texts": lambda row: len(texts) > 1 and swap(dirty, row, *chance.sample(texts, 2)),
        "unit": lambda row: (
            bool(numbers)
            and put(dirty, row, chance.choice(numbers), lambda value: value * chance.choice(UNITS))
        ),
        "sentinel": lambda row: (
            bool(numbers) and put(dirty, row, chance.choice(numbers), lambda _: chance.choice(SENTINELS))
        ),
        "swapped numbers": lambda row: len(numbers) > 1 and swap(dirty, row, *chance.sample(numbers, 2)),
        "swapped date": lambda row: bool(dates) and put(dirty, row, chance.choice(dates), day_and_month),
    }
    found: dict[str, list[int]] = {kind: [] for kind in planted}
    for row in sorted(chance.sample(range(len(clean)), round(rows * len(clean)))):
        kinds = list(planted)
        chance.shuffle(kinds)
        # Kinds that change nothing in this row, such as day and month that are the same, give way to the
        # next.
        kind = next((kind for kind in kinds if planted[kind](row)), None)
        if kind is not None:
            found[kind].append(row)
    return dirty, {kind: places for kind, places in found.items() if places}


def put(frame: pd.DataFrame, row: int, column: str, change: Callable[[object], object]) -> bool:
    """Changes one cell; says whether it did."""
    place = frame.columns.get_loc(column)
    before = frame.iat[row, place]
    if pd.isna(before):
        return False
    after = change(before)
    if after is None or after == before:
        return False
    frame.iat[row, place] = after
    return True


def swap(frame: pd.DataFrame, row: int, one: str, other: str) -> bool:
    """Changes two cells for each other; says whether they differed."""
    places = [frame.columns.get_loc(name) for name in (one, other)]
    values = [frame.iat[row, place] for place in places]
    if any(map(pd.isna, values)) or values[0] == values[1]:
        return False
    frame.iat[row, places[0]], frame.iat[row, places[1]] = values[1], values[0]
    return True


def typo(value: object, chance: random.Random) -> str:
    """A text with a letter left out, doubled, changed, or two letters changed for each other."""
    text = str(value)
    place = chance.randrange(len(text))
    letter = chance.choice("abcdefghijklmnopqrstuvwxyz")
    return chance.choice(
        [
            text[:place] + text[place + 1 :],
            text[:place] + text[place] + text[place:],
            text[:place] + letter + text[place + 1 :],
            text[:place] + text[place : place + 2][::-1] + text[place + 2 :],
        ]
    )


def day_and_month(value: object) -> str | None:
    """A date whose day and month are read the other way round, where that is a date too."""
    found = DATE.fullmatch(str(value))
    if not found:
        return None
    year, month, day, rest, first, second, end = found.groups()
    swapped = f"{year}{day}-{month}{rest}" if year else f"{second}/{first}{end}"
    return swapped if max(int(month or first), int(day or second)) <= 12 else None


def halves(rows: int) -> np.ndarray:
    """Every second row [rows]."""
    return np.arange(rows) % 2 == 0
