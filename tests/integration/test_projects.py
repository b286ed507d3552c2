"""The real projects of configs/ through the whole loop, on part of their rows and with little training, to an answer over HTTP."""

import json

import pytest

from tests.integration.conftest import DATA

QUICK = [
    "training.epochs=1",
    "gate.min_score=0.3",
    "gate.min_gain=null",
    "gate.max_behind=null",
    "labeling.suspects=0",
]
PERSON = {
    "age": 50,
    "workclass": "Private",
    "education": "Masters",
    "education_num": 14,
    "marital_status": "Married-civ-spouse",
}
PERSON |= {
    "occupation": "Exec-managerial",
    "relationship": "Husband",
    "race": "White",
    "sex": "Male",
    "capital_gain": 0,
}
HOUR = {
    "dteday": "2012-06-01",
    "season": "2",
    "yr": 1,
    "hr": "17",
    "holiday": "0",
    "weekday": "5",
    "workingday": "1",
    "weathersit": "1",
}
ASKED = {
    "adult": PERSON | {"capital_loss": 0, "hours_per_week": 45, "native_country": "nowhere"},
    "bike_sharing": HOUR | {"temp": 0.7, "atemp": 0.65, "hum": 0.5, "windspeed": None},
    "sms_spam": {"text": "WIN a prize now! Call 09061701461"},
}


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data sets in {DATA}; set GYRE_DATA")
@pytest.mark.parametrize("project", ASKED)
def test_a_real_project_goes_through_the_whole_loop(installation, tmp_path, project):
    changes = [part for change in [*QUICK, "source.append=[]"] for part in ("--set", change)]
    ended = json.loads(installation.gyre("run", project, *changes, "--json").stdout)
    assert ended["state"] == "Completed", ended["message"]
    (tmp_path / "asked.json").write_text(json.dumps([ASKED[project]]))
    answer = json.loads(installation.gyre("predict", project, str(tmp_path / "asked.json"), "--json").stdout)
    assert [row["row"] for row in answer["rows"]] == [0]
    assert answer["rows"][0]["id"]
    assert installation.gyre("data", "versions", project).stdout.count(f"{project}/v1") == 1


def test_a_key_that_repeats_stops_the_run_until_the_yaml_allows_it(installation, tmp_path):
    lines = [f"{number % 60},{number},{'yes' if number % 2 else 'no'}" for number in range(100)]
    (tmp_path / "rows.csv").write_text("\n".join(["id,size,label", *lines]))
    (tmp_path / "boxes.yaml").write_text(
        "name: boxes\nsource: {reader: csv, path: rows.csv}\nintake: {kind: tabular, numeric: [size]}\n"
        "result: {kind: classification, classes: ['yes', 'no']}\ngate: {min_gain: null, max_behind: null}\ntraining: {epochs: 1}\n"
    )
    project = str(tmp_path / "boxes.yaml")
    done = installation.gyre("run", project, "--json", check=False)
    refused = json.loads(done.stdout)
    assert (done.returncode, refused["state"]) == (3, "Refused")
    logged = installation.prefect(
        "/logs/filter", {"logs": {"flow_run_id": {"any_": [refused["flow_run_id"]]}}}
    )
    assert [line["message"] for line in logged if "Traceback" in line["message"]] == []
    assert (
        "source.key id: 40 of 100 rows repeat the key of a later row and were left out (40.00%)"
        in refused["message"]
    )
    assert [(each["check"], each["action"]) for each in refused["findings"]] == [("repeated_keys", "refuse")]

    allowed = json.loads(
        installation.gyre("run", project, "--set", "checks.repeated_keys=0.5", "--json").stdout
    )
    assert [(each["check"], each["action"]) for each in allowed["findings"]] == [("repeated_keys", "warn")]
    assert {stage["stage"]: stage["reused"] for stage in allowed["stages"]}["ingest"]
