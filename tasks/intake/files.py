"""Rows from a file that a person has at hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.intake import Intake, Rows


def read_rows(path: Path, intake: Intake) -> Rows:
    """Raw rows of a .json list, a .csv with the intake's columns, or one image. Raises ValueError naming the row."""
    match path.suffix.lower():
        case ".json":
            value = json.loads(path.read_text(encoding="utf-8"))
            values = value if isinstance(value, list) else [value]
        case ".csv":
            values = pd.read_csv(path, dtype=str).astype(object).where(lambda frame: frame.notna(), None).to_dict("records")
        case _:
            values = [path]
    rows = []
    for number, value in enumerate(values):
        try:
            rows.append(intake.decode(value))
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(f"{path}, row {number}: {error}") from error
    if not rows:
        raise ValueError(f"{path}: holds no rows; want a list with at least one")
    return np.concatenate(rows)
