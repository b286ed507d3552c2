"""Jobs at a real server: submitted, followed, called back, cancelled, and whole after a kill."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pyarrow.dataset as ds
import pytest

from infra.tokens import TokenFile
from tests.tasks.conftest import DEADLINE_S, Server
from tests.tasks.serving.conftest import NOTES, fresh_settings, release_words

ROWS = 2500
CSV = "text\n" + "".join(f"{'spam' if row % 3 == 0 else 'ham'}\n" for row in range(ROWS))


@pytest.fixture(scope="module")
def receiver():
    """Hands out files, and takes webhooks."""
    calls = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("location", "/rows.csv")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("content-type", "text/csv")
            self.end_headers()
            self.wfile.write(b"text\nspam\nham\n")

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            calls.append((self.path, dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    server.calls = calls
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def server(receiver, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("jobs")
        started = Server(fresh_settings(patch, folder, outbound_origins=receiver.url))
        started.start()
        release_words(started, folder, NOTES)
        yield started
        started.stop()


def ask(server, method, path, headers=None, **more):
    headers = server.settings.credential.headers | (headers or {})
    return httpx.request(method, server.url + path, headers=headers, timeout=DEADLINE_S, **more)


def submit(server, content=b"spam", kind="text/plain", query="", **headers):
    found = ask(server, "POST", f"/jobs/{NOTES}{query}", {"content-type": kind} | headers, content=content)
    assert found.status_code == 202, found.text
    assert found.headers["location"] == f"/jobs/{NOTES}/{found.json()['id']}"
    return found.json()


def finished(server, job):
    """A job's state once it is finished."""
    path = f"/jobs/{NOTES}/{job['id']}"
    server.wait(lambda: "finished" in ask(server, "GET", path).json())
    return ask(server, "GET", path).json()


def result(server, job):
    return ask(server, "GET", f"/jobs/{NOTES}/{job['id']}/result")


def test_a_job_is_answered_as_predict_answers(server):
    job = submit(server)
    assert finished(server, job)["state"] == "succeeded"
    found = result(server, job).json()
    now = ask(server, "POST", f"/predict/{NOTES}", {"content-type": "text/plain"}, content=b"spam").json()
    found["rows"][0].pop("id"), now["rows"][0].pop("id")
    assert found == now


def test_progress_of_a_long_job_comes_as_events_and_its_rows_are_numbered_through(server):
    job = submit(server, CSV, "text/csv")
    with httpx.stream(
        "GET",
        f"{server.url}/jobs/{NOTES}/{job['id']}/events",
        headers=server.settings.credential.headers,
        timeout=DEADLINE_S,
    ) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        told = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if "data: " in line]
    assert (told[-1]["state"], told[-1]["rows_done"]) == ("succeeded", ROWS)
    assert [each["rows_done"] for each in told] == sorted(each["rows_done"] for each in told)
    rows = result(server, job).json()["rows"]
    assert [row["row"] for row in rows] == list(range(ROWS))
    assert [row["answer"] for row in rows] == ["spam" if row % 3 == 0 else "ham" for row in range(ROWS)]


def test_a_file_is_read_by_its_url_and_the_webhook_is_called_with_a_signature(server, receiver):
    query = f"?url={receiver.url}/rows.csv&webhook={receiver.url}/done"
    job = submit(server, b"", query=query, **{"content-type": ""})
    assert job["webhook"]["secret"].startswith("whsec_")
    assert finished(server, job)["state"] == "succeeded"
    assert [row["answer"] for row in result(server, job).json()["rows"]] == ["spam", "ham"]
    server.wait(lambda: finished(server, job)["webhook"]["state"] == "delivered")
    path, headers, body = receiver.calls[-1]
    assert (path, headers["webhook-id"]) == ("/done", job["id"])
    assert headers["webhook-signature"].startswith("v1,")
    assert json.loads(body)["type"] == "job.succeeded"
    assert json.loads(body)["data"]["id"] == job["id"]


@pytest.mark.parametrize(
    ("content", "kind", "query", "status", "text"),
    [
        (b"\xff", "text/plain", "", 400, "is not UTF-8"),
        (b"", "", "?url={}/moved", 422, "answers 302; want 200 and the file"),
    ],
)
def test_what_cannot_be_read_fails_with_the_reason(server, receiver, content, kind, query, status, text):
    job = submit(server, content, kind, query.format(receiver.url))
    assert finished(server, job)["state"] == "failed"
    found = result(server, job)
    assert (found.status_code, text in found.json()["error"]) == (status, True)


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("?webhook=http://127.0.0.1:1/", 403, "may not be called"),
        ("?url=http://127.0.0.1:1/", 400, "want one of them"),
        ("?keep=0", 400, "want 1 to 604800 seconds"),
        ("?hook=a", 400, "'hook' is not understood"),
    ],
)
def test_a_submission_that_is_not_understood_is_refused(server, query, status, text):
    found = ask(server, "POST", f"/jobs/{NOTES}{query}", content=b"spam")
    assert (found.status_code, text in found.json()["error"]) == (status, True)


def test_a_finished_job_is_forgotten_on_demand(server):
    job = submit(server)
    finished(server, job)
    assert ask(server, "DELETE", f"/jobs/{NOTES}/{job['id']}").status_code == 200
    assert result(server, job).status_code == 404


def test_jobs_are_their_callers_alone_and_submissions_are_audited(server):
    tokens = TokenFile(server.settings.home.tokens)
    mine, others = (
        {"authorization": f"Bearer {tokens.make(name, ('predict',))}"} for name in ("mine", "others")
    )
    job = submit(server, **mine)
    path = f"/jobs/{NOTES}/{job['id']}"
    server.wait(lambda: ask(server, "GET", path, mine).status_code == 200)
    assert ask(server, "GET", path, others).status_code == 404
    assert httpx.post(f"{server.url}/jobs/{NOTES}", content=b"spam").status_code == 401
    lines = (server.settings.home.logs / "audit.log").read_text().splitlines()
    told = [line for line in map(json.loads, lines) if line["caller"] == "mine"]
    assert [(line["path"], line["status"]) for line in told] == [(f"/jobs/{NOTES}", 202)]


def test_killed_at_work_nothing_is_lost_and_nothing_is_answered_or_logged_twice(server):
    jobs = [submit(server, CSV, "text/csv", **{"idempotency-key": f"k{number}"}) for number in range(4)]
    server.wait(
        lambda: any(ask(server, "GET", f"/jobs/{NOTES}/{job['id']}").json()["rows_done"] for job in jobs)
    )
    server.kill()
    server.start()
    again = [submit(server, CSV, "text/csv", **{"idempotency-key": f"k{number}"}) for number in range(4)]
    assert [job["id"] for job in again] == [job["id"] for job in jobs]
    for job in jobs:
        assert finished(server, job)["state"] == "succeeded"
        assert [row["row"] for row in result(server, job).json()["rows"]] == list(range(ROWS))
    log = ds.dataset(server.settings.home.prediction_log(NOTES), format="parquet")
    ids = log.to_table(columns=["request_id"])["request_id"].to_pylist()
    rows = {f"{job['id']}.{row // 1024}#{row % 1024}" for job in jobs for row in range(ROWS)}
    assert len(ids) == len(set(ids))
    assert rows <= set(ids)
