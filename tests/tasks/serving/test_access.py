"""What callers without the installation's credential may do."""

import httpx
import pytest

from tasks.production.prediction_log import PredictionLog
from tests.tasks.conftest import DEADLINE_S, Server

MODEL = "/v2/models/spots"
BODY = {
    "id": "mine",
    "inputs": [{"name": "image", "shape": [1, 2, 2, 1], "datatype": "UINT8", "data": [9, 0, 0, 0]}],
}
LABEL = {"request_id": "mine", "label": "left"}


def anonymous(server, path, body=None, **headers):
    url = server.url + path
    if body is None:
        return httpx.get(url, timeout=DEADLINE_S, headers=headers)
    return httpx.post(url, json=body, timeout=DEADLINE_S, headers=headers)


def logged(server):
    """Ids in the prediction log, once the server has written it."""
    server.stop()
    return PredictionLog(server.settings.home / "predictions" / "spots").latest(10)["request_id"].tolist()


def test_anybody_is_answered_but_not_logged_and_the_answer_and_the_log_say_so(server, served):
    server.release(served(1, turn=0))
    answered = anonymous(server, f"{MODEL}/infer", BODY).json()
    assert answered["outputs"][-1]["data"] == ["left"]
    unlogged = "answered but not logged, so drift monitoring does not see it: it came without the installation's credential"
    assert answered["parameters"] == {"notices": [unlogged]}
    assert "parameters" not in server.post(f"{MODEL}/infer", BODY | {"id": "known"}).json()
    assert (
        f"spots: {unlogged} (0 such requests before it). Send it, or set GYRE_ANONYMOUS=log"
        in server.log.read_text()
    )
    assert logged(server) == ["known"]


def test_nobody_tells_labels_or_reads_counts(server, served):
    server.release(served(1, turn=0))
    for response in (anonymous(server, f"{MODEL}/labels", LABEL), anonymous(server, f"{MODEL}/stats")):
        assert response.status_code == 401
        assert "user gyre, password in <home>/credentials" in response.json()["error"]
    assert (
        anonymous(server, MODEL).status_code
        == anonymous(server, f"{MODEL}/versions/1/ready").status_code
        == 200
    )
    server.post(f"{MODEL}/infer", BODY)
    server.wait(lambda: server.post(f"{MODEL}/labels", LABEL).json() == {"accepted": 1})
    with server.client() as client:
        client.label({"mine": "left"})
        assert client.counts(1) == (1, 0)


def test_no_web_page_asks_and_no_foreign_name_is_answered(server, served):
    server.release(served(1, turn=0))
    known = server.settings.credential.headers
    for headers in (
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"origin": "http://evil.test"} | known,
    ):
        assert anonymous(server, f"{MODEL}/infer", BODY, **headers).status_code == 403
        assert anonymous(server, f"{MODEL}/labels", LABEL, **headers).status_code == 403
    assert anonymous(server, f"{MODEL}/infer", BODY, host="evil.test").status_code == 421


@pytest.mark.parametrize(("setting", "status", "ids"), [("refuse", 401, []), ("log", 200, ["mine"])])
def test_a_setting_closes_inference_or_has_it_logged(settings, served, setting, status, ids):
    server = Server(settings.model_copy(update={"anonymous": setting}))
    server.start()
    try:
        server.release(served(1, turn=0))
        assert anonymous(server, "/v2/health/live").status_code == 200
        assert anonymous(server, f"{MODEL}/infer", BODY).status_code == status
    finally:
        assert logged(server) == ids


def test_the_client_keeps_the_credential_from_other_servers(settings):
    from tasks.production.inference_client import InferenceClient

    with (
        InferenceClient(settings.server_url, "spots") as own,
        InferenceClient("http://127.0.0.1:1", "spots") as other,
    ):
        assert own._http.headers["authorization"] == settings.credential.headers["authorization"]
        assert "authorization" not in other._http.headers
