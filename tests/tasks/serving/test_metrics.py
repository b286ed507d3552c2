"""What the model server tells Prometheus, and what a real Prometheus makes of it."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from infra.tokens import TokenFile
from tests.tasks.conftest import DEADLINE_S, spot

MODEL = "/v2/models/spots"
FILES = Path(__file__).parents[3] / "infra" / "prometheus"
BY = {"model": "spots", "version": "1", "role": "champion"}


def body(place, **more):
    tensor = {
        "name": "image",
        "shape": [1, 2, 2, 1],
        "datatype": "UINT8",
        "data": spot(place).ravel().tolist(),
    }
    return {"inputs": [tensor]} | more


def samples(server):
    """Values by name and labels."""
    text = server.get("/metrics").text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found, name, **labels):
    return found[name, frozenset(labels.items())]


def test_requests_answers_labels_and_refusals_are_counted_by_model_version_and_role(server, served):
    server.release(served(1, turn=0))
    for number in range(3):
        server.post(f"{MODEL}/infer", body(0, id=f"r{number}"))
    server.post(f"{MODEL}/infer", body(1))
    httpx.post(f"{server.url}{MODEL}/infer", json=body(2))
    httpx.get(f"{server.url}/metrics")
    server.wait(lambda: server.post(f"{MODEL}/labels", {"request_id": "r0", "label": "left"}).is_success)
    server.post("/v2/models/strangers/infer", body(0))
    found = samples(server)
    assert value(found, "gyre_requests_total", **BY, outcome="success") == 5
    assert value(found, "gyre_rows_total", **BY) == 5
    assert value(found, "gyre_request_seconds_count", **BY) == 5
    assert value(found, "gyre_answers_total", **BY, answer="left") == 3
    assert value(found, "gyre_answer_probability_count", **BY) == 5
    assert value(found, "gyre_answer_probability_bucket", **BY, le="1.0") == 5
    assert 0 < value(found, "gyre_answer_probability_sum", **BY) <= 5
    assert value(found, "gyre_logged_rows_total", model="spots") == 4
    assert value(found, "gyre_unlogged_requests_total", model="spots") == 1
    assert value(found, "gyre_labels_total", model="spots") == 1
    assert value(found, "gyre_responses_total", protocol="http", status="401") == 1
    assert value(found, "gyre_responses_total", protocol="http", status="404") >= 1
    assert value(found, "gyre_degraded", model="spots") == 0
    assert value(found, "gyre_home_free_bytes") > 0


def test_a_version_that_cannot_be_loaded_is_told(server, served):
    server.release(served(1, turn=0))
    broken = served(2, turn=1)
    Path(broken.uri, "model.onnx").write_bytes(b"")
    server.stage(broken, 0.5)
    server.wait(lambda: value(samples(server), "gyre_refused_versions", model="spots") == 1)


def test_metrics_are_for_the_scope_that_operates_alone(server, settings):
    tokens = TokenFile(settings.home.tokens)
    scraper, shop = tokens.make("scraper", ("operate",)), tokens.make("shop", ("predict",))

    def status(token):
        return httpx.get(f"{server.url}/metrics", headers={"authorization": f"Bearer {token}"}).status_code

    server.wait(lambda: status(scraper) == 200)
    assert status(shop) == 403


needs_prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="no prometheus; apt-get install prometheus"
)


@pytest.fixture
def prometheus(server, settings, tmp_path, free_port):
    """A real Prometheus that scrapes the server each second, configured by our own file; asks it a query."""
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copyfile(FILES / name, tmp_path / name)
    configuration = yaml.safe_load((tmp_path / "prometheus.yml").read_text())
    configuration["global"]["scrape_interval"] = "1s"
    configuration["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{settings.server_port}"]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    (tmp_path / "gyre.token").write_text(TokenFile(settings.home.tokens).make("prometheus", ("operate",)))
    port = free_port()
    command = [
        "prometheus",
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stderr=log)

    def ask(query):
        answer = httpx.get(
            f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, timeout=DEADLINE_S
        )
        assert answer.status_code == 200, f"{query}: {answer.text}"
        return answer.json()["data"]["result"]

    def up():
        try:
            return [each["value"][1] for each in ask('up{job="gyre"}')] == ["1"]
        except (httpx.TransportError, AssertionError):
            return False

    server.wait(up)
    yield ask
    process.terminate()
    process.wait(DEADLINE_S)


def expressions():
    """Every query of the dashboard, as Grafana asks it, and of the alerts."""
    board = json.loads((FILES / "dashboard.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found = [each.replace("$__rate_interval", "10s").replace("$model", ".*") for each in found]
    rules = yaml.safe_load((FILES / "alerts.yml").read_text())["groups"][0]["rules"]
    return found, [rule["expr"] for rule in rules]


@needs_prometheus
def test_every_query_of_the_dashboard_shows_something_in_a_real_prometheus(prometheus, server, served):
    server.release(served(1, turn=0))
    panels, alerts = expressions()
    # What never happened here has no time series yet.
    rare = re.compile(r"dropped_predictions")

    def shown():
        server.post(f"{MODEL}/infer", body(0, id="one"))
        httpx.post(f"{server.url}{MODEL}/infer", json=body(1))
        server.post(f"{MODEL}/labels", {"request_id": "one", "label": "left"})
        time.sleep(0.2)
        return all(prometheus(each) for each in panels if not rare.search(each))

    server.wait(shown)
    for each in alerts:
        prometheus(each)
    (share,) = prometheus('gyre_requests_total{outcome="success"}')
    assert share["metric"]["instance"] == server.url.removeprefix("http://")


@needs_prometheus
def test_configuration_and_alerts_are_as_prometheus_wants_them(tmp_path):
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copyfile(FILES / name, tmp_path / name)
    (tmp_path / "gyre.token").write_text("token")
    checked = subprocess.run(
        ["promtool", "check", "config", str(tmp_path / "prometheus.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "7 rules found" in checked.stdout + checked.stderr
