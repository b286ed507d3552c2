import random
import re

import great_expectations as gx
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from great_expectations.execution_engine import sqlalchemy_execution_engine

from configs.validation import ExpectationConfig, ValidationConfig
from infra.imports import resolve
from tasks.validation.proposal import patterns
from tasks.validation.proposal.propose import propose
from tasks.validation.proposal.report import to_yaml

CITIES = {"35233": "birmingham", "35957": "boaz", "36301": "dothan", "99508": "anchorage", "36049": "luverne"}
DETERMINES = "tasks.validation.checks.expectations:ExpectColumnToDetermineAnother"
MISSPELT = "tasks.validation.checks.expectations:ExpectColumnValuesNotToBeMisspelt"


def good(rows=400):
    chance = random.Random(5)  # noqa: S311
    zips = [chance.choice(list(CITIES)) for _ in range(rows)]
    return pd.DataFrame(
        {
            "key": [f"k-{number:05d}" for number in range(rows)],
            "zip": zips,
            "city": [CITIES[zip_] for zip_ in zips],
            "dose": [f"{chance.randint(1, 99)} mg" for _ in range(rows)],
            "age": [chance.randint(20, 60) for _ in range(rows)],
            "note": [
                None if chance.random() < 0.2 else "".join(chance.choices("abc xyz", k=chance.randint(1, 30)))
                for _ in range(rows)
            ],
        }
    )


def rules(frame, column):
    return {
        rule.type: rule
        for rule in propose(frame).expectations
        if rule.kwargs.get("column", rule.kwargs.get("column_B")) == column
    }


def unexpected(rule, batch):
    kind = (
        resolve(rule.type) if ":" in rule.type else gx.expectations.registry.get_expectation_impl(rule.type)
    )
    result = batch.validate(
        kind(**rule.kwargs),
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]},
    )
    assert not any("Traceback" in str(info) for info in result.exception_info.values()), str(
        result.exception_info
    )[:6000]
    return sorted(row["id"] for row in result.result.get("unexpected_index_list") or [])


def frame_batch(frame):
    sources = gx.get_context(mode="ephemeral").data_sources
    return (
        sources.add_pandas("p")
        .add_dataframe_asset("a")
        .add_batch_definition_whole_dataframe("b")
        .get_batch({"dataframe": frame})
    )


class Dialect(str):
    value = "duckdb"


@pytest.fixture
def sql_batch(tmp_path, monkeypatch):
    def batch(frame):
        import duckdb

        with duckdb.connect(tmp_path / "rows.db") as connection:
            connection.register("frame", frame)
            connection.execute("CREATE TABLE rows AS SELECT * FROM frame")
        persisted = (*sqlalchemy_execution_engine._PERSISTED_CONNECTION_DIALECTS, Dialect("duckdb"))
        monkeypatch.setattr(sqlalchemy_execution_engine, "_PERSISTED_CONNECTION_DIALECTS", persisted)
        source = gx.get_context(mode="ephemeral").data_sources.add_sql(
            "d", connection_string=f"duckdb:///{tmp_path}/rows.db"
        )
        return (
            source.add_table_asset("t", table_name="rows").add_batch_definition_whole_table("w").get_batch()
        )

    return batch


def test_each_kind_of_column_gets_its_rules():
    frame = good()
    assert rules(frame, "key")["expect_column_values_to_be_unique"].severity == "quarantine"
    assert rules(frame, "city")["expect_column_values_to_be_in_set"].kwargs["value_set"] == sorted(
        CITIES.values()
    )
    assert rules(frame, "dose")["expect_column_values_to_match_regex"].kwargs["regex"] == r"^[0-9]{1,2}\ mg$"
    assert rules(frame, "age")["expect_column_values_to_be_between"].kwargs == {
        "column": "age",
        "min_value": 10,
        "max_value": 70,
    }
    assert rules(frame, "note")["expect_column_values_to_not_be_null"].severity == "warn"
    assert rules(frame, "city")[DETERMINES].kwargs == {"column_A": "zip", "column_B": "city"}


def test_a_frame_and_parquet_parts_give_the_same_suite_whatever_their_number(tmp_path):
    frame = good()
    for number in range(4):
        pq.write_table(
            pa.Table.from_pandas(frame.iloc[100 * number : 100 * number + 100]),
            tmp_path / f"part-{number:05d}.parquet",
        )
    assert propose(sorted(tmp_path.glob("*.parquet"))) == propose(frame)


