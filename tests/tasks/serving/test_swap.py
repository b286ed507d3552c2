"""Versions come and go while requests go on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from tasks.production.releases import drop_canary, promote, retire, rollback

CLASSES = ["left", "middle", "right"]
PROJECT = "spots"


def spot(place, fourth=0):
    row = np.full((1, 2, 2, 1), 10, dtype=np.uint8)
    row.reshape(-1)[place] = 200
    row.reshape(-1)[3] = fourth
    return row


def answer(client, place, request_id=None):
    """The version that answered, which must have answered as its turn says."""
    response = client.infer(spot(place), request_id)
    version = int(response["model_version"])
    assert response["outputs"][-1]["data"] == [CLASSES[(place + version) % 3]]
    return version


def test_side_by_side_requests_each_get_their_own_answer(server, served):
    server.release(served(1))

    def ask(number):
        with server.client() as client:
            return [answer(client, (number + turn) % 3, f"{number}-{turn}") for turn in range(40)]

    with ThreadPoolExecutor(16) as pool:
        assert {version for versions in pool.map(ask, range(16)) for version in versions} == {1}
    counts = server.get("/v2/models/spots/versions/1/stats").json()["model_stats"][0]["inference_stats"]
    assert (counts["success"]["count"], counts["fail"]["count"]) == (640, 0)


def test_a_row_that_the_graph_cannot_bear_fails_alone(server, served):
    server.release(served(1, broken_at=77))

    def ask(number):
        row = spot(number % 3, fourth=77 if number == 20 else 0)
        body = {
            "inputs": [
                {"name": "image", "shape": [1, 2, 2, 1], "datatype": "UINT8", "data": row.ravel().tolist()}
            ]
        }
        return server.post("/v2/models/spots/infer", body).status_code

    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(ask, range(40)))
    assert [number for number, code in enumerate(codes) if code != 200] == [20]
    assert codes[20] == 500


def test_a_swap_under_load_loses_no_request(server, served):
    one, two = served(1), served(2)
    server.release(one)
    ended, versions, failures = threading.Event(), set(), []

    def ask_on(number):
        with server.client(patience_s=0) as client:
            while not ended.is_set():
                try:
                    versions.add(answer(client, number % 3))
                except Exception as error:
                    failures.append(error)

    threads = [threading.Thread(target=ask_on, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        server.release(two)
        for champion in ("1", "2", "1"):
            server.releases.change(PROJECT, rollback)
            server.wait(lambda champion=champion: server.roles().get("champion") == champion)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert versions == {1, 2}


def test_a_key_stays_with_one_version_whatever_the_ids_of_its_requests(server, served):
    server.release(served(1))
    server.stage(served(2), 0.5)
    server.wait(lambda: server.roles().get("canary") == "2")
    image = {"name": "image", "shape": [1, 2, 2, 1], "datatype": "UINT8", "data": [1, 2, 3, 4]}

    def version(key, request_id):
        body = {"id": request_id, "inputs": [image], "parameters": {"key": key}}
        return server.post(f"/v2/models/{PROJECT}/infer", body).json()["model_version"]

    versions = {key: {version(key, f"{key}-{number}") for number in range(8)} for key in "abcdefghijkl"}
    assert {len(met) for met in versions.values()} == {1}
    assert {each for met in versions.values() for each in met} == {"1", "2"}
    refused = server.post(f"/v2/models/{PROJECT}/infer", {"inputs": [image], "parameters": {"key": 7}})
    assert (refused.status_code, refused.json()["error"]) == (
        400,
        "parameters.key is 7; want a text of at most 256 characters",
    )


def test_the_canary_answers_its_share_the_same_ids_each_time(server, served):
    server.release(served(1))
    server.stage(served(2), 0.25)
    server.wait(lambda: server.roles().get("canary") == "2")
    with server.client() as client:
        first, again = ([answer(client, 0, f"request-{number}") for number in range(400)] for _ in range(2))
        assert first == again
        assert 0.15 < first.count(2) / 400 < 0.35
        assert client.infer(spot(0), version=1)["model_version"] == "1"
        assert client.infer(spot(0), version=2)["model_version"] == "2"
        server.releases.change(PROJECT, lambda manifest: drop_canary(manifest, 2))
        server.wait(lambda: "canary" not in server.roles())
        assert {answer(client, 0, f"request-{number}") for number in range(50)} == {1}


def test_the_previous_version_can_be_asked_while_it_is_loaded(server, served):
    server.release(served(1))
    server.release(served(2))
    with server.client() as client:
        assert client.infer(spot(0), version=1)["outputs"][-1]["data"] == ["middle"]


def test_a_damaged_bundle_is_refused_and_the_old_version_goes_on(server, served):
    server.release(served(1))
    damaged = served(2)
    whole = Path(damaged.uri, "model.onnx").read_bytes()
    Path(damaged.uri, "model.onnx").write_bytes(whole[:-1] + b"!")
    server.stage(damaged, 0.0)
    server.releases.change(PROJECT, lambda manifest: promote(manifest, 2))
    server.wait(lambda: "version 2 is refused" in server.log.read_text())
    assert server.get("/v2/health/ready").status_code == 200
    response = server.get("/v2/models/spots/versions/2/ready")
    assert response.status_code == 503
    assert "version 2 is refused: DigestError" in response.json()["error"]
    with server.client() as client:
        assert answer(client, 0) == 1
        Path(damaged.uri, "model.onnx").write_bytes(whole)
        server.wait(lambda: server.roles().get("champion") == "2")
        assert answer(client, 0) == 2


def test_a_server_that_finds_only_a_damaged_champion_is_not_ready(server, served):
    champion = served(1)
    server.release(champion)
    server.stop()
    Path(champion.uri, "signature.json").write_text("{}")
    server.start()
    response = server.get("/v2/health/ready")
    assert response.status_code == 503
    assert "spots: DigestError" in response.json()["error"]
    refused = server.post("/v2/models/spots/infer", {"inputs": [{}]})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


def test_a_restarted_server_serves_what_was_released(server, served):
    server.release(served(1))
    server.kill()
    server.start()
    with server.client() as client:
        assert answer(client, 1) == 1


LARGE = np.eye(9, dtype=np.uint8)[2].reshape(1, 3, 3, 1)
"""A row of a version that takes images of 3 x 3 pixels; its brightest pixel is the third."""


def test_clients_of_an_older_major_are_answered_by_it_on_trial_after_promotion_and_after_a_restart(
    server, served
):
    server.release(served(1))
    large = served(2, side=3, major=2)
    with server.client() as client:
        server.stage(large, 1.0)
        server.wait(lambda: server.roles().get("canary") == "2")
        assert answer(client, 0) == 1
        assert client.infer(LARGE)["model_version"] == "2"
    server.release(large)
    server.kill()
    server.start()
    with server.client() as client:
        assert (answer(client, 0), answer(client, 1)) == (1, 1)
        response = client.infer(spot(0), version=1)
        assert (response["model_version"], server.roles()["major-1"]) == ("1", "1")
        told = client.infer(spot(0))["parameters"]["notices"]
        assert "answered by version 1, whose inputs these are; version 2 takes others" in told
        assert client.infer(LARGE)["outputs"][-1]["data"] == [CLASSES[(2 + 2) % 3]]


def test_what_fits_no_version_is_told_what_the_newest_wants(server, served):
    server.release(served(1))
    server.release(served(2, side=3, major=2))
    body = {"inputs": [{"name": "image", "shape": [1, 4, 4, 1], "datatype": "UINT8", "data": [0] * 16}]}
    response = server.post("/v2/models/spots/infer", body)
    assert response.status_code == 400
    assert "want [1 to 1024, 3, 3, 1]" in response.json()["error"]


def test_a_retired_major_answers_no_more(server, served):
    server.release(served(1))
    server.release(served(2, side=3, major=2))
    server.releases.change(PROJECT, lambda manifest: retire(manifest, 1))
    server.wait(lambda: "major-1" not in server.roles())
    body = {"inputs": [{"name": "image", "shape": [1, 2, 2, 1], "datatype": "UINT8", "data": [0] * 4}]}
    assert server.post("/v2/models/spots/infer", body).status_code == 400
