"""A released version whose files are damaged.

The newest whole version before it answers, says so, and steps back when it is mended.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from infra.files import digest
from tasks.deployment.release_health import damage, is_news
from tasks.model.onnx_session import session
from tasks.production import probe
from tasks.production.prediction_log import PredictionLog
from tasks.production.releases import Releases, rollback
from tasks.rows.raw import TensorSpec, rows_from
from tasks.serving.models.model import load

MODEL = "/v2/models/spots"
ROW = np.array([200, 10, 10, 0], dtype=np.uint8).reshape(1, 2, 2, 1)


def spoil(version):
    """Changes the last byte of a version's graph; returns what mends it."""
    path = Path(version.uri, "model.onnx")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"!")
    return lambda: path.write_bytes(whole)


@pytest.fixture
def versions(server, served):
    """Three, released one after the other; the server is stopped."""
    made = {number: served(number) for number in (1, 2, 3)}
    for version in made.values():
        server.release(version)
    server.stop()
    return made


def asked(server):
    with server.client() as client:
        return client.infer(ROW)


def test_the_version_before_answers_for_a_damaged_champion_and_says_so(server, versions):
    mend = spoil(versions[3])
    server.start()
    response = asked(server)
    assert response["model_version"] == "2"
    assert response["parameters"] == {
        "degraded": "the released version cannot be loaded; version 2 answers in its place"
    }
    assert response["outputs"][-1]["data"] == ["right"]
    told = "version 3 cannot be loaded, version 2 answers in its place: DigestError: "
    ready = server.get("/v2/health/ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert ready.json()["degraded"]["spots"].startswith(told)
    assert server.roles()["degraded"].startswith(told)
    assert (server.roles()["fallback"], server.roles().get("champion")) == ("2", None)
    assert f"ERROR spots: {told}" in server.log.read_text()
    assert damage("spots", server.settings).startswith(told)
    mend()
    server.wait(lambda: server.roles().get("champion") == "3")
    response = asked(server)
    assert (response["model_version"], "parameters" in response) == ("3", False)
    assert server.get("/v2/health/ready").json() == {"ready": True}
    assert damage("spots", server.settings) == ""
    server.stop()
    log = PredictionLog(server.settings.home / "predictions" / "spots")
    roles = log._query("select version, role from predictions order by time", {})
    assert roles.to_numpy().tolist() == [[2, "fallback"], [3, "champion"]]


def test_an_older_version_answers_where_the_one_before_is_damaged_too(server, versions):
    spoil(versions[3])
    spoil(versions[2])
    server.start()
    assert asked(server)["model_version"] == "1"
    refused = server.get(f"{MODEL}/versions/2/ready")
    assert (refused.status_code, "version 2 is refused: DigestError" in refused.text) == (503, True)


def test_what_a_person_rolled_back_does_not_answer_for_a_damaged_champion(server, versions):
    server.releases.change("spots", rollback)
    spoil(versions[2])
    server.start()
    assert asked(server)["model_version"] == "1"


def test_a_damaged_canary_gets_no_request(server, versions, served):
    canary = served(4)
    mend = spoil(canary)
    server.stage(canary, 0.9)
    server.start()
    with server.client() as client:
        assert {client.infer(ROW, f"request-{number}")["model_version"] for number in range(40)} == {"3"}
    assert (
        server.get("/v2/health/ready")
        .json()["degraded"]["spots"]
        .startswith("version 4 cannot be loaded and gets no request")
    )
    mend()
    server.wait(lambda: server.roles().get("canary") == "4")


def test_a_damage_is_announced_once(tmp_path):
    releases = Releases(tmp_path)
    assert is_news("spots", "version 2", releases)
    releases.note_announced("spots", "version 2")
    assert not is_news("spots", "version 2", releases)
    assert is_news("spots", "version 3", releases)
    releases.note_announced("spots", "")
    assert not is_news("spots", "", releases)
    assert is_news("spots", "version 2", releases)


def test_a_version_whose_answers_are_others_on_this_machine_answers_by_its_portable_graph(
    server, served, bundle
):
    """As an INT8 graph does on a processor whose 8-bit sums overflow: its probe was written elsewhere."""
    strange = with_probe_of_another_machine(served(1), bundle, portable=True)
    server.release(strange)
    told = "version 1 answers by its portable graph: its graph's answers differ by "
    server.wait(lambda: server.roles().get("degraded", "").startswith(told))
    assert asked(server)["outputs"][-1]["data"] == ["right"]
    assert asked(server)["model_version"] == "1"


def test_a_version_that_answers_otherwise_by_every_graph_cannot_be_loaded(served, bundle):
    version = with_probe_of_another_machine(served(1), bundle, portable=False)
    told = r"on this machine its answers differ from those that it was judged by \(model.onnx by "
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match=told):
        load("spots", version, executor)


def with_probe_of_another_machine(version, bundle, *, portable):
    """The version with a probe that another graph answered, and that graph as its portable one."""
    folder, other = Path(version.uri), Path(bundle(2).uri, "model.onnx")
    sessions = {probe.GRAPH: session(other)}
    if portable:
        shutil.copyfile(other, folder / probe.PORTABLE)
        sessions[probe.PORTABLE] = session(other)
    rows = rows_from((TensorSpec("image", "uint8", (2, 2, 1)),), {"image": ROW})
    probe.write(folder, rows, sessions)
    return version.model_copy(update={"digest": digest(folder)})
