"""One look at production.

The newest predictions of the champion against what it was trained on (tasks/production/drift_reference.py).

A model that learned from the source and from late labels knows two worlds, and production may be either: it
is compared with the one that it lies nearer to. So a model that was retrained on the new world is not found
drifted for having seen the old one too. What counts as drifted is in tasks/monitoring/verdict/judgement.py;
Evidently draws the page that people open (tasks/monitoring/page.py). Too few predictions, and predictions
that were looked at before, are answered without importing Evidently or torch.
"""

import hashlib
import logging
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from configs.intake import IntakeConfig
from configs.monitoring import MonitoringConfig
from configs.result import CustomResultConfig, RegressionResultConfig, ResultConfig
from infra.files import read_json, whole_file, whole_folder, write_json
from tasks.monitoring import performance
from tasks.monitoring.nearest import judge_sides
from tasks.monitoring.page import draw
from tasks.monitoring.pictures import errors_of_log, picture_of_moved, picture_of_performance
from tasks.monitoring.verdict.estimate import estimate
from tasks.monitoring.verdict.judgement import smallest_found
from tasks.production import drift_reference
from tasks.production.prediction_log import PredictionLog, logged_rows
from tasks.records import Champion, DescriptorDrift, DriftReport, Estimate, Performance

LOGGER = logging.getLogger("gyre.monitoring")
MOVED, PERFORMANCE = "moved.png", "performance.png"
"""Pictures in a look's folder."""
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

    since: when the champion was released, with its time zone; only labels that arrived later count. None: all
    labels of its predictions
    report_folder: a look that compared something leaves <newest prediction>-<digest>/report.html (Evidently)
    and descriptors.json there
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
    recent = newest_hours(log.latest(monitoring.window, champion.version), monitoring.window_hours)
    labelled = late_labels(log, champion.version, since)
    performed = measure_performance(labelled, champion, result, monitoring)
    facts = {
        "version": champion.version,
        "rows": len(recent),
        "labels": len(labelled),
        "performance": performed,
        "unmatched": log.unmatched(),
        "oldest": moment_of(recent, 0),
        "newest": moment_of(recent, -1),
        "missing": max(0, monitoring.min_predictions - len(recent)),
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
        number = look_number(report_folder, champion)
        with whole_folder(folder) as partial:
            look_at(recent, frames(recent, champion, intake, result), monitoring, number, champion, partial)
        forget_old(report_folder)
    look = read_json(folder / "descriptors.json")
    descriptors = tuple(DescriptorDrift(**found) for found in look["descriptors"])
    report = conclude(report, descriptors, look["answers"], monitoring)
    told = {
        "reference": look["reference"],
        "smallest": look["smallest"],
        "matched": tuple(look["matched"]),
        "unseen": tuple(look["unseen"]),
        "estimated": Estimate(**look["estimated"]) if look["estimated"] else None,
        "report": str(folder / "report.html"),
    }
    return report.model_copy(update=told)


def conclude(
    report: DriftReport,
    descriptors: tuple[DescriptorDrift, ...],
    answers: list[str],
    monitoring: MonitoringConfig,
) -> DriftReport:
    """The verdict of a report on enough predictions, whose `performance` is there already.

    `answers`: their descriptors' names.
    """
    drifted = sum(found.drifted for found in descriptors)
    share = drifted / len(descriptors)
    cause = cause_of(descriptors, answers) if drifted and share >= monitoring.drift_share else ""
    if report.performance and report.performance.worse:
        cause = "performance"
    told = {
        "verdict": "drifted" if cause else "ok",
        "cause": cause,
        "share": share,
        "descriptors": descriptors,
    }
    return report.model_copy(update=told)


def newest_hours(recent: pd.DataFrame, hours: float | None) -> pd.DataFrame:
    """The predictions that are at most so many hours older than the newest."""
    if hours is None or not len(recent):
        return recent
    oldest = recent["time"].iloc[-1] - pd.Timedelta(hours=hours)
    newest: pd.DataFrame = recent[recent["time"] >= oldest].reset_index(drop=True)
    return newest


def draw_performance(
    report: DriftReport, log: PredictionLog, releases: Sequence[tuple[datetime, int]]
) -> None:
    """Leaves PERFORMANCE in the folder of a look, of all versions that labels came for.

    Not where they are too few.

    releases: when versions began to serve
    """
    if report.report is None or report.performance is None:
        return
    labelled, wrong = errors_of_log(log.labelled(), report.performance.near)
    marked = [
        (pd.Timestamp(moment).tz_convert("UTC").tz_localize(None), version) for moment, version in releases
    ]
    drawn = picture_of_performance(labelled, wrong, marked)
    if drawn:
        with whole_file(Path(report.report).parent / PERFORMANCE) as temporary:
            temporary.write_bytes(drawn)


def moment_of(recent: pd.DataFrame, place: int) -> str:
    """Time of a prediction, ISO 8601 in UTC to the microsecond, so that texts sort as times do.

    Empty when there is none.
    """
    if not len(recent):
        return ""
    found: str = recent["time"].iloc[place].tz_localize("UTC").isoformat(timespec="microseconds")
    return found


def look_number(report_folder: Path, champion: Champion) -> int:
    """Number of the next look that compares something, among those at this version: each may alarm by chance.

    A look at predictions that were looked at before finds its folder and is not counted again.
    """
    for folder in reversed(look_folders(report_folder)):
        known = read_json(folder / "descriptors.json")
        if known.get("champion") == champion.digest:
            return int(known["look"]) + 1
    return 1


def late_labels(log: PredictionLog, version: int, since: datetime | None) -> pd.DataFrame:
    """Predictions of this version that got their truth after `since`, by its arrival."""
    frame = log.labelled(since.astimezone(UTC).replace(tzinfo=None) if since else None)
    return frame[frame["version"] == version]


def measure_performance(
    labelled: pd.DataFrame, champion: Champion, result: ResultConfig, monitoring: MonitoringConfig
) -> Performance | None:
    """What late labels say of the champion; None where they or its test's errors are missing."""
    if not len(labelled) or (kept := drift_reference.read(Path(champion.uri))) is None:
        return None
    if drift_reference.ERROR not in kept.answers:
        return None
    tested = kept.answers[drift_reference.ERROR].dropna().to_numpy()
    return performance.measure(labelled, tested, gives_numbers(result), monitoring.performance_tolerance)


def gives_numbers(result: ResultConfig) -> bool:
    """Whether answers are numbers; a user's own result is asked."""
    if isinstance(result, CustomResultConfig):
        from tasks.result import build_result

        return build_result(result).classes is None
    return isinstance(result, RegressionResultConfig)


def cause_of(descriptors: tuple[DescriptorDrift, ...], answers: list[str]) -> str:
    """Whether inputs drifted, or the answers alone, whose descriptors are named."""
    moved = [found.name for found in descriptors if found.drifted]
    about_answers = all(name.endswith(tuple(answers)) for name in moved)
    return "answers" if about_answers else "inputs"


def look_key(time: str, champion: Champion, *sections: IntakeConfig | ResultConfig | MonitoringConfig) -> str:
    """Names a look: the same predictions, champion and thresholds give the same verdict, so it is computed once. Sorts by time."""
    body = (
        "judged by rank, distance and a classifier"
        + champion.digest
        + "".join(section.model_dump_json() for section in sections)
    )
    return f"{datetime.fromisoformat(time):%Y%m%dT%H%M%S%f}-{hashlib.sha256(body.encode()).hexdigest()[:8]}"


def frames(
    recent: pd.DataFrame, champion: Champion, intake: IntakeConfig, result: ResultConfig
) -> tuple[pd.DataFrame, drift_reference.Reference]:
    """Descriptors of the predictions, with the embedding where the graph has one, and the version's reference."""
    from tasks.intake import build_intake
    from tasks.model.embedding import see
    from tasks.result import build_result

    rows, answers, bundle = build_intake(intake), build_result(result), Path(champion.uri)
    raw, fits = logged_rows(recent, rows.inputs)
    raw, recent = raw[fits], recent[fits]
    graph = bundle / "model.onnx" if (bundle / "model.onnx").is_file() else None
    kept = drift_reference.read(bundle) or drift_reference.frames(champion.dataset, rows, answers, graph)
    if graph:
        # The log has the answers alone; the graph that gave them says how sure it was.
        found = see(graph, raw)
        described = drift_reference.seen_descriptors(rows, raw, found)
        given = drift_reference.answer_descriptors(answers, found.answers)
    else:
        described = rows.describe(raw)
        given = drift_reference.label_descriptors(answers, recent["answer"])
    return pd.concat([described, given], axis=1).set_axis(recent.index), kept


def look_at(
    recent: pd.DataFrame,
    compared: tuple[pd.DataFrame, drift_reference.Reference],
    monitoring: MonitoringConfig,
    number: int,
    champion: Champion,
    folder: Path,
) -> None:
    """Judges against the rows of each origin, and keeps the judgement by the nearest in descriptors.json and report.html."""
    current, kept = compared
    times = recent["time"].loc[current.index]
    judged = judge_sides(current, kept, monitoring, number, times)
    found, nearest, then = judged.found, judged.nearest, judged.side.watched
    with whole_file(folder / MOVED) as temporary:
        temporary.write_bytes(picture_of_moved(judged.measured, [each.name for each in found]))
    draw(found, current, then, monitoring.threshold, folder / "report.html")
    fewest = min(len(column) for column in then.values())
    smallest = smallest_found(len(current), fewest, len(found), monitoring.threshold, number)
    looked = {"champion": champion.digest, "look": number, "reference": nearest, "smallest": smallest}
    looked["answers"] = [str(name) for name in kept.answers.columns if not str(name).startswith("gyre.")]
    looked["matched"] = list(judged.side.matched)
    looked["unseen"] = unseen(current, then, kept)
    estimated = estimate(current, kept.answers)
    looked["estimated"] = estimated.model_dump() if estimated else None
    write_json(folder / "descriptors.json", looked | {"descriptors": [each.model_dump() for each in found]})


def unseen(
    current: pd.DataFrame, then: Mapping[str, pd.Series], kept: drift_reference.Reference
) -> list[str]:
    """What a look could watch and does not, as the version's bundle has nothing to compare it with."""
    watchable = [str(name) for name in current if not str(name).startswith(drift_reference.EMBEDDING)]
    lacking = [name for name in watchable if name not in then and name not in kept.inputs]
    if len(watchable) < current.shape[1] and kept.seen is None:
        lacking.append("the network's embedding")
    return lacking


def look_folders(report_folder: Path) -> list[Path]:
    """Looks that compared something, the newest last; their names sort by time."""
    if not report_folder.is_dir():
        return []
    return sorted(path for path in report_folder.iterdir() if not path.name.startswith("."))


def forget_old(report_folder: Path) -> None:
    """Removes all but the newest KEPT_REPORTS looks."""
    for folder in look_folders(report_folder)[:-KEPT_REPORTS]:
        shutil.rmtree(folder, ignore_errors=True)
