"""A challenger on trial.

Real rows replayed to it and to the champion in turns, while it answers its share of live requests.

Step by step its share rises. At every look all evidence so far is judged (sequential.py): where the
challenger is surely worse the trial ends at once, where it surely is not the step ends early, else after its
requests.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from configs.deployment import DeploymentConfig
from tasks.deployment.pairs import Live, Pairs
from tasks.deployment.sequential import Differences, Measure, Verdict, enough, judge, weight
from tasks.intake import Intake, Rows
from tasks.production.inference_client import InferenceClient, InferenceError
from tasks.production.releases import Served
from tasks.records import DatasetVersion
from tasks.rows.parts import read

log = logging.getLogger("gyre.deployment")

POLL_S = 0.05
LOOK_S = 0.25
"""Between two looks at the server's counts; replayed rows are judged one by one."""
AWAY_S = 30.0
"""How long the server may tell nothing about the challenger: as long as a restart takes."""
LABELS_S = 5.0
"""Between two looks at late labels."""
TOLERANCE = 1e-3
"""Relative: batches of other sizes round a float32 answer by less."""
SEED = 3
"""Of the order in which the two versions are asked a row."""


@dataclass(frozen=True)
class Step:
    """A share of the requests for a while."""

    share: float
    replayed: int
    live: int
    errors: int
    seconds: float
    ended: str
    """Why."""
    pairs: dict[str, float] = field(default_factory=dict)
    """How champion and challenger compare on the same rows, all steps so far together."""


@dataclass(frozen=True)
class Look:
    """What was known at a moment."""

    seconds: float
    """Since the trial began."""
    share: float
    errors: float
    """Share of all requests so far."""
    against: float
    """Natural logarithm of the strongest evidence against the challenger, over what is enough.

    0 ends the trial.
    """


@dataclass
class CanaryTrial:
    """What a challenger did with what it was asked; grows while it lasts."""

    replayed: int = 0
    """Test rows, one a request."""
    live: int = 0
    """Requests of clients that it answered or failed to; of a shadow their rows."""
    errors: int = 0
    """Of both, those that were not answered, or not as its graph answers."""
    seconds: float = 0.0
    problem: str = ""
    """The last error; or why there was no trial."""
    worse: Measure | None = None
    """In which it is surely worse than its limit allows."""
    measures: list[Measure] = field(default_factory=list)
    """As they were at the end."""
    steps: list[Step] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

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
        if self.worse:
            odds = f"evidence {weight(self.worse.against)} to 1"
            return f"{self.worse.name} is worse than it may be ({odds}): {self.worse.told}; {self.summary()}"
        return None

    def figures(self) -> dict[str, Any]:
        """For people, and for the history of releases."""
        return {name: getattr(self, name) for name in ("replayed", "live", "errors", "seconds")}

    def evidence(self) -> dict[str, Any]:
        """Everything that was seen, as JSON, for the history of releases."""
        return self.figures() | {
            "steps": [asdict(step) for step in self.steps],
            "measures": [measure.line() for measure in self.measures],
        }

    def summary(self) -> str:
        """In one line."""
        return f"{self.errors} of {self.requests} requests failed ({self.replayed} replayed test rows, {self.live} live, {self.seconds:.1f} s)"


def utc_now() -> datetime:
    """Naive UTC, as the prediction log has it."""
    return datetime.now(UTC).replace(tzinfo=None)


