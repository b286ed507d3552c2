"""A challenger on trial: real rows replayed to the very server that would serve it, while it answers its share of live requests."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from configs.deployment import DeploymentConfig
from tasks.intake import Intake, Rows
from tasks.production.inference_client import InferenceClient, InferenceError
from tasks.production.releases import Served
from tasks.records import DatasetVersion
from tasks.rows.parts import read

log = logging.getLogger("gyre.deployment")

POLL_S = 0.05
TOLERANCE = 1e-3
"""Relative: batches of other sizes round a float32 answer by less."""


@dataclass(frozen=True)
class CanaryTrial:
    """What a challenger did with what it was asked."""

    replayed: int = 0
    """Test rows, one a request."""
    live: int = 0
    """Requests of clients that it answered or failed to."""
    errors: int = 0
    """Of both, those that were not answered, or not as its graph answers."""
    seconds: float = 0.0
    problem: str = ""
    """The last error; or why there was no trial."""

    @property
    def requests(self) -> int:
        """Replayed and live."""
        return self.replayed + self.live

    def failure(self, deployment: DeploymentConfig) -> str | None:
        """Why the challenger must not serve; None where it may."""
        if not self.requests:
            return self.problem or f"it answered nothing within {deployment.canary_seconds:g} s"
        if self.errors / self.requests > deployment.max_errors:
            return f"{self.summary()}; deployment.max_errors allows {deployment.max_errors:.1%}; the last: {self.problem or 'a live request'}"
        return None

    def figures(self) -> dict[str, Any]:
        """For people, and for the history of releases."""
        return {name: getattr(self, name) for name in ("replayed", "live", "errors", "seconds")}

    def summary(self) -> str:
        """In one line."""
        return f"{self.errors} of {self.requests} requests failed ({self.replayed} replayed test rows, {self.live} live, {self.seconds:.1f} s)"


def run_canary(
    client: InferenceClient,
    challenger: Served,
    rows: Rows,
    expected: npt.NDArray[Any],
    deployment: DeploymentConfig,
    wanted: Callable[[], bool],
) -> CanaryTrial:
    """Ends after `canary_requests` requests (at least one), after `canary_seconds`, or when it is not `wanted` any more.

    expected: the challenger's first output for each row, as its graph gave it in the sandbox
    """
    started = time.monotonic()
    deadline = started + deployment.canary_seconds
    version = challenger.version
    try:
        wait_until(lambda: not wanted() or client.ready(version), deployment.canary_seconds)
        before = client.counts(version)
    except (InferenceError, TimeoutError) as error:
        return CanaryTrial(
            seconds=time.monotonic() - started, problem=f"version {version} did not become ready: {error}"
        )
    trial, refused = CanaryTrial(), 0
    while trial.requests < max(1, deployment.canary_requests) and time.monotonic() < deadline and wanted():
        row = trial.replayed % len(rows)
        problem, unanswered = replay(client, version, rows[row : row + 1], expected[row])
        refused += unanswered
        trial = replace(
            trial,
            replayed=trial.replayed + 1,
            errors=trial.errors + bool(problem),
            problem=problem or trial.problem,
        )
    return with_live(trial, client, version, before, refused, time.monotonic() - started)


def replay(client: InferenceClient, version: int, row: Rows, expected: Any) -> tuple[str, bool]:
    """What is wrong with the challenger's answer to a row (nothing: empty), and whether the server gave none."""
    try:
        response = client.infer(row, version=version, log=False)
    except InferenceError as error:
        return str(error), True
    found = np.asarray(response["outputs"][0]["data"]).reshape(np.shape(expected))
    if response["model_version"] != str(version):
        return f"version {response['model_version']} answered instead of {version}", False
    if not np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
        return f"it answers {found} where its graph answers {expected}", False
    return "", False


def with_live(
    trial: CanaryTrial,
    client: InferenceClient,
    version: int,
    before: tuple[int, int],
    refused: int,
    seconds: float,
) -> CanaryTrial:
    """The trial with what clients asked meanwhile, by the server's own counts; a server that was restarted counts anew."""
    try:
        succeeded, failed = (
            max(0, now - then) for now, then in zip(client.counts(version), before, strict=True)
        )
    except InferenceError as error:
        return replace(trial, errors=trial.errors + 1, problem=str(error), seconds=seconds)
    live, live_failed = max(0, succeeded + failed - trial.replayed), max(0, failed - refused)
    return replace(trial, live=live, errors=trial.errors + live_failed, seconds=seconds)


def test_rows(dataset: DatasetVersion, intake: Intake, count: int) -> Rows:
    """The first `count` raw test rows of a data set version, fewer where it has fewer.

    Raises DigestError where it was changed.
    """
    frame = read(dataset, columns=list(intake.columns), split="test").head(count)
    if frame.empty:
        raise ValueError(
            f"data set {dataset.tag} has no test rows to try a challenger on; lower versioning.split.train"
        )
    return intake.rows(frame)


def wait_until(done: Callable[[], bool], timeout_s: float) -> None:
    """Returns when `done`. After `timeout_s` raises what `done` raised last, or TimeoutError."""
    deadline = time.monotonic() + timeout_s
    failure: InferenceError | None = None
    while time.monotonic() < deadline:
        try:
            if done():
                return
            failure = None
        except InferenceError as error:
            failure = error
        time.sleep(POLL_S)
    raise failure or TimeoutError(f"not within {timeout_s:g} s")
