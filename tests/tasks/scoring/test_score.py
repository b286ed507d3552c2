"""Batch scoring: what comes out of a source's rows, and what is said of those that cannot be read."""

import json
import sqlite3

import numpy as np
import onnxruntime
import pandas as pd
import pyarrow.parquet as pq
import pytest

from configs.source import ColumnConfig, SourceConfig
from tasks.intake import build_intake
from tasks.rows.raw import feed
from tasks.scoring.report import report_of, tables
from tests.tasks.scoring.conftest import SECTION, as_csv, people


def expected(bundle, frame):
    """The graph's answers, asked all at once."""
    session = onnxruntime.InferenceSession(f"{bundle.uri}/model.onnx")
    rows = build_intake(SECTION).rows(frame.assign(born=frame["born"].dt.strftime("%d/%m/%Y")))
    chosen, probability = session.run(["class", "probability"], feed(rows))
    return [["low", "high"][index] for index in chosen], probability


def test_each_row_of_a_csv_file_has_the_graphs_answer_under_its_key(run, workers, tmp_path):
    frame = people(3000)
    run(as_csv(frame, tmp_path / "people.csv"), tmp_path / "scores")
    scores = pd.read_parquet(tmp_path / "scores")
    answers, probability = expected(workers, frame)
    assert scores["id"].tolist() == frame["id"].tolist()
    assert scores["answer"].tolist() == answers
    assert np.allclose(scores["probability"], probability.max(axis=1), atol=1e-6)
    assert np.allclose(np.stack(scores["probability_by_class"]), probability, atol=1e-6)
    assert scores["version"].unique().tolist() == [3]
    assert scores["origin_line"].tolist() == list(range(2, 3002))
    assert scores["request_id"].is_unique


def test_a_csv_target_and_a_table_hold_the_same_as_a_folder(run, tmp_path):
    source = as_csv(people(700), tmp_path / "people.csv")
    run(source, tmp_path / "scores")
    run(source, tmp_path / "scores.csv")
    run(source, f"sqlite:///{tmp_path}/scores.db", "people")
    folder = pd.read_parquet(tmp_path / "scores")
    file = pd.read_csv(tmp_path / "scores.csv")
    with sqlite3.connect(tmp_path / "scores.db") as database:
        table = pd.read_sql("SELECT * FROM people", database)
    for other in (file, table):
        assert other[["id", "answer", "version", "request_id", "origin", "origin_line"]].equals(
            folder[["id", "answer", "version", "request_id", "origin", "origin_line"]]
        )
        assert np.allclose(other["probability"], folder["probability"])
        assert np.allclose(
            [json.loads(each) for each in other["probability_by_class"]],
            np.stack(folder["probability_by_class"]),
        )


def test_rows_of_parquet_json_lines_a_database_and_a_glob_are_answered_alike(run, tmp_path):
    frame = people(400)
    texts = frame.assign(born=frame["born"].dt.strftime("%d/%m/%Y"))
    texts.to_parquet(tmp_path / "people.parquet")
    texts.to_json(tmp_path / "people.jsonl", orient="records", lines=True)
    with sqlite3.connect(tmp_path / "people.db") as database:
        texts.to_sql("people", database, index=False)
    for number, part in enumerate((texts[:150], texts[150:])):
        part.to_csv(tmp_path / f"part-{number}.csv", index=False)
    run(tmp_path / "people.parquet", tmp_path / "of parquet")
    run(tmp_path / "people.jsonl", tmp_path / "of jsonl")
    run(f"sqlite:///{tmp_path}/people.db", tmp_path / "of sql", source_table="people")
    run(tmp_path / "part-*.csv", tmp_path / "of glob")
    found = [pd.read_parquet(tmp_path / f"of {kind}") for kind in ("parquet", "jsonl", "sql", "glob")]
    for scores in found:
        by_id = scores.set_index("id").loc[frame["id"]]
        assert by_id["answer"].tolist() == found[0]["answer"].tolist()
        assert np.allclose(by_id["probability"], found[0]["probability"])


