"""One look at production: the newest predictions of the champion against what it was trained on (tasks/production/drift_reference.py).

A model that learned from the source and from late labels knows two worlds, and production may be either: it
is compared with the one that it lies nearer to. So a model that was retrained on the new world is not found
drifted for having seen the old one too. Too few predictions, and predictions that were looked at before, are
answered without importing Evidently or torch.
"""

import hashlib
import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from configs.intake import IntakeConfig
from configs.monitoring import MonitoringConfig
from configs.result import ResultConfig
from infra.files import read_json, whole_folder, write_json
from tasks.production import drift_reference
from tasks.production.prediction_log import PredictionLog, logged_rows
from tasks.records import Champion, DescriptorDrift, DriftReport

LOGGER = logging.getLogger("gyre.monitoring")
MISSING = "missing values"
"""Descriptor of rows with gaps: the share of a row's descriptors that have no value."""
KEPT_TEXTS, OTHER = 30, "(other)"
"""Distinct texts of a descriptor that are told apart, and what the others become."""
FARTHEST = 10.0
"""Standard deviations beyond which one descriptor says no more about how far production lies."""
KEPT_REPORTS = 100
"""HTML reports of a project that are kept, the newest (4 MB each)."""


def observe(
    project: str,
    champion: Champion | None,
    since: datetime | None,
    *,
    intake: IntakeConfig,
    result: ResultConfig,
    monitoring: MonitoringConfig,
    log: PredictionLog,
    report_folder: Path,
) -> DriftReport:
    """The verdict on the newest `monitoring.window` predictions of the champion.

    since: when the champion was released, with its time zone; only labels that arrived later count. None: all labels of its predictions
    report_folder: a look that compared something leaves <newest prediction>-<digest>/report.html (Evidently) and descriptors.json there
    """
    report = DriftReport(
        project=project,
        version=None,
        verdict="insufficient",
        rows=0,
        labels=0,
        share=0.0,
        descriptors=(),
        newest="",
        report=None,
    )
    if champion is None:
        return report
    recent = log.latest(monitoring.window, champion.version)
    facts = {
        "version": champion.version,
        "rows": len(recent),
        "labels": late_labels(log, champion.version, since),
        "unmatched": log.unmatched(),
        "newest": newest(recent),
    }
    report = report.model_copy(update=facts)
    if len(recent) < monitoring.min_predictions:
        return report
    folder = report_folder / look_key(report.newest, champion, intake, result, monitoring)
    if not folder.is_dir():
        LOGGER.info(
            "comparing %d predictions of %s version %d with its training rows",
            len(recent),
            project,
            champion.version,
        )
        with whole_folder(folder) as partial:
            compare_nearest(*frames(recent, champion, intake, result), monitoring, partial)
        forget_old(report_folder)
    look = read_json(folder / "descriptors.json")
    descriptors = tuple(DescriptorDrift(**found) for found in look["descriptors"])
    share = sum(found.drifted for found in descriptors) / len(descriptors)
    verdict = "drifted" if share >= monitoring.drift_share else "ok"
    told = {
        "share": share,
        "descriptors": descriptors,
        "reference": look["reference"],
        "report": str(folder / "report.html"),
    }
    return report.model_copy(update={"verdict": verdict, **told})


def newest(recent: pd.DataFrame) -> str:
    """Time of the last prediction, ISO 8601 in UTC to the microsecond, so that texts sort as times do; empty when there is none."""
    return (
        recent["time"].iloc[-1].tz_localize("UTC").isoformat(timespec="microseconds") if len(recent) else ""
    )


def late_labels(log: PredictionLog, version: int, since: datetime | None) -> int:
    """How many predictions of this version got their truth after `since`."""
    frame = log.labelled(since.astimezone(UTC).replace(tzinfo=None) if since else None)
    return int((frame["version"] == version).sum())


def look_key(time: str, champion: Champion, *sections: IntakeConfig | ResultConfig | MonitoringConfig) -> str:
    """Names a look: the same predictions, champion and thresholds give the same verdict, so it is computed once. Sorts by time."""
    body = "nearest origin" + champion.digest + "".join(section.model_dump_json() for section in sections)
    return f"{datetime.fromisoformat(time):%Y%m%dT%H%M%S%f}-{hashlib.sha256(body.encode()).hexdigest()[:8]}"


def frames(
    recent: pd.DataFrame, champion: Champion, intake: IntakeConfig, result: ResultConfig
) -> tuple[pd.DataFrame, tuple[pd.DataFrame, pd.DataFrame]]:
    """Descriptors of the predictions, and the version's reference: of inputs and of answers."""
    from tasks.intake import build_intake
    from tasks.model.onnx_session import answers as ask
    from tasks.model.onnx_session import session
    from tasks.result import build_result

    rows, answers, bundle = build_intake(intake), build_result(result), Path(champion.uri)
    raw, fits = logged_rows(recent, rows.inputs)
    raw, recent = raw[fits], recent[fits]
    graph = bundle / "model.onnx" if (bundle / "model.onnx").is_file() else None
    kept = drift_reference.read(bundle) or drift_reference.frames(champion.dataset, rows, answers, graph)
    # The log has the answers alone; the graph that gave them says how sure it was.
    given = (
        drift_reference.answer_descriptors(answers, ask(session(graph), raw))
        if graph
        else drift_reference.label_descriptors(answers, recent["answer"])
    )
    return pd.concat([rows.describe(raw), given], axis=1), kept


