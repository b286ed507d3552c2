"""Rows of any source in the platform's one layout; what cannot be used is named."""

import numpy as np
import pandas as pd

from tasks.intake import Intake, Rows

RESERVED = ("id", "origin", "split", "reasons")
"""Columns that stages add."""


def normalized(frame: pd.DataFrame, key: str, intake: Intake, origin: str, source: str) -> pd.DataFrame:
    """A source's rows as `id`, the intake's columns, its descriptors, the source's other columns and `origin`.

    A value that is no number becomes missing where the intake wants numbers, for validation to judge; a row that cannot be read at all
    (such as an image of another size), a missing column and a missing key raise ValueError naming source, row and column.
    """
    check_columns(frame, key, intake, source)
    frame = frame.rename(columns={key: "id"}).reset_index(drop=True)
    if (missing := frame["id"].isna()).any():
        raise ValueError(f"{source}: {missing.sum()} rows have no {key!r} (the first is row {missing.argmax()}); a key must name every row")
    frame["id"] = frame["id"].astype(str)
    rows = raw_rows(frame, intake, source)
    raw = intake.frame(rows)
    described = intake.describe(rows)
    known = {"id", *raw.columns}
    others = frame[[column for column in frame.columns if column not in known]]
    described = described[[column for column in described.columns if column not in known | set(others.columns)]]
    columns = [frame[["id"]], raw, described, others]
    return pd.concat(columns, axis=1).assign(origin=origin)


def check_columns(frame: pd.DataFrame, key: str, intake: Intake, source: str) -> None:
    """Raises ValueError naming a column that the project needs and the source does not have, or that a stage would overwrite."""
    there = f"it has {', '.join(map(str, frame.columns))}"
    if key not in frame.columns:
        raise ValueError(f"{source}: no column {key!r} (source.key); {there}; set source.key to the column that names a row")
    for column in intake.columns:
        if column not in frame.columns:
            raise ValueError(f"{source}: no column {column!r} (intake); {there}; name the source's columns in the project's intake")
    taken = [column for column in RESERVED if column in frame.columns and column != key]
    if taken:
        raise ValueError(
            f"{source}: column {taken[0]!r} is written by Gyre; rename it in the source" + ", or make it source.key" * ("id" in taken)
        )


def check_label(columns: list[str], key: str, intake: Intake, label: str, source: str) -> None:
    """Raises ValueError where no column can hold a label: neither the result's own nor any that may be an annotator's."""
    if label not in columns and not set(columns) - {key, *intake.columns}:
        raise ValueError(
            f"{source}: no column {label!r} (result.label) and none for annotators; it has {', '.join(columns)}; "
            "set result.label, or add annotators' columns and name them in labeling.annotators"
        )


def raw_rows(frame: pd.DataFrame, intake: Intake, source: str) -> Rows:
    """The intake's rows of a frame. Raises ValueError naming the first row that does not fit."""
    try:
        return fitting_rows(frame, intake)
    except ValueError:
        for position in range(len(frame)):
            try:
                fitting_rows(frame.iloc[[position]], intake)
            except ValueError as error:
                raise ValueError(f"{source}: row {frame['id'].iloc[position]!r}: {error}") from None
        raise


def fitting_rows(frame: pd.DataFrame, intake: Intake) -> Rows:
    """The intake's rows, one a line of the frame. Raises ValueError saying what is wanted."""
    shaped = [spec for spec in intake.inputs if spec.shape]
    wanted = "; ".join(f"want {np.prod(spec.shape)} values, {' x '.join(map(str, spec.shape))} {spec.dtype}" for spec in shaped)
    try:
        return intake.rows(frame)
    except ValueError as error:
        raise ValueError(f"{', '.join(intake.columns)}: {error} ({wanted or 'want what the intake describes'})") from None
