"""Whether a classifier can tell production from the reference, by all descriptors and the network's embedding together.

A classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv 1610.06545): learned on one half of the rows,
its scores of the other half are one more descriptor, judged as every number is
(tasks/monitoring/verdict/measuring.py). Rows that it learned from have no say, so the p-value holds whatever
it learned. Production is halved into its older and its newer rows, and both learn once: neighbours resemble
each other, and of halves in turns one knows what is special about the other's rows (quarters alarmed in 11 of
25 windows of 200 rows with a correlation of .97, where halves never did).
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.monitoring.verdict.measuring import Measured, measure_column
from tasks.monitoring.verdict.tally import KEPT_TEXTS, Floats
from tasks.monitoring.verdict.values import of_frame
from tasks.production.drift_reference import EMBEDDING

NAME = "all together"
UNLIKENESS = "unlikeness"
SEEN = "the network's embedding"
FEWEST = 20
"""Rows of a half below which nothing is learned."""
MOST = 10_000
"""Newest rows of each side that are learned from."""
DIRECTIONS = 24
"""Of an embedding, those in which the rows differ most among themselves."""
NO_VARIANCE = 1e-10
"""Share of the largest variance under which a direction has none."""
FARTHEST = 4.0
"""Standard deviations beyond which a value says no more."""
SHRINKAGE = 0.3
"""Variance that is added to each number's."""
NAMED, LEAST_NAMED = 3, 0.1
"""Descriptors that are named as what separates both sides, each with this share of it at least."""


def measure_together(now: pd.DataFrame, then: pd.DataFrame, tolerance: float) -> list[Measured]:
    """The test's scores as one descriptor; none where there are too few rows or nothing to put together.

    now: production's descriptors in the order of time; then: of reference rows, with columns that `now` has
    too
    """
    columns, before = list(then.columns), max(0, len(now) - MOST)
    now, then = now[columns].tail(MOST), then.tail(MOST)
    # Rows of the reference come in an order that says something where they are the newest ones, and in none otherwise.
    first = np.arange(len(now)) < len(now) // 2
    halves = [[now[first], now[~first]], [then.iloc[::2], then.iloc[1::2]]]
    if len(columns) < 2 or min(len(half) for side in halves for half in side) < FEWEST:
        return []
    found, scores = [], []
    for learned in (0, 1):
        asked = 1 - learned
        table = Table(halves[0][learned], halves[1][learned])
        weights = learn(*table.learned)
        sides = [table.numbers(side[asked]) for side in halves]
        scored = [numbers @ weights for numbers in sides]
        unit = float(scored[1].std()) or 1.0
        scored = [(each - scored[1].mean()) / unit for each in scored]
        of_now, of_then = (of_frame({NAME: pd.Series(each)})[NAME] for each in scored)
        (measured,) = measure_column(NAME, of_now, of_then, tolerance)
        parts = weights * (sides[0].mean(axis=0) - sides[1].mean(axis=0))
        found.append(replace(measured, moved=table.told(parts, share_told_apart(*scored))))
        scores.append(scored[0])
    best = min(found, key=lambda each: (each.p, -each.distance.value))
    in_order = np.empty(len(now))
    in_order[~first], in_order[first] = scores  # each by what the other half taught
    # Two tests, of which the better one counts.
    places = before + np.arange(len(in_order))
    return [replace(best, p=min(1.0, 2 * best.p), scores=in_order, places=places, expected=0.0)]


def measure_unlikeness(now: pd.DataFrame, then: pd.DataFrame, tolerance: float) -> list[Measured]:
    """How far rows lie from the middle of the reference, all descriptors and the embedding together, as one descriptor.

    What is usual, one half of the reference says, and the other is asked as production is. Nothing is learned
    of production, so all of its rows count, and a change of the newest ones is seen at once.
    """
    columns = list(then.columns)
    if len(columns) < 2 or len(then) < 2 * FEWEST:
        return []
    table = Table(then.iloc[:0], then.iloc[::2])
    sides = [(table.numbers(side) ** 2).mean(axis=1) for side in (now[columns], then.iloc[1::2])]
    of_now, of_then = (of_frame({UNLIKENESS: pd.Series(each)})[UNLIKENESS] for each in sides)
    return measure_column(UNLIKENESS, of_now, of_then, tolerance)


def share_told_apart(now: Floats, then: Floats) -> float:
    """The share of pairs of which production's row has the higher score.

    Half where nothing separates them.
    """
    both = np.concatenate([now, then])
    _, places, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return float((ranks[: len(now)].sum() - len(now) * (len(now) + 1) / 2) / (len(now) * len(then)))


