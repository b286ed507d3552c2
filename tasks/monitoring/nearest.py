"""Production beside each world that a model learned from, its source and late-labelled rows.

What counts is the verdict by the one that production lies nearest to.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from configs.monitoring import MonitoringConfig
from tasks.monitoring.rhythm import Side, match_rhythm
from tasks.monitoring.verdict.classifier import measure_together, measure_unlikeness
from tasks.monitoring.verdict.judgement import measure, verdicts
from tasks.monitoring.verdict.measuring import Measured
from tasks.monitoring.verdict.values import of_frame
from tasks.production import drift_reference
from tasks.records import DescriptorDrift

FARTHEST = 10.0
"""Standard deviations beyond which one descriptor says no more about how far production lies."""


@dataclass(frozen=True)
class Judged:
    """What production is beside the reference of one origin."""

    found: list[DescriptorDrift]
    measured: list[Measured]
    nearest: str
    side: Side


def judge_nearest(
    current: pd.DataFrame,
    kept: drift_reference.Reference | tuple[pd.DataFrame, pd.DataFrame],
    monitoring: MonitoringConfig,
    number: int,
    times: pd.Series | None = None,
) -> tuple[list[DescriptorDrift], str, dict[str, pd.Series]]:
    """Every descriptor by the origin that production lies nearest to, that origin, and its descriptors by name."""
    judged = judge_sides(current, drift_reference.Reference(*kept), monitoring, number, times)
    return judged.found, judged.nearest, judged.side.watched


def judge_sides(
    current: pd.DataFrame,
    kept: drift_reference.Reference,
    monitoring: MonitoringConfig,
    number: int,
    times: pd.Series | None = None,
) -> Judged:
    """Production against the rows of each origin; what counts is the one that it lies nearest to."""
    judged = []
    for origin, side in references(kept, monitoring, set(current.columns)).items():
        beside = judge_side(current, side, origin, monitoring, number, times)
        moved = [each.name for each in beside.found if each.drifted]
        if monitoring.matching_hours and (alike := match_rhythm(current, side, moved)):
            beside = judge_side(current, alike, origin, monitoring, number, times)
        judged.append(beside)
    return min(judged, key=lambda each: how_far(each.found))


def judge_side(
    current: pd.DataFrame,
    side: Side,
    origin: str,
    monitoring: MonitoringConfig,
    number: int,
    times: pd.Series | None,
) -> Judged:
    """Production against one reference."""
    measured = measure(of_frame(current), of_frame(side.watched), monitoring.threshold)
    measured += measure_unlikeness(current, side.together, monitoring.threshold)
    measured += measure_together(current, side.together, monitoring.threshold)
    return Judged(verdicts(measured, number, times), measured, origin, side)


def references(
    kept: drift_reference.Reference, monitoring: MonitoringConfig, known: set[str]
) -> dict[str, Side]:
    """By origin, at most `monitoring.reference` rows each.

    Late-labelled ones count once there are as many as a verdict takes.

    known: names of production's descriptors
    """
    found = {}
    for origin in (drift_reference.SOURCE, drift_reference.FEEDBACK):
        inputs, answers, seen = (of_origin(frame, origin, monitoring, known) for frame in kept)
        least = monitoring.min_predictions if origin == drift_reference.FEEDBACK else 1
        if min(len(inputs), monitoring.reference) < least or not len(answers):
            continue
        found[origin] = Side(inputs, answers, seen)
    return found


def of_origin(
    frame: pd.DataFrame | None, origin: str, monitoring: MonitoringConfig, known: set[str]
) -> pd.DataFrame:
    """A frame's rows of one origin, those that count; empty where there is no frame."""
    if frame is None:
        return pd.DataFrame()
    mine = frame[frame[drift_reference.ORIGIN] == origin][[name for name in frame if name in known]]
    newest = origin == drift_reference.FEEDBACK
    chosen = mine.tail(monitoring.reference) if newest else mine.head(monitoring.reference)
    return chosen.reset_index(drop=True)


def how_far(found: list[DescriptorDrift]) -> tuple[float, float]:
    """How far production lies: the share of descriptors that drifted, then their mean distance."""
    return (
        float(np.mean([each.drifted for each in found])),
        float(np.mean([min(each.distance, FARTHEST) for each in found])),
    )