@dataclass
class Canary:
    """Two versions in one model server, and what they are judged by."""

    client: InferenceClient
    challenger: Served
    champion: Served | None
    """That takes the same inputs; None where there is none to compare with."""
    rows: Rows
    expected: npt.NDArray[Any]
    """The challenger's first output for each row, as its graph gave it in the sandbox."""
    deployment: DeploymentConfig
    wanted: Callable[[], bool]
    """Whether the trial is to go on: a person may have ended it."""
    take_share: Callable[[float], None]
    """Has so many of the live requests answered by the challenger."""
    labels: Callable[[datetime], Differences] = lambda _: Differences()
    """Late labels since a moment (naive UTC)."""
    trial: CanaryTrial = field(default_factory=CanaryTrial)
    _pairs: Pairs = field(default_factory=Pairs)
    _labelled: Differences = field(default_factory=Differences)
    _before: tuple[int, int] = (0, 0)
    """The server's counts when the trial began."""
    _compared_before: dict[str, Any] = field(default_factory=dict)
    """What it had compared then."""
    _refused: int = 0
    """Replayed rows without an answer."""
    _wrong: int = 0
    """Replayed rows with another answer than its graph's."""
    _live_failed: int = 0
    _started: float = field(default_factory=time.monotonic)
    _began: datetime = field(default_factory=utc_now)
    _counted: float = 0.0
    """When the server's counts were asked for last."""
    _answered: float = field(default_factory=time.monotonic)
    """When it told them last."""
    _looked_for_labels: float = 0.0
    _order: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))

    @property
    def spread(self) -> float:
        """Standard deviation of the challenger's answers where they are numbers; 0 for classes."""
        finite = self.expected[np.isfinite(self.expected)]
        return float(np.std(finite)) if self.expected.dtype.kind == "f" and len(finite) else 0.0

    def run(self, shares: tuple[float, ...]) -> CanaryTrial:
        """Step by step; all end when the challenger is surely worse, or is not `wanted` any more."""
        self._started, self._began = time.monotonic(), utc_now()
        version = self.challenger.version
        try:
            wait_until(
                lambda: not self.wanted() or self.client.ready(version), self.deployment.canary_seconds
            )
            self._before = self.client.counts(version)
            self._compared_before = self.client.comparison(version)
        except (InferenceError, TimeoutError) as error:
            self.trial.problem = f"version {version} did not become ready: {error}"
            shares = ()
        self._pairs = Pairs(self.spread, self.deployment.max_slowdown or 0.0)
        for share in shares:
            self.take_share(share)
            if not self.step(share):
                break
        self.trial.seconds = time.monotonic() - self._started
        return self.trial

    def step(self, share: float) -> bool:
        """One share of the requests; whether another may follow.

        It ends after `canary_requests` requests (at least one) but not before `canary_hold_seconds`, or after
        `canary_seconds`.
        """
        trial, deployment = self.trial, self.deployment
        started, already = time.monotonic(), (trial.replayed, trial.live, trial.errors)
        wanted_requests = max(1, deployment.canary_requests)
        ended = ""
        while not ended:
            if trial.replayed - already[0] < wanted_requests:
                self.ask_both(trial.replayed % len(self.rows))
            else:
                time.sleep(POLL_S)
            elapsed = time.monotonic() - started
            verdict = self.look(share)
            if not self.wanted():
                ended = "somebody ended the trial"
            elif verdict.worse:
                ended = f"{verdict.worse.name}: surely worse"
            elif elapsed >= deployment.canary_seconds:
                ended = f"{deployment.canary_seconds:g} s are over"
            elif elapsed < deployment.canary_hold_seconds:
                continue
            elif verdict.good:
                ended = "surely good enough"
            elif trial.replayed - already[0] >= wanted_requests:
                ended = f"{wanted_requests} requests"
        # Evidence that was enough once stays so, whatever the last requests add.
        trial.worse = self.look(share, last=True).worse or verdict.worse
        counts = (trial.replayed - already[0], trial.live - already[1], trial.errors - already[2])
        trial.steps.append(Step(share, *counts, time.monotonic() - started, ended, self._pairs.figures()))
        return self.wanted() and trial.failure(deployment) is None

    def ask_both(self, row: int) -> None:
        """A row to the challenger, and to the champion where there is one, either of them first."""
        asked = self.rows[row : row + 1]
        versions = [self.challenger] + ([self.champion] if self.champion else [])
        found: dict[int, tuple[float, Any]] = {}
        for place in self._order.permutation(len(versions)):
            version = versions[place].version
            started = time.perf_counter()
            try:
                response = self.client.infer(asked, version=version, log=False)
            except InferenceError as error:
                if version == self.challenger.version:
                    self._refused += 1
                    self.trial.problem = str(error)
                continue
            answer = np.asarray(response["outputs"][0]["data"], dtype=self.expected.dtype)
            found[version] = (1e3 * (time.perf_counter() - started), answer)
            if version == self.challenger.version and (
                told := wrong(response, answer, version, self.expected[row])
            ):
                self._wrong += 1
                self.trial.problem = told
        self.trial.replayed += 1
        self.trial.errors = self._refused + self._wrong + self._live_failed
        if self.champion and len(found) == len(versions):
            (theirs_ms, theirs), (ours_ms, ours) = (
                found[each.version] for each in (self.champion, self.challenger)
            )
            self._pairs.add(theirs_ms, ours_ms, theirs, ours)

    def look(self, share: float, last: bool = False) -> Verdict:
        """What all that was seen so far says; the server's counts and late labels are asked now and then."""
        now, trial = time.monotonic(), self.trial
        if last or now - self._looked_for_labels > LABELS_S:
            self._labelled = self.labels(self._began)
            self._looked_for_labels = time.monotonic()
        is_due = last or now - self._counted > LOOK_S
        if is_due:
            self.count_live(last)
        trial.measures = self.measures()
        if is_due:
            strongest = max(measure.against for measure in trial.measures)
            against = strongest - enough(self.deployment.false_alarm)
            errors = trial.errors / max(1, trial.requests)
            trial.looks.append(Look(now - self._started, share, errors, against))
        return judge(trial.measures, self.deployment.false_alarm)

    def measures(self) -> list[Measure]:
        """All that the challenger is judged by."""
        trial, deployment = self.trial, self.deployment
        good = max(0, trial.requests - trial.errors)
        told = f"{trial.errors} of {trial.requests} requests failed"
        seen = Differences(equal=good, worse=trial.errors)
        found = [Measure("errors", (seen,), deployment.max_errors, told, least=0.0)]
        found += self._pairs.measures(deployment)
        if self._labelled.count and deployment.max_label_loss < 1:
            told = f"right {-self._labelled.mean:+.1%} of {self._labelled.count} labelled rows"
            found.append(Measure("late labels", (self._labelled,), deployment.max_label_loss, told))
        return found

    def count_live(self, last: bool) -> None:
        """What clients asked meanwhile, by the server's own counts.

        A server that was restarted counts anew.
        """
        trial, now = self.trial, time.monotonic()
        self._counted = now
        try:
            counted = self.client.counts(self.challenger.version)
            compared = self.client.comparison(self.challenger.version)
        except InferenceError as error:
            trial.problem = str(error)
            # A restart of the server is no fault of the challenger, unless it does not come back with it.
            self._wrong += last or now - self._answered > AWAY_S
        else:
            self._answered = now
            succeeded, failed = (max(0, now - then) for now, then in zip(counted, self._before, strict=True))
            live = self._pairs.live = Live.since(compared, self._compared_before)
            if self.deployment.mode == "shadow":
                trial.live, self._live_failed = live.rows + live.failed, live.failed
                trial.problem = live.problem or trial.problem
            else:
                trial.live = max(trial.live, succeeded + failed - trial.replayed)
                self._live_failed = max(self._live_failed, failed - self._refused)
        trial.errors = self._refused + self._wrong + self._live_failed


def wrong(response: dict[str, Any], answer: npt.NDArray[Any], version: int, expected: Any) -> str:
    """What is wrong with the challenger's answer to a row; empty: nothing."""
    found = answer.reshape(np.shape(expected))
    if response["model_version"] != str(version):
        return f"version {response['model_version']} answered instead of {version}"
    if not np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True):
        return f"it answers {found} where its graph answers {expected}"
    return ""


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
