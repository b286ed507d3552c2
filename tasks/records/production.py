"""Records of what serves: the champion, releases, drift and its episodes."""

from typing import Literal

from tasks.records.base import Record, Stored
from tasks.records.data import DatasetVersion


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
        """The version itself, or where its files are damaged its fallback.

        What a challenger can be compared with.
        """
        return self.fallback if self.damage else self


class Release(Record):
    """How a deployment ended."""

    project: str
    version: int
    """Version in MLflow's registry."""
    digest: str
    """Of the bundle."""
    status: Literal["promoted", "refused", "rolled-back", "unchanged"]
    """`refused`: before it saw traffic."""
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
            case "refused":
                return (
                    f"version {self.version} is refused before it saw traffic, {before} serves: {self.reason}"
                )
            case _:
                return f"version {self.version} is rolled back, {before} serves: {self.reason}"


class DescriptorDrift(Record):
    """One watched descriptor, production against training."""

    name: str
    distance: float
    """Wasserstein's in standard deviations of the reference, or Jensen-Shannon's for what has no order."""
    drifted: bool
    """Whether it is surely larger than is tolerated."""
    low: float = 0.0
    high: float = 0.0
    """Interval of the distance without what chance adds, which holds for all descriptors and looks together."""
    p: float = 1.0
    """Chance to see this where nothing moved further than is tolerated, adjusted for the number of descriptors."""
    moved: str = ""
    """What it was and what it is."""
    since: tuple[str, str, str] | None = None
    """When it moved, and an interval of that, ISO 8601.

    None where it moved before the oldest prediction compared.
    """


class Performance(Record):
    """How often the champion errs, by labels that came late."""

    labels: int
    errors: float
    """Share of answers that were wrong; of numbers, farther from the truth than `near`."""
    low: float
    high: float
    """Interval of that share which holds after every label."""
    tested: float
    """The share in its test."""
    allowed: float
    """The share from which it is worse: the test's at most, and what is tolerated."""
    near: float | None
    """Of numbers: the distance that nine in ten answers of the test kept; None for classes."""
    repeating: float
    """Share of errors had one repeated the truth that came before."""
    constant: float
    """Share of errors of the best answer that is always the same."""
    worse: bool
    """Whether it surely errs more often than is allowed."""
    since: str
    """When the label came that made it sure, ISO 8601; empty while it is not."""

    @property
    def summary(self) -> str:
        """In a sentence, the baselines first where they do better."""
        baselines = {"repeating the truth before": self.repeating, "one answer for all": self.constant}
        better = [f"{name} errs in {share:.1%}" for name, share in baselines.items() if share < self.errors]
        first = f"{' and '.join(better)} and needs no model; " if better else ""
        sure = f", surely more since {self.since}" if self.worse else ""
        far = f" (farther than {self.near:.4g} from the truth)" if self.near is not None else ""
        return (
            f"{first}the model errs in {self.errors:.1%} of {self.labels} late labels{far},"
            f" {self.low:.1%} to {self.high:.1%}, in its test in {self.tested:.1%}{sure}"
        )


class Estimate(Record):
    """How often the champion errs, estimated from its answers alone."""

    errors: float
    """Share of the compared predictions that are likely wrong.

    Of numbers, farther from the truth than `near`.
    """
    low: float
    high: float
    """Interval of 95 %, where errors go with how sure the model is as they did in its test."""
    tested: float
    """The share in its test."""
    near: float | None
    """Of numbers: the distance that nine in ten answers of the test kept; None for classes."""

    @property
    def summary(self) -> str:
        """In a sentence."""
        far = f" (farther than {self.near:.4g} from the truth)" if self.near is not None else ""
        return (
            f"estimated without labels, {self.errors:.1%} of these answers are wrong{far},"
            f" {self.low:.1%} to {self.high:.1%}, in its test {self.tested:.1%}"
        )


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
    missing: int = 0
    """How many more predictions a verdict takes."""
    smallest: float = 0.0
    """The move of a number, in standard deviations, that a look at so many rows finds nine times in ten."""
    reference: str = ""
    """What was compared with: `source` or `feedback` rows of training, whichever production lies nearer to.
    """
    descriptors: tuple[DescriptorDrift, ...]
    """The surest first."""
    matched: tuple[str, ...] = ()
    """Hours or weekdays by which the rows that were compared with were chosen, since the window holds others than training rows."""
    unseen: tuple[str, ...] = ()
    """Descriptors that were not watched.

    The version was made before its bundle kept what to compare them with.
    """
    oldest: str = ""
    """Time of the oldest prediction compared, as `newest`."""
    newest: str
    """Time of the newest prediction compared, ISO 8601; empty when there is none."""
    performance: Performance | None = None
    """By late labels; None without any, or where the version was made before its test's errors were kept."""
    estimated: Estimate | None = None
    """What the answers alone tell of errors.

    None where the bundle has too few held-out rows to learn it from.
    """
    cause: Literal["", "inputs", "answers", "performance"] = ""
    """Why the verdict is `drifted`."""
    report: str | None
    """Path of the HTML report under the home's `reports`."""
    seen: str = ""
    """Digest of what the look could see when it began; while that is the same, another look would end the
    same."""

    @property
    def summary(self) -> str:
        """The verdict in a sentence."""
        if self.version is None:
            return "insufficient: no model serves yet"
        seen = (
            f"{self.rows} predictions of version {self.version}, {self.labels} late labels since its release"
        )
        if self.verdict == "insufficient":
            return f"insufficient: {seen}; a verdict takes {self.missing} more predictions"
        if self.cause == "performance" and self.performance:
            return f"{self.verdict} by performance: {self.performance.summary}; {seen}"
        if not self.drifted:
            return f"{self.verdict}: {seen}, no descriptor surely moved further than is tolerated"
        most = self.drifted[0]
        return (
            f"{self.verdict}: {seen}, {len(self.drifted)} of {len(self.descriptors)} descriptors drifted,"
            f" most surely {most.name} ({most.moved}; chance {most.p:.1g})"
        )

    @property
    def drifted(self) -> tuple[DescriptorDrift, ...]:
        """The descriptors that drifted, the surest first."""
        return tuple(found for found in self.descriptors if found.drifted)


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
    cause: Literal["", "inputs", "answers", "performance", "gain"] = ""
    """What the look that opened it found; empty for one opened before causes were kept."""
