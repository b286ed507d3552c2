"""Rows that no client should send, and some will: a graph that they break must not meet traffic."""

from collections.abc import Sequence

import numpy as np

from tasks.rows.raw import TEXT, Rows, TensorSpec, blank

TEXTS = ["", "\0", "日本 😀\n\r\t", "x" * 5_000, "a " * 2_000, "\u202eabc", "null"]
NUMBERS = [np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-40, 0.0]


def hostile_rows(inputs: Sequence[TensorSpec]) -> Rows:
    """Rows of extreme numbers, dark and bright images, empty, endless and foreign texts."""
    rows = blank(inputs, len(NUMBERS))
    for spec in inputs:
        if spec.dtype == TEXT:
            for at, text in enumerate(TEXTS):
                rows[spec.name][at] = text
        elif np.issubdtype(np.dtype(spec.dtype), np.floating):
            for at, number in enumerate(NUMBERS):
                rows[spec.name][at] = number
        else:
            limits = np.iinfo(np.dtype(spec.dtype)) if spec.dtype != "bool" else None
            rows[spec.name][1::2] = limits.max if limits else True
            rows[spec.name][2::2] = limits.min if limits else False
    return rows
