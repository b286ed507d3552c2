"""What was answered and what turned out to be true reaches the disk."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import numpy as np
import pytest

from tasks.production.inference_client import InferenceError
from tasks.production.prediction_log import PredictionLog
from tasks.production.releases import log_as

ROW = np.array([9, 0, 0, 0], dtype=np.uint8).reshape(1, 2, 2, 1)


@pytest.fixture
def serving(server, served):
    server.release(served(1, turn=0))
    return server


@pytest.fixture
def log_of():
    return lambda server: PredictionLog(server.settings.home / "predictions" / "spots")


@pytest.fixture
def log(serving):
    return PredictionLog(serving.settings.home / "predictions" / "spots")


def test_the_log_is_complete_after_sigterm(serving, log):
    with serving.client() as client:
        for number in range(20):
            client.infer(ROW, f"one-{number}")
        client.infer(np.concatenate([ROW, ROW[:, ::-1]]), "two")
    serving.stop()
    found = log.latest(100)
    assert found["request_id"].tolist() == [f"one-{number}" for number in range(20)] + ["two#0", "two#1"]
    assert found["answer"].tolist() == ["left"] * 21 + ["right"]
    assert found["input.image"].iloc[-1].tolist() == [0, 0, 9, 0]
    assert found["input.image"].iloc[-1].dtype == np.uint8
    assert set(found["version"]) == {1}


def test_requests_in_flight_are_answered_and_logged_when_the_server_is_stopped(serving, log):
    def ask(number):
        with serving.client(patience_s=0) as client:
            count = 0
            try:
                while True:
                    client.infer(ROW, f"{number}-{count}")
                    count += 1
            except InferenceError:
                return [f"{number}-{each}" for each in range(count)]

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, number) for number in range(4)]
        serving.wait(lambda: len(log.latest(50)) == 50)
        serving.stop()
        answered = {request_id for each in asking for request_id in each.result()}
    assert answered <= set(log.latest(100_000)["request_id"])


def test_rows_that_are_not_production_are_not_logged(serving, log):
    with serving.client() as client:
        client.infer(ROW, "trial", log=False)
        client.infer(ROW, "real")
    serving.stop()
    assert log.latest(10)["request_id"].tolist() == ["real"]


def test_labels_meet_their_predictions(serving, log):
    with serving.client() as client:
        client.infer(ROW, "a")
        client.infer(ROW, "b")
        client.label({"a": "right"})
    serving.stop()
    found = log.labelled()
    assert found[["request_id", "answer", "label"]].to_numpy().tolist() == [["a", "left", "right"]]


def acknowledged_until_killed(server, ask, enough):
    """Ids of what eight clients had acknowledged when the server was killed.

    `ask` is given a client and an id.
    """
    acknowledged = []

    def go_on(number):
        with server.client(patience_s=0) as client:
            for count in range(1000):
                try:
                    ask(client, f"{number}-{count}")
                except InferenceError:
                    return
                acknowledged.append(f"{number}-{count}")

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(go_on, number) for number in range(8)]
        server.wait(lambda: len(acknowledged) >= enough)
        server.kill()
        for each in asking:
            each.result()
    return set(acknowledged)


def test_no_acknowledged_label_is_lost_when_the_server_is_killed(serving, log):
    def tell(client, name):
        client.infer(ROW, name)
        client.label({name: "left"})

    acknowledged = acknowledged_until_killed(serving, tell, enough=40)
    written = log._query("select request_id from labels", {})["request_id"]
    assert acknowledged <= set(written)


def test_no_answer_of_a_durable_version_is_lost_when_the_server_is_killed(server, served, log_of):
    server.release(served(1, turn=0).model_copy(update={"log": "durable"}))
    acknowledged = acknowledged_until_killed(server, lambda client, name: client.infer(ROW, name), enough=200)
    assert acknowledged <= set(log_of(server).latest(100_000)["request_id"])


def test_how_answers_are_logged_changes_with_the_manifest_and_the_same_model(server, served, log_of):
    server.release(served(1, turn=0))
    server.releases.change("spots", lambda manifest: log_as(manifest, "durable"))

    def kept_at_once():
        with server.client() as client:
            client.infer(ROW, name := uuid4().hex)
        return name in set(log_of(server).latest(1000)["request_id"])

    server.wait(lambda: all(kept_at_once() for _ in range(5)))


def test_where_the_disk_takes_nothing_a_durable_version_refuses_and_another_answers(server, served):
    server.release(served(1, turn=0).model_copy(update={"log": "durable"}))
    # A file in the place of the log's folder takes no files, whoever asks.
    server.settings.home.predictions.write_text("")
    body = {"inputs": [{"name": "image", "shape": [1, 2, 2, 1], "datatype": "UINT8", "data": [9, 0, 0, 0]}]}
    refused = server.post("/v2/models/spots/infer", body)
    assert refused.status_code == 503
    assert "deployment.log is durable, and the prediction cannot be written" in refused.json()["error"]
    assert server.post("/v2/models/spots/infer", body | {"parameters": {"log": False}}).is_success


def test_a_label_of_no_logged_row_is_refused_and_none_of_its_list_is_taken(serving, log):
    with serving.client() as client:
        client.infer(ROW, "a")
        client.infer(np.concatenate([ROW, ROW]), "two")
        client.infer(ROW, "trial", log=False)
        told = {
            "stranger": "labels[1].request_id 'stranger' is of no logged row (1 of 2 are): want the id of an answer, sent with log: true",
            "trial": "labels[1].request_id 'trial' is of no logged row (1 of 2 are): want the id of an answer, sent with log: true",
            "two": "labels[1].request_id 'two' is of no logged row (1 of 2 are): it had several rows, so name each, such as 'two#0'",
        }
        for name, text in told.items():
            labels = [{"request_id": "a", "label": "left"}, {"request_id": name, "label": "left"}]
            response = serving.post("/v2/models/spots/labels", {"labels": labels})
            assert (response.status_code, response.json()["error"]) == (404, text)
        client.label({"two#1": "left"})
    serving.stop()
    assert log._query("select request_id from labels", {})["request_id"].tolist() == ["two#1"]


def test_a_label_of_a_row_that_was_logged_before_the_server_began_is_taken(serving, log):
    with serving.client() as client:
        client.infer(ROW, "old")
    serving.stop()
    serving.start()
    with serving.client() as client:
        client.label({"old": "left"})
    serving.stop()
    assert log.labelled()["request_id"].tolist() == ["old"]


def test_two_truths_of_one_row_in_one_list_are_refused(serving):
    labels = [{"request_id": "a", "label": "left"}, {"request_id": "a", "label": "right"}]
    response = serving.post("/v2/models/spots/labels", {"labels": labels})
    assert (response.status_code, response.json()["error"]) == (
        400,
        "labels[1]: request 'a' has label 'left' in the same list",
    )


def test_one_label_needs_no_list(serving):
    with serving.client() as client:
        client.infer(ROW, "a")
    assert serving.post("/v2/models/spots/labels", {"request_id": "a", "label": "left"}).json() == {
        "accepted": 1
    }


def test_a_wrong_label_is_named_and_none_of_its_list_is_taken(serving, log):
    good, told = {"request_id": "a", "label": "left"}, "/v2/models/spots/labels"
    texts = {
        "labels[1].label is 'up'; want one of left, middle, right": [
            good,
            {"request_id": "b", "label": "up"},
        ],
        'labels[0].request_id is missing; want a text, such as {"request_id": "...", "label": "..."}': [
            {"label": "left"}
        ],
        'labels[0].label is 7; want a text, such as {"request_id": "...", "label": "..."}': [
            {"request_id": "a", "label": 7}
        ],
        'labels is []; want a list such as [{"request_id": "...", "label": "..."}]': [],
    }
    responses = [serving.post(told, {"labels": labels}) for labels in texts.values()]
    assert [(response.status_code, response.json()["error"]) for response in responses] == [
        (400, text) for text in texts
    ]
    serving.stop()
    assert log._query("select * from labels", {}).empty
