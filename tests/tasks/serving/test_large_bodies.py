"""Large requests are read in a process apart, and answered as small ones are."""

import os
import signal

import httpx
import numpy as np
import psutil
import pytest

from tasks.serving.large_bodies import LARGE_JSON
from tasks.serving.protocol.labels import MOST_LABELS
from tests.tasks.conftest import DEADLINE_S

SIDE = 24
ROWS = 600
MODEL = "/v2/models/spots"


@pytest.fixture
def large(server, served):
    """A server with a model of larger rows."""
    server.release(served(1, turn=0, side=SIDE))
    return server


def request(rows, **changes):
    data = np.random.default_rng(0).integers(0, 255, (rows, SIDE, SIDE, 1), dtype=np.uint8)
    tensor = {"name": "image", "shape": list(data.shape), "datatype": "UINT8", "data": data.ravel().tolist()}
    return data, {"inputs": [tensor | changes]}


def post(server, path, body):
    return httpx.post(
        server.url + path, json=body, timeout=DEADLINE_S, headers=server.settings.credential.headers
    )


def readers(server):
    """The processes that the server started."""
    return [
        each
        for each in psutil.Process(server.process.pid).children(recursive=True)
        if "spawn_main" in " ".join(each.cmdline())
    ]


def test_a_large_request_is_answered_and_logged_as_small_ones_are(large):
    data, body = request(ROWS)
    assert len(str(body)) > LARGE_JSON
    answered = post(large, f"{MODEL}/infer", body | {"id": "large"}).json()
    found = answered["outputs"][0]["data"]
    assert found == data.reshape(ROWS, -1)[:, :3].argmax(axis=1).tolist()
    single = post(large, f"{MODEL}/infer", request(1)[1]).json()
    assert single["outputs"][0]["data"] == found[:1]
    assert len(readers(large)) == 1
    large.wait(
        lambda: post(large, f"{MODEL}/labels", {"request_id": "large#599", "label": "left"}).is_success
    )


def test_what_is_wrong_in_a_large_request_is_told_with_its_place(large):
    _, body = request(ROWS)
    body["inputs"][0]["data"][300_000] = 256
    refused = post(large, f"{MODEL}/infer", body)
    assert refused.status_code == 400
    assert refused.json()["error"] == (
        "input 'image': data[300000] (row 520) is 256; want whole numbers from 0 to 255 (UINT8)"
    )
    unknown = post(large, f"{MODEL}/infer", body | {"parameters": {"tmeout": 1}})
    assert "'tmeout' is not understood (did you mean 'timeout'?)" in unknown.json()["error"]


def test_a_reader_that_is_killed_costs_one_request_and_the_next_is_answered(large):
    _, body = request(ROWS)
    assert post(large, f"{MODEL}/infer", body).is_success
    (reader,) = readers(large)
    os.kill(reader.pid, signal.SIGKILL)
    reader.wait(DEADLINE_S)
    refused = post(large, f"{MODEL}/infer", body)
    assert refused.status_code in (200, 413)
    assert post(large, f"{MODEL}/infer", body).is_success


def test_no_reader_outlives_a_killed_server(large):
    post(large, f"{MODEL}/infer", request(ROWS)[1])
    (reader,) = readers(large)
    large.kill()
    reader.wait(DEADLINE_S)


def test_more_labels_than_one_request_may_have_are_refused_by_number(large):
    labels = [{"request_id": "a", "label": "left"}] * (MOST_LABELS + 1)
    refused = post(large, f"{MODEL}/labels", {"labels": labels})
    assert (refused.status_code, refused.json()["error"]) == (
        413,
        "labels has 10001 entries; want at most 10000 a request",
    )


def test_a_body_over_the_limit_is_told_to_who_sends_all_of_it(large):
    labels = [{"request_id": "r" * 200, "label": "left"}] * 20_000
    refused = post(large, f"{MODEL}/labels", {"labels": labels})
    assert refused.status_code == 413
    assert "want at most 2097152, so send fewer" in refused.json()["error"]