def test_the_yaml_is_the_suite():
    suite = propose(good())
    assert ValidationConfig(**yaml.safe_load(to_yaml(suite))["validation"]).expectations == suite.expectations


def test_values_that_keep_coming_are_no_set():
    frame = pd.DataFrame(
        {
            "name": [
                f"{chr(97 + number % 26)}{chr(97 + number // 26)}{'abcdefg'[number % 7]}"
                for number in range(300)
            ]
        }
    )
    assert "expect_column_values_to_be_in_set" not in rules(frame, "name")


def test_a_set_that_later_rows_went_beyond_is_only_warned_of():
    frame = pd.DataFrame({"name": ["baker"] * 100 + ["miller"] * 100})
    assert rules(frame, "name")["expect_column_values_to_be_in_set"].severity == "warn"


def test_running_numbers_may_get_more_digits():
    found = rules(pd.DataFrame({"n": list(map(str, range(1, 400)))}), "n")[
        "expect_column_values_to_match_regex"
    ]
    assert found.kwargs["regex"] == "^[0-9]+$"


def test_columns_that_gyre_adds_get_no_rules():
    frame = good().assign(origin="file", origin_line=range(400), split="train")
    assert propose(frame) == propose(good())


def test_too_few_rows_teach_nothing():
    with pytest.raises(ValueError, match="3 rows: too few to propose rules from; give at least 20"):
        propose(good(3))


def test_a_pattern_matches_in_a_time_that_grows_with_the_length_alone():
    names = {f"Item {number} of the Long List (new)": 1 for number in range(50)}
    found = patterns.word_kinds(names)
    assert not re.match(found, "Item of the " * 2000 + "|")


@pytest.mark.parametrize("learn", patterns.LEARNERS)
def test_a_pattern_matches_what_it_was_learned_from(learn):
    texts = dict.fromkeys(["", "a]b-c^d\\e", "Zoë & Co. [x]", "12.5%", "tab\there", "{~}|", "A1b2"], 3)
    found = learn(texts)
    assert found is None or all(re.match(found, text) for text in texts)


SPELT = ExpectationConfig(
    type=MISSPELT, kwargs={"column": "city", "value_set": ["birmingham", "boaz", "12 main st"]}
)
MISSPELLINGS = pd.DataFrame(
    {
        "id": list("abcdefg"),
        "city": ["birmingham", "birmingxam", "paris", "boxz", None, "14 main st", "1x main st"],
    }
)


def test_misspellings_stand_out_on_a_frame_and_in_duckdb(sql_batch):
    assert unexpected(SPELT, frame_batch(MISSPELLINGS)) == ["b", "d", "g"]
    assert unexpected(SPELT, sql_batch(MISSPELLINGS)) == ["b", "d", "g"]


PAIRS = pd.DataFrame(
    {
        "id": list("abcdefghi"),
        "zip": ["1", "1", "1", "1", "2", "2", "3", None, "4"],
        "city": ["x", "x", "y", "x", "u", "v", "z", "z", None],
    }
)


@pytest.mark.parametrize(
    ("known", "wrong"), [(None, ["c"]), ({"3": "it's"}, ["c", "g"]), ({"1": "y"}, ["a", "b", "d"])]
)
def test_a_determined_value_is_the_known_one_or_that_of_most_rows(known, wrong, sql_batch):
    rule = ExpectationConfig(
        type=DETERMINES, kwargs={"column_A": "zip", "column_B": "city", **({"known": known} if known else {})}
    )
    assert unexpected(rule, frame_batch(PAIRS)) == wrong
    assert unexpected(rule, sql_batch(PAIRS)) == wrong


@pytest.mark.parametrize(
    "empty",
    [pa.nulls(400), pa.nulls(400, pa.string()), pa.nulls(400, pa.float64())],
    ids=["no type", "text", "number"],
)
def test_of_a_column_without_a_value_people_are_told_when_it_gets_some(empty):
    table = pa.Table.from_pandas(good(), preserve_index=False).append_column("fee", empty)
    assert [
        (rule.type, rule.severity)
        for rule in propose(table).expectations
        if rule.kwargs.get("column") == "fee"
    ] == [("expect_column_values_to_be_null", "warn")]