def test_a_row_that_cannot_be_read_lies_in_the_side_file_with_its_reason_and_no_other_is_missing(
    run, tmp_path
):
    source = as_csv(people(300), tmp_path / "people.csv")
    lines = source.read_text().splitlines()
    lines[10] = "p9,old,40.0,Private,01/02/1970"
    lines[20] = "p19,30.0,40.0"
    lines[30] = "p29,30.0,40.0,Private,31/02/1970"
    lines[40] = "p39,1e39,40.0,Private,01/02/1970"
    lines[50] = "p49,,,,"
    source.write_text("\n".join(lines) + "\n")
    scored, target, question = run(source, tmp_path / "scores")
    refused = [json.loads(line) for line in (tmp_path / "scores" / "_refused.jsonl").read_text().splitlines()]
    assert {(each["origin_line"], each["reason"]) for each in refused} == {
        (11, "age: 'old' is no number"),
        (21, "3 fields for 5 columns"),
        (31, "born: '31/02/1970' is no date in the format of the training rows"),
        (41, "age: '1e39' is more than float32 holds"),
        (51, "no value in any column that the model takes"),
    }
    assert next(each for each in refused if each["origin_line"] == 11)["row"]["age"] == "old"
    assert next(each for each in refused if each["origin_line"] == 21)["row"] == "p19,30.0,40.0"
    scores = pq.read_table(tmp_path / "scores" / "part-00000.parquet")
    assert len(scores) == 295
    report = report_of(question, target, "scores", scored)
    assert (report.rows, report.refused) == (295, 5)
    assert sum(count for _, count in report.reasons) == 5
    assert "295 rows scored, 5 refused (1: " in report.summary
    assert str(tmp_path / "scores" / "_refused.jsonl") in report.summary.splitlines()[-1]


def test_values_have_the_types_units_and_missing_marks_of_the_contract(run, tmp_path):
    frame = people(200)
    contract = {
        "id": ColumnConfig(type="text"),
        "age": ColumnConfig(type="number", source="Age", missing=("", "?", "-999")),
        "hours per week": ColumnConfig(type="number", suffix="h", decimal=","),
        "work": ColumnConfig(type="text", missing=("", "unknown")),
        "born": ColumnConfig(type="text"),
        "pay": ColumnConfig(type="number"),
    }
    training = SourceConfig(reader="csv", path="/nowhere/train.csv", columns=contract)
    run(as_csv(frame, tmp_path / "plain.csv"), tmp_path / "plain")
    odd = frame.rename(columns={"age": "Age"})
    odd["hours per week"] = [f"{hours:.1f} h".replace(".", ",") for hours in frame["hours per week"]]
    odd["Age"] = frame["age"].fillna(-999)
    odd.loc[3, "Age"] = None
    source = tmp_path / "odd.csv"
    odd.assign(born=odd["born"].dt.strftime("%d/%m/%Y")).to_csv(source, index=False, sep=";")
    run(source, tmp_path / "odd", training=training, staging=tmp_path / "staging" / "two")
    plain, read = pd.read_parquet(tmp_path / "plain"), pd.read_parquet(tmp_path / "odd")
    others = [place for place in range(200) if place != 3]
    assert read["answer"][others].tolist() == plain["answer"][others].tolist()
    assert np.allclose(read["probability"][others], plain["probability"][others])