def learn(numbers: Floats, is_now: npt.NDArray[np.bool_]) -> Floats:
    """Weights of Fisher's linear discriminant, shrunk: few rows must not be learned by heart."""
    sides = numbers[is_now], numbers[~is_now]
    difference = sides[0].mean(axis=0) - sides[1].mean(axis=0)
    within = sum(np.cov(side, rowvar=False, bias=True).reshape(len(difference), -1) for side in sides) / 2
    weights: Floats = np.linalg.solve(within + SHRINKAGE * np.eye(len(difference)), difference)
    return weights


def finite(columns: pd.DataFrame) -> pd.DataFrame:
    """Numbers, infinite ones as missing."""
    return columns.astype(np.float64).replace([np.inf, -np.inf], np.nan)


def usual_width(values: Floats) -> float:
    """The standard deviation that a normal number with these quartiles has.

    Where they are equal, that of the values.
    """
    if not len(values):
        return 1.0
    low, high = np.quantile(values, [0.25, 0.75])
    return float((high - low) / 1.35) or float(values.std()) or 1.0


class Table:
    """Descriptors as numbers of about one size, by what the rows that are learned from show."""

    def __init__(self, now: pd.DataFrame, then: pd.DataFrame) -> None:
        both = pd.concat([now, then], ignore_index=True)
        self.names: list[str] = []
        self._embedding = [str(name) for name in both if str(name).startswith(EMBEDDING)]
        self._kinds = {
            str(name): column.value_counts().index[:KEPT_TEXTS]
            for name, column in both.items()
            if not pd.api.types.is_numeric_dtype(column.dtype)
        }
        self._plain = [str(name) for name in both if name not in self._kinds and name not in self._embedding]
        plain = finite(both[self._plain])
        self._gappy = [name for name in self._plain if plain[name].isna().any()]
        known = [column[~np.isnan(column)] for column in plain.to_numpy(np.float64).T]
        self._middle = np.array([float(np.median(column)) if len(column) else 0.0 for column in known])
        self._width = np.array([usual_width(column) for column in known])
        self._centre, self._directions = self._directions_of(both[self._embedding].to_numpy(np.float64))
        self.learned = self.numbers(both), np.arange(len(both)) < len(now)

    def _directions_of(self, embedding: Floats) -> tuple[Floats, Floats]:
        """The middle, and directions [width, DIRECTIONS at most] in which the rows have a variance of 1."""
        if not embedding.shape[1]:
            return np.zeros(0), np.zeros((0, 0))
        centre = embedding.mean(axis=0)
        away = embedding - centre
        variances, directions = np.linalg.eigh(away.T @ away / len(away))
        kept = np.flatnonzero(variances > NO_VARIANCE * variances[-1])[-DIRECTIONS:]
        return centre, directions[:, kept] / np.sqrt(variances[kept])

    def numbers(self, rows: pd.DataFrame) -> Floats:
        """[rows, len(names)]."""
        parts, self.names = [], []
        plain = finite(rows[self._plain])
        scaled = (plain.to_numpy(np.float64) - self._middle) / self._width
        parts.append(np.where(np.isnan(scaled), 0.0, scaled))
        self.names += self._plain
        parts.append(plain[self._gappy].isna().to_numpy(np.float64))
        self.names += [f"missing in {name}" for name in self._gappy]
        for name, kinds in self._kinds.items():
            parts.append((rows[name].to_numpy()[:, None] == kinds.to_numpy()[None, :]).astype(np.float64))
            self.names += [name] * len(kinds)
        if self._directions.size:
            parts.append((rows[self._embedding].to_numpy(np.float64) - self._centre) @ self._directions)
            self.names += [SEEN] * self._directions.shape[1]
        found: Floats = np.clip(np.concatenate(parts, axis=1), -FARTHEST, FARTHEST)
        return found

    def told(self, parts: Floats, apart: float) -> str:
        """In words what separates both sides."""
        by_name: dict[str, float] = {}
        for name, part in zip(self.names, parts, strict=True):
            by_name[name] = by_name.get(name, 0.0) + float(part)
        whole = sum(abs(part) for part in by_name.values()) or 1.0
        shares = {name: part / whole for name, part in by_name.items() if part / whole >= LEAST_NAMED}
        most = sorted(shares, key=lambda name: -shares[name])[:NAMED]
        by = f", most by {', '.join(most)}" if most else ""
        return f"a classifier tells then from now in {apart:.0%} of pairs{by}"
