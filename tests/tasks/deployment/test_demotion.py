"""Late labels that turn against what serves bring the version before back, once and with the evidence."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from configs.deployment import DeploymentConfig
from tasks.deployment.demotion import demote
from tasks.deployment.promotion import Production
from tasks.production.prediction_log import PredictionLog, input_columns
from tasks.production.releases import ReleaseError, Releases, promote, rollback, stage_canary
from tasks.rows.raw import TensorSpec, rows_from

CLASSES = ["left", "middle", "right"]
INPUT = (TensorSpec("image", "uint8", (2, 2, 1)),)
ROWS = 60


class Registry:
    """What people are told, in a list: the real one is written only after the manifest has changed."""

    def __init__(self):
        self.told = []

    def rolled_back(self, *told):
        self.told.append(("rolled back", *told))

    def serves(self, *told):
        self.told.append(("serves", *told))


@pytest.fixture
def production(tmp_path, served):
    """Version 1 answers one place further on, and version 2, which came later, two."""
    releases = Releases(tmp_path / "releases")
    for number in (1, 2):
        version = served(number)
        releases.change("spots", lambda manifest, version=version: stage_canary(manifest, version, 0.5))
        releases.change("spots", lambda manifest, number=number: promote(manifest, number))
    return Production("spots", releases, Registry())


@pytest.fixture
def label(tmp_path):
    """Logs rows that version 2 answered since its release, the truth `turn` places further on.

    Returns the log.
    """

    def write(turn, rows=ROWS):
        places = np.arange(rows) % 3
        images = np.full((rows, 2, 2, 1), 10, np.uint8)
        images.reshape(rows, 4)[np.arange(rows), places] = 200
        names = [f"row-{number}" for number in range(rows)]
        now = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=1)
        times = pa.array([now] * rows, pa.timestamp("us"))
        answered = {
            "request_id": names,
            "time": times,
            "version": [2] * rows,
            **input_columns(rows_from(INPUT, {"image": images})),
            "answer": [CLASSES[(place + 2) % 3] for place in places],
        }
        folder, day = tmp_path / "log", f"{now:%Y-%m-%d}"
        PredictionLog(folder).append_predictions(pa.table(answered), day, "a")
        truth = {
            "request_id": names,
            "time": times,
            "label": [CLASSES[(place + turn) % 3] for place in places],
        }
        PredictionLog(folder).append_labels(pa.table(truth), day, "a")
        return folder

    return write


def test_labels_that_the_version_before_meets_and_this_one_does_not_bring_it_back(production, label):
    folder = label(turn=1)
    found = demote(production, DeploymentConfig(), folder)
    assert (found.release.version, found.release.status, found.release.previous) == (2, "rolled-back", 1)
    told = "right -100.0% of 60 labelled rows, beside version 1 on the same rows"
    assert found.release.reason == f"late labels turned against it (evidence over a million to 1): {told}"
    manifest = production.manifest()
    assert (manifest.champion.version, manifest.previous.version) == (1, 2)
    newest = manifest.decisions[0]
    assert (newest.version, newest.outcome, newest.reason) == (2, "rolled-back", found.release.reason)
    assert newest.evidence["measures"][0]["seen"] == told
    assert production.registry.told == [("rolled back", "spots", 2, newest.reason), ("serves", "spots", 1)]
    # The next look finds nothing more to do.
    assert demote(production, DeploymentConfig(), folder) is None
    assert production.manifest() == manifest


@pytest.mark.parametrize(
    ("turn", "rows", "options"),
    [
        (2, ROWS, {}),
        (0, ROWS, {}),
        (1, 3, {}),
        (1, ROWS, {"demotion": False}),
        (1, ROWS, {"max_label_loss": 1}),
    ],
    ids=["it is right", "both are wrong", "few labels", "switched off", "any loss is allowed"],
)
def test_without_sure_evidence_it_goes_on_serving(production, label, turn, rows, options):
    assert demote(production, DeploymentConfig(**options), label(turn, rows)) is None
    assert production.manifest().champion.version == 2


def test_what_a_person_rolled_back_is_not_brought_back(production, label):
    production.releases.change("spots", rollback)
    production.releases.change("spots", lambda manifest: manifest.model_copy(update={"withdrawn": ()}))
    production.releases.change("spots", rollback)
    assert production.manifest().champion.version == 2
    assert demote(production, DeploymentConfig(), label(turn=1)) is None


def test_a_champion_that_serves_no_more_is_not_demoted(production):
    champion = production.manifest().champion
    production.releases.change("spots", rollback)
    with pytest.raises(ReleaseError, match="spots: version 2 serves no more, so it stays"):
        production.demote(champion, "late labels", {})