def compare_nearest(
    current: pd.DataFrame, kept: tuple[pd.DataFrame, pd.DataFrame], monitoring: MonitoringConfig, folder: Path
) -> None:
    """Compares with the rows of each origin, and keeps the comparison with the nearest in descriptors.json and report.html."""
    found = {}
    for origin, (inputs, answers) in references(*kept, monitoring).items():
        # Both are samples of their own; as columns of one frame the shorter begins anew.
        repeated = answers.iloc[np.arange(len(inputs)) % len(answers)].reset_index(drop=True)
        then = pd.concat([inputs, repeated], axis=1)
        pair = with_gaps(*with_frequent(current[then.columns], then))
        found[origin] = compare(*pair, monitoring, folder / f"{origin}.html")
    nearest = min(found, key=lambda origin: distance_of(found[origin]))
    (folder / f"{nearest}.html").rename(folder / "report.html")
    for origin in found.keys() - {nearest}:
        (folder / f"{origin}.html").unlink()
    write_json(folder / "descriptors.json", {"reference": nearest, "descriptors": found[nearest]})


def references(
    inputs: pd.DataFrame, answers: pd.DataFrame, monitoring: MonitoringConfig
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """By origin, at most `monitoring.reference` rows each; late-labelled ones count once there are as many as a verdict takes."""
    found = {}
    for origin in (drift_reference.SOURCE, drift_reference.FEEDBACK):
        mine = [
            frame[frame[drift_reference.ORIGIN] == origin].drop(columns=drift_reference.ORIGIN)
            for frame in (inputs, answers)
        ]
        least = monitoring.min_predictions if origin == drift_reference.FEEDBACK else 1
        if min(len(mine[0]), monitoring.reference) < least or not len(mine[1]):
            continue
        newest = origin == drift_reference.FEEDBACK
        first, second = (
            each.tail(monitoring.reference) if newest else each.head(monitoring.reference) for each in mine
        )
        found[origin] = (first.reset_index(drop=True), second.reset_index(drop=True))
    return found


def distance_of(found: list[dict[str, Any]]) -> tuple[float, float]:
    """How far production lies: the share of descriptors that drifted, then their mean distance."""
    return (
        float(np.mean([each["drifted"] for each in found])),
        float(np.mean([min(each["distance"], FARTHEST) for each in found])),
    )


def with_frequent(current: pd.DataFrame, reference: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same with the reference's most frequent texts of each column alone: rare ones differ between any two samples."""
    for name in reference.columns.difference(reference.select_dtypes("number").columns):
        frequent = reference[name].value_counts().index[:KEPT_TEXTS]
        current, reference = (
            frame.assign(**{name: frame[name].where(frame[name].isin(frequent), OTHER)})
            for frame in (current, reference)
        )
    return current, reference


def with_gaps(current: pd.DataFrame, reference: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The same with one more descriptor where any value is missing: distances are computed of the values that are there."""
    current, reference = (
        frame.replace([float("inf"), float("-inf")], float("nan")) for frame in (current, reference)
    )
    if current.notna().all(axis=None) and reference.notna().all(axis=None):
        return current, reference
    return current.assign(**{MISSING: current.isna().mean(axis=1)}), reference.assign(
        **{MISSING: reference.isna().mean(axis=1)}
    )


def compare(
    current: pd.DataFrame, reference: pd.DataFrame, monitoring: MonitoringConfig, page: Path
) -> list[dict[str, Any]]:
    """The fields of DescriptorDrift by descriptor; writes Evidently's HTML page.

    Numbers by the Wasserstein distance in standard deviations of the reference, classes by the Jensen-Shannon
    distance. A descriptor without any value on one side has distance 1 and counts as drifted; without any on
    both sides it is not watched.
    """
    empty = {name: (current[name].isna().all(), reference[name].isna().all()) for name in reference.columns}
    found: list[dict[str, Any]] = [
        {"name": name, "distance": 1.0, "drifted": True} for name, (now, then) in empty.items() if now != then
    ]
    watched = [name for name, sides in empty.items() if not any(sides)]
    for name, distance in evidently_distances(current[watched], reference[watched], monitoring, page).items():
        found.append({"name": name, "distance": distance, "drifted": distance >= monitoring.threshold})
    return found


def evidently_distances(
    current: pd.DataFrame, reference: pd.DataFrame, monitoring: MonitoringConfig, page: Path
) -> dict[str, float]:
    """Distance by column; saves the HTML page, which needs no network to be read."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import DriftedColumnsCount, ValueDrift

    numbers = list(reference.select_dtypes("number").columns)
    classes = [name for name in reference.columns if name not in numbers]
    limit = monitoring.threshold
    headline = DriftedColumnsCount(
        drift_share=monitoring.drift_share,
        num_method="wasserstein",
        cat_method="jensenshannon",
        num_threshold=limit,
        cat_threshold=limit,
    )
    columns = [ValueDrift(column=name, method="wasserstein", threshold=limit) for name in numbers]
    columns += [ValueDrift(column=name, method="jensenshannon", threshold=limit) for name in classes]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=classes)
    datasets = [Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
    snapshot = Report([headline, *columns]).run(*datasets)
    snapshot.save_html(str(page))
    metrics = [metric for metric in snapshot.dict()["metrics"] if "column" in metric["config"]]
    return {metric["config"]["column"]: float(metric["value"]) for metric in metrics}


def forget_old(report_folder: Path) -> None:
    """Removes all but the newest KEPT_REPORTS looks; their names sort by time."""
    for folder in sorted(path for path in report_folder.iterdir() if not path.name.startswith("."))[
        :-KEPT_REPORTS
    ]:
        shutil.rmtree(folder, ignore_errors=True)
