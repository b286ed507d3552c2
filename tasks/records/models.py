"""Records of the training plane: from baselines and a checkpoint to the bundle that is deployed."""

from typing import Any, Literal

from tasks.records.base import Finding, Record, Stored
from tasks.records.data import DatasetVersion


class TrainedModel(Stored):
    """A checkpoint: a folder with model.safetensors and checkpoint.json."""

    dataset: DatasetVersion
    run_id: str
    """MLflow run with the curves."""
    ranks: int
    metrics: dict[str, float]
    """On the test split, the result's first metric first."""
    validation: float | None = None
    """The result's first metric on the validation split, of the epoch that was kept.

    None without such a split.
    """
    seconds: float = 0.0
    """That the training took."""
    findings: tuple[Finding, ...] = ()


class Baseline(Record):
    """A model that needs no network, on the test split."""

    name: Literal["constant", "previous", "linear", "trees"]
    trivial: bool
    """Whether it looks at no input: a network that is not surely better has learned nothing."""
    score: float
    """The result's first metric."""
    low: float
    """Lower end of its bootstrap 95 % interval."""
    high: float


class Baselines(Stored):
    """Parquet with `split` (validation, then test, each in the data set's order) and each baseline's score of the row, by its name."""

    entries: tuple[Baseline, ...]
    graphs: tuple["Graph", ...]
    """Of those that may take the network's place."""
    findings: tuple[Finding, ...] = ()


class SearchReport(Record):
    """Where a search for hyperparameters stands."""

    project: str
    study: str
    """Its name among the kept searches; the same search again goes on."""
    dataset: DatasetVersion
    best: tuple[dict[str, Any], ...]
    """Values by dotted key; several where several objectives make compromises."""
    figures: tuple[dict[str, float], ...]
    """Objectives of the best, by name."""
    trials: int

    @property
    def summary(self) -> str:
        """The best in a sentence."""
        if not self.best:
            return f"{self.trials} trials, none of which ended well"
        found = ", ".join(f"{name} {value:.4g}" for name, value in self.figures[0].items())
        return f"{self.trials} trials; best {found} with " + " ".join(
            f"--set {key}={value}" for key, value in self.best[0].items()
        )


class Graph(Stored):
    """One ONNX file: raw rows in, answers out."""

    name: str
    """fp32 is the network as it was trained; linear and trees are baselines."""
    parity: float
    """Largest difference from the answers of what it was made of on real rows: of a probability, or of a
    number in standard deviations."""
    format: str = "fp32"
    """Of weights and arithmetic: fp32, or one of optimization.quantize."""
    steps: tuple[str, ...] = ()
    """What was done to come from the trained network to this graph, in words; of two graphs that are equally
    good the one of fewer steps is the simpler one."""
    seconds: float = 0.0
    """What it took to make, the training of its network included."""
    checkpoint: str = ""
    """Digest of the network's checkpoint; empty for a baseline."""


class Sketch(Record):
    """What a smaller network would cost, measured before it is trained."""

    student: str
    reason: str = ""
    """Why there can be no such student; empty where there can."""
    latency_ratio: float = 1.0
    """Of single rows, to the main network's graph."""
    size_ratio: float = 1.0


class Variants(Record):
    """Forms of a trained model that may be chosen."""

    graphs: tuple[Graph, ...]
    findings: tuple[Finding, ...] = ()
    """What could not be made."""
    untried: tuple[str, ...] = ()
    """What was left out, and why, a sentence each."""


def verdict_of_interval(low: float, high: float) -> str:
    """Who is better by the interval of a difference: surely, where all of it lies on one side."""
    return "surely better than" if low > 0 else "surely worse than" if high < 0 else "not told apart from"


class BaselineComparison(Record):
    """The chosen candidate against a baseline on the same test rows."""

    baseline: Baseline
    difference: float
    """Candidate minus baseline."""
    low: float
    """Lower end of its paired bootstrap 95 % interval."""
    high: float

    @property
    def verdict(self) -> str:
        """Who is better."""
        return verdict_of_interval(self.low, self.high)

    @property
    def summary(self) -> str:
        """The verdict with its figures."""
        figures = f"{self.baseline.score:.4f}: {self.difference:+.4f} ({self.low:+.4f} to {self.high:+.4f})"
        return f"{self.verdict} {self.baseline.name}, {figures}"


