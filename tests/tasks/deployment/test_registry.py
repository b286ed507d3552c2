"""A registered model's checkpoint, by name or as the one that serves."""

from pathlib import Path

import pytest

from infra.files import digest, write_json
from tasks.deployment.registry import Registry, named_checkpoint
from tasks.production.releases import Releases, Served, promote, stage_canary
from tasks.records import DatasetVersion


@pytest.fixture
def registry(with_mlflow, tmp_path):
    """A registry with two versions, the second of which serves; as the digests of their checkpoints."""
    settings = with_mlflow
    registry = Registry(settings.tracking_uri)
    client = registry.client
    experiment = client.create_experiment("wine", settings.home.make(settings.home.mlflow_artifacts).as_uri())
    client.create_registered_model("wine")
    digests = []
    for number in (1, 2):
        run = client.create_run(experiment)
        checkpoint, bundle = tmp_path / str(number) / "checkpoint", tmp_path / str(number) / "bundle"
        for folder in (checkpoint, bundle):
            folder.mkdir(parents=True)
        (checkpoint / "model.safetensors").write_text(f"weights {number}")
        client.log_artifacts(run.info.run_id, str(checkpoint), "checkpoint")
        digests.append(digest(checkpoint))
        write_json(bundle / "lineage.json", {"checkpoint": {"digest": digests[-1]}})
        client.create_model_version("wine", bundle.as_uri(), run_id=run.info.run_id)
    dataset = DatasetVersion(
        uri="d", digest="d", project="wine", version=1, tag="wine/v1", commit="c", rows=1, splits={}
    )
    served = Served(uri="b", digest="b", version=2, graph_digest="g", dataset=dataset)
    releases = Releases(settings.home / "releases")
    releases.change("wine", lambda manifest: promote(stage_canary(manifest, served, 0.0), 2))
    return digests


def test_a_checkpoint_is_found_by_version_and_as_the_one_that_serves(registry, settings):
    for name, wanted in (("wine/1", registry[0]), ("wine/2", registry[1]), ("wine/champion", registry[1])):
        found = named_checkpoint(name, settings)
        assert found.digest == wanted == digest(Path(found.uri))
        assert named_checkpoint(name, settings) == found


def test_before_anything_serves_there_is_no_champion(registry, settings):
    assert named_checkpoint("beer/champion", settings) is None


def test_a_version_that_is_not_there_is_named_with_those_that_are(registry, settings):
    with pytest.raises(
        ValueError, match=r"training.warm_start wine/3: no such registered model; there are wine/2, wine/1"
    ):
        named_checkpoint("wine/3", settings)
    with pytest.raises(
        ValueError,
        match=r"training.warm_start beer/1: no such registered model; there are none of this project",
    ):
        named_checkpoint("beer/1", settings)
