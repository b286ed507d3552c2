"""A registered model's checkpoint, by name or as the one that serves."""

from pathlib import Path

import pytest

from infra.files import digest, write_json
from tasks.deployment.registry import Registry


@pytest.fixture
def registry(settings, tmp_path):
    """A registry with two versions, the second of which serves; and the digests of their checkpoints."""
    settings.folder("mlflow")
    registry = Registry(settings.tracking_uri)
    client = registry.client
    experiment = client.create_experiment("wine", settings.folder("mlflow", "artifacts").as_uri())
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
    registry.serves("wine", 2)
    return registry, digests


def test_a_checkpoint_is_found_by_version_and_as_the_one_that_serves(registry, tmp_path):
    registry, digests = registry
    for name, wanted in (("wine/1", digests[0]), ("wine/2", digests[1]), ("wine/champion", digests[1])):
        found = registry.checkpoint(name, tmp_path / "fetched")
        assert found.digest == wanted == digest(Path(found.uri))
        assert registry.checkpoint(name, tmp_path / "fetched") == found


def test_before_anything_serves_there_is_no_champion(registry, tmp_path):
    assert registry[0].checkpoint("beer/champion", tmp_path) is None


def test_a_version_that_is_not_there_is_named_with_those_that_are(registry, tmp_path):
    with pytest.raises(ValueError, match=r"training.start wine/3: no such registered model; there are wine/2, wine/1"):
        registry[0].checkpoint("wine/3", tmp_path)
    with pytest.raises(ValueError, match=r"training.start beer/1: no such registered model; there are none of this project"):
        registry[0].checkpoint("beer/1", tmp_path)