class Candidate(Record):
    """A graph, measured on its target, and on the rows by which one of several is chosen."""

    graph: Graph
    split: Literal["validation", "test"]
    """Of the rows: validation, where there are such; never the training rows."""
    rows: int
    score: float
    """The result's first metric on these rows."""
    low: float
    """Lower end of the score's bootstrap 95 % interval."""
    high: float
    gains: dict[str, float] = {}
    """The score minus each baseline's on these rows, by the baseline's name."""
    latency_ms: float
    """Median of single rows, one thread."""
    latency_rounds_ms: tuple[float, ...] = ()
    """The same in each round of measuring, in which all candidates took turns.

    What tells noise from speed.
    """
    p99_ms: float = 0.0
    """Time that 99 of 100 single rows stay within."""
    throughput: float
    """Rows a second in batches of 32, one thread."""
    megabytes: float
    rejected: str | None
    """Which rules of the gate it breaks on these rows; None where it keeps them all."""

    @property
    def measured_on(self) -> str:
        """The rows in words."""
        return f"{self.rows:,} {self.split} rows"

    def surely_slower(self, other: "Candidate") -> bool:
        """Whether it took longer than another in every round that both were timed in.

        Without rounds, in the median.
        """
        rounds = list(zip(self.latency_rounds_ms, other.latency_rounds_ms, strict=False))
        if not rounds:
            return self.latency_ms > other.latency_ms
        return all(mine > theirs for mine, theirs in rounds)


class Judgement(Record):
    """The chosen graph on the test split, which is asked about no other candidate."""

    rows: int
    score: float
    """The result's first metric."""
    low: float
    """Lower end of the score's bootstrap 95 % interval."""
    high: float
    against: tuple[BaselineComparison, ...] = ()
    """Beside each baseline but itself."""


class Comparison(Record):
    """Challenger against champion on the same test rows."""

    champion_version: int
    rows: int
    """That both answered."""
    champion_score: float
    challenger_score: float
    low: float
    """Lower end of the paired bootstrap 95 % interval of challenger minus champion."""
    high: float

    @property
    def summary(self) -> str:
        """Who is better in a sentence: surely, where the interval says so."""
        difference = (
            f"{self.challenger_score - self.champion_score:+.4f} ({self.low:+.4f} to {self.high:+.4f})"
        )
        return f"{verdict_of_interval(self.low, self.high)} champion v{self.champion_version}, {self.champion_score:.4f}: {difference}"


class SliceScore(Record):
    """A slice of the test split: the chosen graph's score on it, and the champion's."""

    name: str
    """Such as `sex = Female & age > 48`."""
    declared: bool
    """Named in the YAML; else found among all."""
    rows: int
    score: float
    low: float
    """Lower end of the score's bootstrap 95 % interval."""
    high: float
    gap: float
    """Score minus the score of all test rows."""
    champion: float | None
    """The champion's score on the rows that both answered; None where there is none to compare with."""
    difference: float | None
    """Challenger minus champion on these rows."""
    difference_low: float | None
    """Lower end of the interval of challenger minus champion; None for a found slice, and for one of too few
    rows."""
    difference_high: float | None


class Bundle(Stored):
    """What is deployed: a folder with model.onnx, signature.json and lineage.json; card.md, card.html and slices.json lie beside it."""

    project: str
    candidates: tuple[Candidate, ...]
    chosen: str
    """Name of the candidate that was asked about the test split."""
    judgement: Judgement
    comparison: Comparison | None
    """None for a first model, and where no test row could be compared; then a finding says why."""
    failures: tuple[str, ...]
    model: TrainedModel
    findings: tuple[Finding, ...] = ()

    @property
    def headline(self) -> str:
        """The score of the chosen graph on the test split in a few words."""
        found = self.judgement
        return f"{next(iter(self.model.metrics))} {found.score:.4f} ({found.low:.4f} to {found.high:.4f})"

    @property
    def summary(self) -> str:
        """The headline, what it was measured on and against, and how the graph was chosen."""
        head = f"{self.headline} by {self.chosen} on {self.judgement.rows:,} test rows"
        told = [self.comparison.summary] if self.comparison else []
        told += [each.summary for each in self.judgement.against]
        if len(self.candidates) > 1:
            told.append(f"chosen of {len(self.candidates)} graphs on {self.candidates[0].measured_on}")
        return "; ".join([head, *told])
