"""Rows from a file that a person has at hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.project import Intake as Section
from configs.project import TabularIntake
from tasks.intake import Intake, Rows


def as_served(section: Section, metadata: dict[str, Any]) -> Section:
    """The intake's section with the date formats that the model server names: those of the served model's own training rows."""
    if not isinstance(section, TabularIntake):
        return section
    told = {each["name"]: each.get("parameters", {}).get("date_format") for each in metadata["inputs"]}
    formats = {name: told[name] for name in section.dates if told.get(name)}
    return section.model_copy(update={"date_formats": section.date_formats | formats})


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
