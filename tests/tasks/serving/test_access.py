"""What callers without the installation's credential may do."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.services.http import answers
from infra.tokens import TokenFile
from tasks.production.prediction_log import PredictionLog
from tasks.serving.access import with_tokens
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


def bearing(token):
    return {"authorization": f"Bearer {token}"}


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


def test_a_token_allows_what_it_is_for_and_is_told_why_not_more(server, served, settings):
    server.release(served(1, turn=0))
    tokens = TokenFile(settings.home.tokens)
    shop = bearing(tokens.make("shop", ("predict",), projects=("spots",)))
    clerk = bearing(tokens.make("clerk", ("label",)))
    assert anonymous(server, f"{MODEL}/infer", BODY, **shop).json()["outputs"][-1]["data"] == ["left"]
    refused = anonymous(server, f"{MODEL}/labels", LABEL, **shop)
    assert (refused.status_code, refused.json()["error"]) == (
        403,
        "token shop is for predict; this needs label",
    )
    elsewhere = anonymous(server, "/v2/models/other/infer", BODY, **shop)
    assert elsewhere.json()["error"] == "token shop is for spots, not for other"
    server.wait(lambda: anonymous(server, f"{MODEL}/labels", LABEL, **clerk).is_success)
    assert anonymous(server, f"{MODEL}/stats", **clerk).status_code == 403
    assert logged(server) == ["mine"]


def test_a_revoked_or_expired_token_is_refused_without_a_restart(server, served, settings):
    server.release(served(1, turn=0))
    tokens = TokenFile(settings.home.tokens)
    gone = bearing(tokens.make("gone", ("operate",)))
    late = bearing(tokens.make("late", ("operate",), lasts=timedelta(milliseconds=1)))
    server.wait(lambda: anonymous(server, f"{MODEL}/stats", **gone).status_code == 200)
    assert "token late expired" in anonymous(server, f"{MODEL}/stats", **late).json()["error"]
    tokens.revoke("gone")
    server.wait(lambda: anonymous(server, f"{MODEL}/stats", **gone).status_code == 401)
    assert "was revoked" in anonymous(server, f"{MODEL}/infer", BODY, **gone).json()["error"]


def test_a_token_of_few_requests_a_second_is_told_when_to_come_back(server, served, settings):
    server.release(served(1, turn=0))
    slow = bearing(TokenFile(settings.home.tokens).make("slow", ("predict",), per_second=0.01))
    server.wait(lambda: anonymous(server, MODEL, **slow).status_code == 200)
    refused = anonymous(server, MODEL, **slow)
    assert refused.status_code == 429
    assert refused.json()["error"] == "token slow is for 0.01 requests a second"
    assert 90 <= int(refused.headers["retry-after"]) <= 100


def test_what_changes_something_leaves_a_line_and_inference_leaves_none(server, served, settings):
    server.release(served(1, turn=0))
    clerk = bearing(TokenFile(settings.home.tokens).make("clerk", ("label",)))
    server.post(f"{MODEL}/infer", BODY)
    server.wait(lambda: server.post(f"{MODEL}/labels", LABEL).is_success)
    server.wait(lambda: anonymous(server, f"{MODEL}/labels", LABEL, **clerk).is_success)
    anonymous(server, f"{MODEL}/labels", LABEL)
    lines = [json.loads(line) for line in (settings.home.logs / "audit.log").read_text().splitlines()]
    assert {each["path"] for each in lines} == {f"{MODEL}/labels"}
    assert {("gyre", 200), ("clerk", 200), ("anybody", 401)} <= {
        (each["caller"], each["status"]) for each in lines
    }
    assert {each["address"] for each in lines} == {"127.0.0.1"}


def test_where_other_machines_reach_it_nobody_is_answered_without_a_token(settings):
    open_to_all = settings.model_copy(update={"host": "192.0.2.1", "anonymous": "log"})
    assert settings.answers_anybody
    assert not open_to_all.answers_anybody
    assert not settings.model_copy(update={"host": "models.example"}).answers_anybody
    authorize = with_tokens(open_to_all)
    assert authorize(b"", "POST", f"{MODEL}/infer").status == 401
    assert authorize(b"", "GET", "/v2/health/live").reason is None


def test_with_a_certificate_it_speaks_tls_to_its_own_clients_and_no_plain_http(settings, served, certificate):
    served_by = Server(settings.model_copy(update=certificate))
    assert served_by.url.startswith("https://")
    served_by.start(
        ready=lambda: answers(
            f"{served_by.url}/v2/health/ready", certificate=certificate["server_certificate"]
        )
    )
    try:
        assert not answers(f"{served_by.url}/v2/health/ready".replace("https", "http"))
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{served_by.url}/v2/health/live")
    finally:
        served_by.stop()


@pytest.fixture
def certificate(tmp_path):
    """Settings with a certificate that names no address, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "models.example")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("models.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = {"server_certificate": tmp_path / "server.crt", "server_key": tmp_path / "server.key"}
    files["server_certificate"].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files["server_key"].write_bytes(key.private_bytes(*form))
    return {name: str(path) for name, path in files.items()}
