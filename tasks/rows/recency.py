"""Which of a project's rows a training learns from, and how much each counts.

All, the newest, or the newer the more.
"""

import numpy as np
import pandas as pd

from configs.backtest import RowsConfig

WEIGHT = "gyre.weight"
"""Column that says how much a row counts."""


def choose(rows: pd.DataFrame, recipe: RowsConfig) -> pd.DataFrame:
    """Of rows in the order of their time those that the recipe names, with the column WEIGHT where newer ones count more."""
    match recipe.use:
        case "recent":
            fewest = min(len(rows), recipe.least)
            return rows.iloc[-max(fewest, round(recipe.share * len(rows))) :].reset_index(drop=True)
        case "weighted":
            age = np.arange(len(rows))[::-1] / len(rows)
            return rows.assign(**{WEIGHT: 0.5 ** (age / recipe.half_life)}).reset_index(drop=True)
        case _:
            return rows.reset_index(drop=True)
