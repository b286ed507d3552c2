"""Evidently's page of one look: pictures of what moved most, of a bounded sample of the rows."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.monitoring.verdict.tally import KEPT_TEXTS, OTHER
from tasks.records import DescriptorDrift

MOST_ROWS = 2000
"""Of each side that are drawn."""
MOST_COLUMNS, FEWEST_COLUMNS = 10, 3
"""Columns that are drawn where many descriptors moved, and where none did."""


def draw(
    found: Sequence[DescriptorDrift],
    now: pd.DataFrame,
    then: Mapping[str, pd.Series],
    tolerance: float,
    page: Path,
) -> None:
    """Saves the page of the descriptors that moved, or of the nearest to it where none did.

    It needs no network to be read.

    found: the surest first. Evidently calls a column drifted by its distance alone, chance included; it is
    told for each a limit by which it says what the verdict says.
    """
    drawable = [each for each in found if each.name in then]
    moved = [each for each in drawable if each.drifted][:MOST_COLUMNS]
    columns = moved or drawable[:FEWEST_COLUMNS]
    limits = {
        each.name: tolerance if each.drifted else 2 * max(tolerance, each.distance, each.high)
        for each in columns
    }
    sides = [
        pd.DataFrame({name: spread_rows(side[name], MOST_ROWS) for name in limits}) for side in (now, then)
    ]
    evidently_distances(*group_rare(*sides), limits, page)


def spread_rows(column: pd.Series, rows: int) -> pd.Series:
    """At most so many rows, evenly spread; shorter columns of a frame are filled with nothing."""
    places = np.linspace(0, len(column) - 1, min(rows, len(column))).astype(int)
    return column.iloc[places].reset_index(drop=True)


def group_rare(now: pd.DataFrame, then: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same with the most frequent texts of each column alone, which a picture can hold."""
    for name in then.columns.difference(then.select_dtypes("number").columns):
        frequent = pd.concat([now[name], then[name]]).value_counts().index[:KEPT_TEXTS]
        now, then = (
            side.assign(**{name: side[name].where(side[name].isin(frequent) | side[name].isna(), OTHER)})
            for side in (now, then)
        )
    return now, then


def evidently_distances(
    now: pd.DataFrame, then: pd.DataFrame, limits: Mapping[str, float], page: Path | None = None
) -> dict[str, float]:
    """Evidently's distance by column, and its page; columns without any value on one side are left out."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    now, then = (side.replace([math.inf, -math.inf], math.nan) for side in (now, then))
    watched = [name for name in limits if now[name].notna().any() and then[name].notna().any()]
    numbers = [name for name in watched if pd.api.types.is_numeric_dtype(then[name].dtype)]
    columns = [
        ValueDrift(
            column=name, method="wasserstein" if name in numbers else "jensenshannon", threshold=limits[name]
        )
        for name in watched
    ]
    definition = DataDefinition(
        numerical_columns=numbers, categorical_columns=[name for name in watched if name not in numbers]
    )
    datasets = [Dataset.from_pandas(side[watched], data_definition=definition) for side in (now, then)]
    snapshot = Report(columns).run(*datasets)
    if page:
        snapshot.save_html(str(page))
    metrics = [metric for metric in snapshot.dict()["metrics"] if "column" in metric["config"]]
    return {metric["config"]["column"]: float(metric["value"]) for metric in metrics}
