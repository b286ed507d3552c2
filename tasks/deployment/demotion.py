"""A version that serves, and the one before it, on the rows whose truth has come since.

Where the older one is surely better it serves again.

The older version's graph is asked the logged rows of the newer one, so both are judged by the same rows.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from configs.deployment import DeploymentConfig
from infra.files import read_json, verify
from tasks.deployment.live_labels import differences_of, losses_of
from tasks.deployment.promotion import Production
from tasks.deployment.release_health import damage_of
from tasks.deployment.sequential import Differences, Measure, judge, weight
from tasks.model.onnx_session import answers, session
from tasks.production.prediction_log import PredictionLog, logged_rows
from tasks.production.releases import Manifest, Served, withdrawal
from tasks.records import Release
from tasks.rows.raw import TensorSpec

log = logging.getLogger("gyre.deployment")

MOST_ROWS = 2000
"""Labelled rows that count, the first since the release: what comes much later is drift."""


@dataclass(frozen=True)
class Demotion:
    """That the version before serves again, and why."""

    release: Release
    measure: Measure


def demote(production: Production, deployment: DeploymentConfig, log_folder: Path) -> Demotion | None:
    """Lets the version before serve again where late labels surely turned against the champion.

    None where they did not.

    Looks at nothing while a challenger is on trial: its deployment decides.

    log_folder: the project's prediction log
    Raises ReleaseError where something else serves by now.
    """
    manifest = production.manifest()
    champion, before = manifest.champion, manifest.previous
    if champion is None or before is None or manifest.released_at is None or manifest.canary:
        return None
    if not deployment.demotion or not may_serve_again(manifest, before):
        return None
    since = datetime.fromisoformat(manifest.released_at).astimezone(UTC).replace(tzinfo=None)
    seen = differences_since(log_folder, since, champion, before)
    told = f"right {-seen.mean:+.1%} of {seen.count} labelled rows, beside version {before.version} on the same rows"
    measure = Measure("late labels", (seen,), deployment.max_label_loss, told)
    if not seen.count or judge([measure], deployment.false_alarm).worse is None:
        return None
    reason = f"late labels turned against it (evidence {weight(measure.against)} to 1): {told}"
    return Demotion(production.demote(champion, reason, {"measures": [measure.line()]}), measure)


def may_serve_again(manifest: Manifest, before: Served) -> bool:
    """Whether the version before takes the champion's inputs, was not rolled back itself, and is whole."""
    champion = manifest.champion
    same_inputs = champion is not None and before.major == champion.major
    return same_inputs and withdrawal(manifest, before.graph_digest) is None and not damage_of(before)


def differences_since(folder: Path, since: datetime, champion: Served, before: Served) -> Differences:
    """How often the champion's answers to labelled rows of its own are worse than those that the version before gives.

    since: naive UTC; when the champion began to serve
    """
    if not any(folder.glob("*/labels-*.parquet")):
        return Differences()
    frame = PredictionLog(folder).labelled(since)
    frame = frame[(frame["version"] == champion.version) & (frame["answered"] >= since)].head(MOST_ROWS)
    if frame.empty:
        return Differences()
    facts = read_json(verify(before.uri, before.digest) / "signature.json")
    inputs = tuple(TensorSpec(each["name"], each["dtype"], tuple(each["shape"])) for each in facts["inputs"])
    rows, fits = logged_rows(frame, inputs)
    if not fits.any():
        return Differences()
    first = next(iter(answers(session(Path(before.uri) / "model.onnx"), rows[fits]).values()))
    theirs = pd.DataFrame({"answer": texts_of(facts)(first), "label": frame["label"][fits].to_numpy()})
    numbers = facts["classes"] is None
    return differences_of(losses_of(frame[fits], numbers), losses_of(theirs, numbers))


def texts_of(facts: dict[str, Any]) -> Callable[[Any], list[str]]:
    """What turns a graph's first output into the words of the prediction log."""
    classes = facts["classes"]
    if classes is None:
        return lambda values: [str(value) for value in values]
    return lambda values: [classes[value] for value in values]
