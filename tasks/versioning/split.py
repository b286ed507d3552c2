"""Which split a row belongs to, for ever."""

import hashlib

import pandas as pd

from configs.data import Split

NAMES = ("train", "validation", "test")


def split_of(ids: pd.Series, split: Split) -> pd.Series:
    """train, validation or test for each id, by sha256 of the id alone: a row never changes sides between versions."""
    bounds = (split.train, split.train + split.validation)
    return ids.map(lambda key: NAMES[sum(fraction(key) >= bound for bound in bounds)])


def fraction(key: str) -> float:
    """An even number in [0, 1) for an id."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def counts(splits: pd.Series, split: Split) -> dict[str, int]:
    """Rows a split. Raises ValueError naming one that is empty although it has a share."""
    found = {name: int((splits == name).sum()) for name in NAMES}
    shares = {"train": split.train, "validation": split.validation, "test": 1 - split.train - split.validation}
    if empty := [name for name in NAMES if shares[name] > 0 and not found[name]]:
        raise ValueError(
            f"versioning.split: no row of {len(splits)} falls into {empty[0]!r} (share {shares[empty[0]]:.3g}); bring more rows"
        )
    return found
