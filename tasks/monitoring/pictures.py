"""Pictures of a look: what moved most, then and now, and how the champions did by late labels over time."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tasks.monitoring.performance import far, upper_bound
from tasks.monitoring.verdict.measuring import Measured
from tasks.monitoring.verdict.tally import Floats, Tally

THEN, NOW, INK, GOOD = "#9aa5b1", "#d1495b", "#333333", "#2e7d6b"
SHOWN = 3
TEXTS = 8
"""Texts of a descriptor that are drawn, those whose share moved most."""
BINS = 30
FEWEST_LABELS = 20
"""In a point of the curve over time."""
POINTS = 40


def picture_of_moved(measured: Sequence[Measured], names: Sequence[str]) -> bytes:
    """A PNG of the first three of these descriptors, a panel each.

    Production's distribution over the reference's.
    """
    from matplotlib.figure import Figure

    by_name = {each.name: each for each in measured}
    shown = [by_name[name] for name in names if name in by_name][:SHOWN]
    figure = Figure(figsize=(3.4 * len(shown), 2.6), layout="constrained")
    for axes, each in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        (draw_texts if each.tally.texts else draw_numbers)(axes, each.tally)
        axes.set_title(each.name[:40], fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize="small")
    return png_of(figure)


def draw_numbers(axes: Any, tally: Tally) -> None:
    """Two histograms over the range that holds all but a hundredth of each side at either end."""
    sides = tally.shares
    ends = [float(tally.points[place]) for side in sides for place in middle_places(side)]
    low, high = min(ends), max(ends)
    points = np.clip(tally.points.astype(np.float64), low, high)
    edges = np.linspace(low, high, BINS + 1) if high > low else np.array([low - 0.5, low + 0.5])
    for side, colour, label in zip(sides[::-1], (THEN, NOW), ("then", "now"), strict=True):
        axes.hist(points, edges, weights=100 * side, color=colour, alpha=0.55, label=label)
    axes.set_ylabel("% of rows")


def middle_places(share: Floats) -> tuple[int, int]:
    """The points between which all but a hundredth of a side lies at either end."""
    below = np.cumsum(share)
    first, last = np.searchsorted(below, [0.01, 0.99 - 1e-9])
    return int(first), min(int(last), len(share) - 1)


def draw_texts(axes: Any, tally: Tally) -> None:
    """Bars of the texts whose shares moved most, the most frequent then on top."""
    now, then = tally.shares
    places = np.argsort(-np.abs(now - then), kind="stable")[:TEXTS]
    places = places[np.argsort(then[places], kind="stable")]
    heights = np.arange(len(places))
    axes.barh(heights + 0.2, 100 * then[places], 0.4, color=THEN, label="then")
    axes.barh(heights - 0.2, 100 * now[places], 0.4, color=NOW, label="now")
    axes.set_yticks(heights, [str(tally.points[place])[:18] for place in places], parse_math=False)
    axes.set_xlabel("% of rows")


def picture_of_performance(
    labelled: pd.DataFrame, wrong: Floats, releases: Sequence[tuple[pd.Timestamp, int]]
) -> bytes | None:
    """A PNG of the share of right answers over time, releases marked.

    None with labels for fewer than two points.

    labelled: predictions with late labels; columns `answered` (UTC without a zone) and `version`; wrong: 1
    where one errs
    releases: when versions began to serve
    """
    from matplotlib.dates import date2num
    from matplotlib.figure import Figure

    order = np.argsort(labelled["answered"].to_numpy(), kind="stable")
    pieces = (
        np.array_split(order, min(POINTS, len(order) // FEWEST_LABELS))
        if len(order) >= 2 * FEWEST_LABELS
        else []
    )
    if len(pieces) < 2:
        return None
    times = labelled["answered"].to_numpy()
    middles = [times[piece[len(piece) // 2]] for piece in pieces]
    errors = [float(wrong[piece].mean()) for piece in pieces]
    right = 100 * (1 - np.array(errors))
    low = np.array(
        [100 * (1 - upper_bound(share, len(piece))) for share, piece in zip(errors, pieces, strict=True)]
    )
    high = np.array(
        [100 * upper_bound(1 - share, len(piece)) for share, piece in zip(errors, pieces, strict=True)]
    )
    figure = Figure(figsize=(9.4, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.fill_between(middles, low, high, color=GOOD, alpha=0.15, linewidth=0)
    axes.plot(middles, right, color=GOOD, marker=".")
    day: Any = date2num  # untyped in matplotlib
    for moment, version in releases:
        if times[order[0]] <= moment.to_datetime64() <= times[order[-1]]:
            axes.axvline(day(moment), color=INK, linestyle="--", linewidth=1)
            axes.annotate(f"v{version}", (day(moment), 101), fontsize="small", annotation_clip=False)
    axes.set(ylabel="% right", ylim=(max(0.0, float(low.min()) - 3), 101))
    axes.set_title("What serves, by late labels, over the time of its answers", fontsize="medium", pad=14)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", labelrotation=20, labelsize="small")
    return png_of(figure)


def errors_of_log(labelled: pd.DataFrame, near: float | None) -> tuple[pd.DataFrame, Floats]:
    """The predictions whose late labels can be compared, and 1 for each that is wrong.

    near: of numbers, how far from the truth an answer may be; None for classes
    """
    if near is None:
        answers, truth = (labelled[side].astype(str).to_numpy() for side in ("answer", "label"))
        wrong = far(answers, truth, 0.0)
        return labelled, wrong.astype(np.float64)
    numbers = labelled[["answer", "label"]].apply(pd.to_numeric, errors="coerce")
    there = numbers.notna().all(axis=1)
    answers, truth = (numbers.loc[there, side].to_numpy(np.float64) for side in ("answer", "label"))
    return labelled[there], far(answers, truth, near).astype(np.float64)


def png_of(figure: Any) -> bytes:
    """A figure's PNG."""
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()