def test_a_value_against_the_contract_refuses_its_row_alone(run, tmp_path):
    contract = {"age": ColumnConfig(type="integer", required=True), "id": ColumnConfig(type="text")}
    contract |= {name: ColumnConfig(type="text") for name in ("work", "born")}
    contract |= {"hours per week": ColumnConfig(type="number")}
    training = SourceConfig(reader="csv", path="/nowhere/train.csv", columns=contract)
    source = as_csv(people(20), tmp_path / "people.csv")
    run(source, tmp_path / "scores", training=training)
    refused = [json.loads(line) for line in (tmp_path / "scores" / "_refused.jsonl").read_text().splitlines()]
    told = "age: a value is missing, which the contract says is required"
    assert [(each["id"], each["reason"]) for each in refused] == [("p0", told), ("p10", told)]


def test_a_column_that_is_not_there_stops_the_run_and_the_fix_is_named(run, tmp_path):
    source = tmp_path / "people.csv"
    as_csv(people(20).rename(columns={"hours per week": "Hours_per_week"}), source)
    wanted = r"no column 'hours per week' \('Hours_per_week' looks like it\), which the model takes .*--allow-missing"
    with pytest.raises(ValueError, match=wanted):
        run(source, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()
    scored, target, question = run(source, tmp_path / "scores", allow_missing=True)
    report = report_of(question, target, "scores", scored)
    assert (
        "hours per week: the source has no such column; it counts as missing in every row"
        in report.differences
    )


def test_categories_that_training_rows_did_not_have_are_counted_and_told(run, tmp_path):
    frame = people(200)
    frame.loc[:19, "work"] = "Astronaut"
    scored, target, question = run(as_csv(frame, tmp_path / "people.csv"), tmp_path / "scores")
    report = report_of(question, target, "scores", scored)
    told = (
        "work: 20 of 200 rows (10.00%) have a category that training rows did not have, "
        "which counts as missing, such as 'Astronaut'"
    )
    assert told in report.differences
    shown = tables(report)
    assert {each["answer"] for each in shown["Answers"]} <= {"low", "high"}
    assert sum(int(each["rows"]) for each in shown["Answers"]) == 200


def test_a_file_that_lies_there_twice_is_scored_twice(run, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        as_csv(people(50), tmp_path / folder / "people.csv")
    run(tmp_path / "*" / "people.csv", tmp_path / "scores")
    scores = pd.read_parquet(tmp_path / "scores")
    assert len(scores) == 100
    assert scores["request_id"].is_unique


def test_a_row_without_a_key_is_named_by_its_place_and_that_is_told(run, tmp_path):
    frame = people(50)
    frame.loc[7, "id"] = None
    scored, target, question = run(as_csv(frame, tmp_path / "people.csv"), tmp_path / "scores")
    assert pd.read_parquet(tmp_path / "scores")["id"][7] == "people.csv:9"
    report = report_of(question, target, "scores", scored)
    assert "1 rows have no value in the source's key; their place names them" in report.differences


def test_what_is_no_score_is_never_replaced_and_other_scores_only_where_it_is_asked(run, tmp_path):
    source = as_csv(people(20), tmp_path / "people.csv")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for existing in ("refuse", "replace"):
        with pytest.raises(ValueError, match=r"mine: is there already and holds no scores of Gyre"):
            run(source, tmp_path / "mine", existing=existing)
    run(source, tmp_path / "scores")
    as_csv(people(30), source)
    with pytest.raises(ValueError, match=r"holds the scores of .*people.csv by work version 3, .*--replace"):
        run(source, tmp_path / "scores")
    run(source, tmp_path / "scores", existing="replace")
    assert len(pd.read_parquet(tmp_path / "scores")) == 30


def test_texts_and_pictures_are_scored_too(run, texts, images, tmp_path):
    from PIL import Image

    from configs.intake import ImageIntakeConfig, TextIntakeConfig
    from tasks.rows.parts import record_of

    words = TextIntakeConfig(kind="text", column="message", length=24)
    (tmp_path / "messages.jsonl").write_text(
        "\n".join(json.dumps({"message": each}) for each in ("free prize", "see you", "x" * 30_000))
    )
    run(tmp_path / "messages.jsonl", tmp_path / "of texts", bundle=record_of(texts), intake=words)
    assert len(pd.read_parquet(tmp_path / "of texts")) == 2
    (refused,) = (tmp_path / "of texts" / "_refused.jsonl").read_text().splitlines()
    assert "a text of more than 20,000 characters" in json.loads(refused)["reason"]
    (tmp_path / "scans").mkdir()
    for number in range(5):
        Image.fromarray(np.full((8, 8), 40 * number, np.uint8)).save(tmp_path / "scans" / f"{number}.png")
    (tmp_path / "scans" / "broken.png").write_bytes(b"no picture")
    pictures = ImageIntakeConfig(kind="image", height=8, width=8)
    run(tmp_path / "scans", tmp_path / "of scans", bundle=record_of(images), intake=pictures)
    assert pd.read_parquet(tmp_path / "of scans")["id"].tolist() == [f"{number}.png" for number in range(5)]
    (refused,) = (tmp_path / "of scans" / "_refused.jsonl").read_text().splitlines()
    assert json.loads(refused)["origin"] == "broken.png"


def test_a_large_file_is_cut_and_each_row_keeps_its_place(run, tmp_path, monkeypatch):
    from tasks.scoring import run as core

    monkeypatch.setattr(core, "BLOCK_BYTES", 2**14)
    for module in ("csv_blocks", "csv"):
        monkeypatch.setattr(f"tasks.ingestion.readers.{module}.CHUNK_BYTES", 2**12)
    monkeypatch.setattr(core, "ROWS_A_PARTITION", 400)
    frame = people(3000)
    texts = frame.assign(born=frame["born"].dt.strftime("%d/%m/%Y"))
    texts.to_parquet(tmp_path / "people.parquet", row_group_size=300)
    for source, first in ((as_csv(frame, tmp_path / "people.csv"), 2), (tmp_path / "people.parquet", 1)):
        target = tmp_path / f"of {source.suffix[1:]}"
        scored, _, _ = run(source, target)
        assert len(scored.notes) > 4
        scores = pd.read_parquet(target)
        assert scores["id"].tolist() == frame["id"].tolist()
        assert scores["origin_line"].tolist() == list(range(first, first + 3000))


def test_a_line_that_is_no_json_object_and_a_text_among_numbers_are_refused_alone(run, tmp_path):
    frame = people(40)
    texts = frame.assign(born=frame["born"].dt.strftime("%d/%m/%Y"))
    lines = texts.to_json(orient="records", lines=True).splitlines()
    lines[5] = '{"id": "p5", "age":'
    lines[6] = "[1, 2]"
    lines[7] = lines[7].replace('"age":', '"age":"old","was":')
    (tmp_path / "people.jsonl").write_text("\n".join(lines) + "\n")
    run(tmp_path / "people.jsonl", tmp_path / "scores")
    refused = [json.loads(line) for line in (tmp_path / "scores" / "_refused.jsonl").read_text().splitlines()]
    told = {each["origin_line"]: each["reason"] for each in refused}
    assert set(told) == {6, 7, 8}
    assert told[6].startswith("not a JSON object: ")
    assert told[7] == "not a JSON object: is list, not an object"
    assert told[8] == "age: 'old' is no number"
    assert len(pd.read_parquet(tmp_path / "scores")) == 37


def test_a_text_among_numbers_far_down_a_file_refuses_its_row_alone(run, tmp_path, monkeypatch):
    contract = {name: ColumnConfig(type="number") for name in ("age", "hours per week")}
    contract |= {name: ColumnConfig(type="text") for name in ("id", "work", "born")}
    training = SourceConfig(reader="csv", path="/nowhere/train.csv", columns=contract)
    monkeypatch.setattr("tasks.ingestion.readers.csv.CHUNK_BYTES", 2**12)
    source = as_csv(people(900), tmp_path / "people.csv")
    lines = source.read_text().splitlines()
    lines[701] = "p700,old,40.0,Private,01/02/1970"
    source.write_text("\n".join(lines) + "\n")
    run(source, tmp_path / "scores", training=training)
    (refused,) = (tmp_path / "scores" / "_refused.jsonl").read_text().splitlines()
    assert json.loads(refused)["reason"] == "age: 'old' is no finite number"
    assert len(pd.read_parquet(tmp_path / "scores")) == 899


def test_numbers_in_another_unit_than_the_contracts_stop_the_run(run, tmp_path):
    hours = people(500)["hours per week"].quantile([0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    contract = {
        "hours per week": ColumnConfig(type="number", usual=tuple(hours)),
        "age": ColumnConfig(type="number"),
    }
    contract |= {name: ColumnConfig(type="text") for name in ("id", "work", "born")}
    training = SourceConfig(reader="csv", path="/nowhere/train.csv", columns=contract)
    frame = people(500, seed=2)
    run(as_csv(frame, tmp_path / "hours.csv"), tmp_path / "scores", training=training)
    minutes = as_csv(
        frame.assign(**{"hours per week": frame["hours per week"] * 60}), tmp_path / "minutes.csv"
    )
    for target, table in ((tmp_path / "of minutes", None), (f"sqlite:///{tmp_path}/of.db", "people")):
        with pytest.raises(ValueError, match=r"'hours per week' looks like another unit"):
            run(minutes, target, table, training=training, staging=tmp_path / "staging" / "two")
    assert not (tmp_path / "of minutes").exists()
    with sqlite3.connect(tmp_path / "of.db") as database:
        assert database.execute("SELECT count(*) FROM gyre_scored_partitions").fetchone() == (0,)


def test_a_joined_column_is_joined_here_too_and_a_row_without_a_match_is_refused_where_it_was_left_out(
    run, tmp_path
):
    frame = people(30)
    jobs = frame[["id", "work"]].iloc[:28]
    jobs.to_csv(tmp_path / "jobs.csv", index=False)
    source = as_csv(frame, tmp_path / "people.csv")
    run(source, tmp_path / "whole")
    as_csv(frame.drop(columns=["work"]), source)
    own = SourceConfig(reader="csv", path=str(tmp_path / "jobs.csv"))
    joined = {"source": own, "on": "id", "how": "inner"}
    training = SourceConfig(reader="csv", path="/nowhere/train.csv", join=(joined,))
    run(source, tmp_path / "scores", training=training, staging=tmp_path / "staging" / "two")
    scores, whole = pd.read_parquet(tmp_path / "scores"), pd.read_parquet(tmp_path / "whole")
    assert scores["id"].tolist() == frame["id"][:28].tolist()
    assert np.allclose(scores["probability"], whole["probability"][:28])
    refused = [json.loads(line) for line in (tmp_path / "scores" / "_refused.jsonl").read_text().splitlines()]
    assert [each["origin_line"] for each in refused] == [30, 31]
    assert refused[0]["reason"] == "no row of the joined source belongs to it"


def test_a_target_among_the_files_that_are_scored_is_refused(run, tmp_path):
    (tmp_path / "in").mkdir()
    as_csv(people(10), tmp_path / "in" / "people.csv")
    for source, target in ((tmp_path / "in", "scores.csv"), (tmp_path / "in" / "*.csv", "people.csv")):
        with pytest.raises(ValueError, match=r"lies among the files that are scored .*; give another --to"):
            run(source, tmp_path / "in" / target)
    run(tmp_path / "in", tmp_path / "scores.csv")
    assert len(pd.read_csv(tmp_path / "scores.csv")) == 10


def test_a_file_with_a_header_alone_has_no_scores_and_is_no_error(run, tmp_path):
    source = as_csv(people(0), tmp_path / "people.csv")
    scored, target, question = run(source, tmp_path / "scores")
    assert report_of(question, target, "scores", scored).summary.endswith("0 rows scored, none refused")
