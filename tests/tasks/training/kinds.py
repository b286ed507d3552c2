"""Small data of each kind of rows and answers, that a network learns in seconds."""

import numpy as np
import pandas as pd

from configs.intake import TabularIntakeConfig, TextIntakeConfig
from configs.result import ClassificationResultConfig, RegressionResultConfig

WORDS = {
    "ham": ["see", "you", "at", "home", "ok", "love"],
    "spam": ["WIN", "free", "prize", "call", "0800", "now!"],
}


def texts(count):
    """Ham has no word of spam, and each text some noise."""
    draw = np.random.default_rng(1)
    labels = draw.choice(list(WORDS), count)
    rows = [" ".join([*draw.choice(WORDS[label], 6), f"x{draw.integers(1000)}", "日本"]) for label in labels]
    intake = TextIntakeConfig(kind="text", length=12)
    return (
        pd.DataFrame({"text": rows, "label": labels}),
        intake,
        ClassificationResultConfig(kind="classification", classes=tuple(WORDS)),
    )


def table(count):
    """An amount that depends on a number, a category and the weekday, with gaps in both."""
    draw = np.random.default_rng(2)
    size, kind = draw.normal(size=count), draw.choice(["a", "b", "c"], count)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 700, count), unit="D")
    amount = 100 + 30 * size + 40 * (kind == "b") + 25 * (day.dayofweek >= 5)
    frame = pd.DataFrame(
        {
            "size": np.where(draw.random(count) < 0.05, np.nan, size),
            "kind": kind,
            "day": day,
            "amount": amount,
        }
    )
    frame.loc[draw.random(count) < 0.05, "kind"] = None
    intake = TabularIntakeConfig(kind="tabular", numeric=("size",), categorical=("kind",), dates=("day",))
    return frame, intake, RegressionResultConfig(kind="regression", label="amount")


KINDS = {"text": texts, "table": table}
