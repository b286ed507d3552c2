"""A rollback goes back to what can serve, or says which file keeps it from that and changes nothing."""

from pathlib import Path

import pytest

from infra.files import digest, write_json
from tasks.deployment.promotion import Production
from tasks.production.releases import ReleaseError, Releases, Served, promote, stage_canary
from tasks.records import DatasetVersion

DATASET = DatasetVersion(
    uri="/rows", digest="d", project="spots", version=1, tag="spots/v1", commit="c", rows=1, splits={}
)


class Registry:
    """What people are told, in a list: the real one is written only after the manifest has changed."""

    def __init__(self):
        self.told = []

    def rolled_back(self, *told):
        self.told.append(("rolled back", *told))

    def serves(self, *told):
        self.told.append(("serves", *told))


@pytest.fixture
def production(tmp_path):
    """Versions 1 and 2 were released, one after the other."""
    releases = Releases(tmp_path / "releases")
    for number in (1, 2):
        released = bundle(tmp_path / f"bundle-{number}", number)
        releases.change("spots", lambda manifest, released=released: stage_canary(manifest, released, 0.5))
        releases.change("spots", lambda manifest, number=number: promote(manifest, number))
    return Production("spots", releases, Registry())


def bundle(folder, number):
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph %d" % number)
    write_json(folder / "signature.json", {"project": "spots"})
    graph_digest = digest(folder / "model.onnx")
    return Served(
        uri=str(folder), digest=digest(folder), version=number, graph_digest=graph_digest, dataset=DATASET
    )


def previous(production):
    return Path(production.manifest().previous.uri)


def refusal(production):
    """The text of a refused rollback, which changed nothing."""
    before = production.manifest()
    with pytest.raises(ReleaseError) as caught:
        production.roll_back()
    assert production.manifest() == before
    assert production.registry.told == []
    return str(caught.value)


def test_a_whole_version_serves_again(production):
    assert production.roll_back().version == 1
    assert production.registry.told[-1] == ("serves", "spots", 1)


def test_a_version_whose_graph_was_changed_does_not_serve_again(production):
    graph = previous(production) / "model.onnx"
    graph.write_bytes(b"graph !")
    told = refusal(production)
    assert told.startswith(
        f"spots: version 1 cannot serve again, {graph} is damaged: its digest is {digest(graph)[:12]} instead of "
    )
    assert told.endswith(
        "; version 2 goes on serving. Restore it from a copy, or make a new version with `gyre run spots`"
    )


def test_a_version_without_its_graph_does_not_serve_again(production):
    graph = previous(production) / "model.onnx"
    graph.unlink()
    assert f"version 1 cannot serve again, {graph} is missing; version 2 goes on" in refusal(production)


def test_a_version_with_another_signature_does_not_serve_again(production):
    folder = previous(production)
    write_json(folder / "signature.json", {"project": "other"})
    told = f"a file of {folder} other than model.onnx was changed, added or removed; there are signature.json"
    assert told in refusal(production)
