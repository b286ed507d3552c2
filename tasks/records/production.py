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
        """The version itself, or where its files are damaged its fallback: what a challenger can be compared with."""
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
    """What was compared with: `source` or `feedback` rows of training, whichever production lies nearer to.
    """
    descriptors: tuple[DescriptorDrift, ...]
    newest: str
    """Time of the newest prediction compared, ISO 8601; empty when there is none."""
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
