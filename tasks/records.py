"""What passes between stages: small frozen records of URIs and digests, never frames, tensors or open handles.

A `uri` is an absolute path (or an fsspec URL); its `digest` (infra/files.py) is checked by whoever reads it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Frozen, JSON-serialisable; equal inputs give equal records, so a record can be part of a cache key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Stored(Record):
    """A file or folder and its digest."""

    uri: str
    digest: str


class Finding(Record):
    """Something that a stage dropped, guessed, converted, merged or did not compare: a fact. `checks` in the YAML say what it does."""

    stage: str
    """Such as `ingest`."""
    check: str
    """The key of `checks` (configs/checks.py) that decides about it."""
    about: str = ""
    """Column, file or slice concerned; empty: all rows."""
    count: int
    """How many rows, values or files."""
    total: int
    """Out of how many; at least 1."""
    told: str
    """What was found, in words that follow the count: `rows repeat the key of a later row and were left out`."""
    examples: tuple[str, ...] = ()
    """A few of them, short."""
    advice: str = ""
    """What mends the cause, as an imperative without its full stop."""

    @property
    def share(self) -> float:
        """How much of the whole is concerned, 0 to 1."""
        return self.count / max(1, self.total)

    @property
    def text(self) -> str:
        """The finding in a sentence, without its full stop."""
        about = f"{self.about}: " if self.about else ""
        examples = f", such as {'; '.join(self.examples)}" if self.examples else ""
        return f"{about}{self.count:,} of {self.total:,} {self.told} ({self.share:.2%}){examples}"


class SourceSnapshot(Record):
    """What a source holds at one moment: ingesting the same snapshot twice gives the same rows."""

    project: str
    fingerprint: str
    """Digest of the source's slices."""
    slices: tuple[str, ...] = ()
    """The slices that its rows are made of, in order: names of folders under the home's `slices`."""
    feedback: Stored | None = None
    """Parquet of served rows whose truth arrived, frozen at this moment."""
    feedback_rows: int = 0
    content: tuple[str, ...] = ()
    """The source's columns whose values are a row's content, by which rows are split; none: what the intake takes."""
    date_formats: dict[str, str] = {}
    """How date columns are written, declared or found; one that is not named is in ISO 8601, or holds dates already."""
    findings: tuple[Finding, ...] = ()


class RawRows(Stored):
    """Ingested rows: a folder of Parquet parts."""

    rows: int
    feedback_rows: int
    """How many of them are served rows whose truth arrived late (`origin` is `feedback`)."""
    content: tuple[str, ...] = ()
    """The source's columns whose values `origin_content` was taken from."""
    date_formats: dict[str, str] = {}
    """As the snapshot has them."""
    findings: tuple[Finding, ...] = ()


class DatasetVersion(Stored):
    """A commit of the data repo."""

    project: str
    version: int
    tag: str
    """Such as `digits/v3`; `git -C <data repo> checkout <tag> && dvc pull` gives the rows without Gyre."""
    commit: str
    rows: int
    splits: dict[str, int]
    """Rows a split: train, validation, test."""
    date_formats: dict[str, str] = {}
    """How the source wrote its date columns, so that clients' texts are read alike."""


class Precedents(Record):
    """What people and the last version say about rows that are to be validated, frozen at one moment."""

    decisions: Stored | None = None
    """JSON of the decisions in force about single rows (tasks/validation/decisions.py)."""
    last: DatasetVersion | None = None
    """The version to compare with, where the project has rules about it."""
    stale: str = ""
    """The newest value of the freshness rule's column where that is too old at this moment."""
    unlabelled: str = ""
    """Column of the label where it is empty until labeling, so that there is nothing to compare in it."""


class RuleOutcome(Record):
    """One expectation's result."""

    rule: str
    """GX's name and the column, such as `expect_column_values_to_be_between(brightness)`."""
    severity: Literal["fail", "quarantine", "warn"]
    success: bool
    observed: str
    unexpected: int
    """Rows that break it; 0 for rules about the whole table."""


class ValidationReport(Stored):
    """The accepted rows (a folder of Parquet parts) and what was found."""

    rows: int
    quarantined: int
    quarantine: Stored | None
    """Parquet of the rows set aside, as the source has them, with the column `reasons` (list of rules)."""
    decisions: Stored | None = None
    """JSON of people's decisions and what became of the rows that they are about."""
    decided: int = 0
    """Rows that were released or fixed."""
    lapsed: int = 0
    """Rows whose decision no longer holds: their content has changed, or the source does not have them any more."""
    rules: tuple[RuleOutcome, ...]
    failures: tuple[str, ...]
    """Why the run must stop; empty when it may go on."""
    report: str
    """Path of Data Docs' index.html under the home's `reports`."""
    findings: tuple[Finding, ...] = ()


class AnnotatorQuality(Record):
    """How one annotator did against the consensus."""

    name: str
    answers: int
    agreement: float
    """Share of answers equal to the consensus."""


