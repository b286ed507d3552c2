"""Late labels that come while a challenger is on trial: how often it is right, beside the champion."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.deployment.sequential import Differences
from tasks.production.prediction_log import PredictionLog


def label_differences(
    folder: Path, since: datetime, challenger: int, champion: int, *, numbers: bool
) -> Differences:
    """The labelled rows of both versions in the order of their labels, the first beside the first.

    Which version answered was drawn by the request's key, so the two are exchangeable where the versions are
    equally good. Rows beyond the shorter list wait for their like.

    folder: the project's prediction log
    since: naive UTC; only rows and labels that came later count
    numbers: the one that is further from its label is the worse; else the one whose answer is not its label
    """
    began = since.replace(tzinfo=UTC).timestamp()
    if not any(path.stat().st_mtime > began for path in folder.glob("*/labels-*.parquet")):
        return Differences()
    frame = PredictionLog(folder).labelled(since)
    # Rows of before the trial had no chance to meet the challenger.
    frame = frame[frame["answered"] >= since]
    losses = [losses_of(frame[frame["version"] == version], numbers) for version in (challenger, champion)]
    return differences_of(*losses)


def differences_of(challenger: list[float], champion: list[float]) -> Differences:
    """Losses of both beside each other; those beyond the shorter list are left out."""
    better = equal = worse = 0
    for ours, theirs in zip(challenger, champion, strict=False):
        better, equal, worse = better + (ours < theirs), equal + (ours == theirs), worse + (ours > theirs)
    return Differences(better, equal, worse)


def losses_of(frame: pd.DataFrame, numbers: bool) -> list[float]:
    """Of labelled rows: how far each answer lies from its label, or whether it is another."""
    if not numbers:
        return (frame["answer"] != frame["label"]).astype(float).tolist()
    answers, labels = (pd.to_numeric(frame[name], errors="coerce") for name in ("answer", "label"))
    # A number that cannot be read is as wrong as can be, and stays in its place.
    return (answers - labels).abs().fillna(np.inf).tolist()