class LabelReport(Stored):
    """Rows with their consensus label (a folder of Parquet parts) and what is doubtful."""

    rows: int
    agreement: float
    """Share of all answers equal to the consensus; 1.0 without annotators."""
    annotators: tuple[AnnotatorQuality, ...]
    relabelled: int
    """Rows whose consensus differs from the plain majority vote."""
    suspects: Stored | None
    """Parquet with `id, label, suggested, quality` (0 worst, 1 best), worst first."""
    suspected: int
    failures: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


class TrainedModel(Stored):
    """A checkpoint: a folder with model.safetensors and checkpoint.json."""

    dataset: DatasetVersion
    run_id: str
    """MLflow run with the curves."""
    ranks: int
    metrics: dict[str, float]
    """On the test split, the result's first metric first."""
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
        return f"{self.trials} trials; best {found} with " + " ".join(f"--set {key}={value}" for key, value in self.best[0].items())


class Graph(Stored):
    """One ONNX file: raw rows in, answers out."""

    name: Literal["fp32", "int8", "linear", "trees"]
    parity: float
    """Largest difference from the answers of what it was made of on real rows: of a probability, or of a number in standard deviations."""


def compared(low: float, high: float) -> str:
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
        return compared(self.low, self.high)

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
    throughput: float
    """Rows a second in batches of 32, one thread."""
    megabytes: float
    rejected: str | None
    """Which rules of the gate it breaks on these rows; None where it keeps them all."""

    @property
    def measured_on(self) -> str:
        """The rows in words."""
        return f"{self.rows:,} {self.split} rows"


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


class Champion(Stored):
    """The version that serves now; the stored folder is its bundle."""

    project: str
    version: int
    graph_digest: str
    dataset: DatasetVersion
    major: int = 1
    """Grows where clients of the version before would be refused."""
    damage: str = ""
    """Why its files cannot be read; empty where they are whole."""
    fallback: "Champion | None" = None
    """Where they are damaged, the newest whole version before it, which the model server answers with."""

    @property
    def whole(self) -> "Champion | None":
        """The version itself, or where its files are damaged its fallback: what a challenger can be compared with."""
        return self.fallback if self.damage else self


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
        difference = f"{self.challenger_score - self.champion_score:+.4f} ({self.low:+.4f} to {self.high:+.4f})"
        return f"{compared(self.low, self.high)} champion v{self.champion_version}, {self.champion_score:.4f}: {difference}"


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
    """Lower end of the interval of challenger minus champion; None for a found slice, and for one of too few rows."""
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


class Release(Record):
    """How a deployment ended."""

    project: str
    version: int
    """Version in MLflow's registry."""
    digest: str
    """Of the bundle."""
    status: Literal["promoted", "rolled-back", "unchanged"]
    previous: int | None
    reason: str

    @property
    def summary(self) -> str:
        """The release in a sentence."""
        before = f"version {self.previous}" if self.previous is not None else "nothing"
        match self.status:
            case "promoted":
                return f"version {self.version} is promoted, before it {before} served: {self.reason}"
            case "unchanged":
                return f"nothing changed: {self.reason}"
            case _:
                return f"version {self.version} is rolled back, {before} serves: {self.reason}"


class DescriptorDrift(Record):
    """One watched descriptor, production against training."""

    name: str
    distance: float
    drifted: bool


class DriftReport(Record):
    """One look at production."""

    project: str
    version: int | None
    """The champion that was watched; None when nothing serves yet."""
    verdict: Literal["ok", "drifted", "insufficient"]
    rows: int
    """Predictions that were compared."""
    labels: int
    """Late labels since the champion was released."""
    unmatched: int = 0
    """Late labels of rows that the prediction log does not have."""
    share: float
    """Share of the descriptors that drifted."""
    reference: str = ""
    """What was compared with: `source` or `feedback` rows of training, whichever production lies nearer to."""
    descriptors: tuple[DescriptorDrift, ...]
    newest: str
    """Time of the newest prediction compared, ISO 8601; empty when there is none."""
    report: str | None
    """Path of the HTML report under the home's `reports`."""
    seen: str = ""
    """Digest of what the look could see when it began; while that is the same, another look would end the same."""

    @property
    def summary(self) -> str:
        """The verdict in a sentence."""
        if self.version is None:
            return "insufficient: no model serves yet"
        seen = f"{self.rows} predictions of version {self.version}, {self.labels} late labels since its release"
        return f"{self.verdict}: {seen}, {self.share:.0%} of the descriptors drifted"


class Episode(Record):
    """A time of drift, from its opening to the release that ended it."""

    id: str
    project: str
    version: int
    """Champion that drifted."""
    state: Literal["open", "claimed", "closed", "given-up"]
    attempts: int
    flow_run_id: str | None
    """The retraining that holds the claim."""
    event_id: str | None
    """The drift event that announced it."""
