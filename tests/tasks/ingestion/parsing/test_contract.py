from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from configs.source import ColumnConfig
from tasks.ingestion.parsing.contract import conform_table


def one(values, type_=None, name="shop.csv", **spec):
    table = pa.table({"x": pa.array(values, type_)})
    return conform_table(table, {"x": ColumnConfig(**spec)}, "error", name)["x"].to_pylist()


def refusal(values, type_=None, **spec):
    with pytest.raises(ValueError) as error:
        one(values, type_, **spec)
    return str(error.value)


def test_texts_become_the_contracts_types():
    assert one([" 7", "+8", "9.0", None, "", "-0012"], type="integer") == [7, 8, 9, None, None, -12]
    assert one(["1.5", ".5", "1e3", "-2."], type="number") == [1.5, 0.5, 1000.0, -2.0]
    assert one(["Yes", "no", "TRUE", "0"], type="boolean") == [True, False, True, False]
    assert one([" a ", ""], type="text") == ["a", None]
    assert one(["2019-03-23", "2019-03-23 20:21:09.5"], type="timestamp") == [
        datetime(2019, 3, 23),
        datetime(2019, 3, 23, 20, 21, 9, 500000),
    ]


def test_a_suffix_is_cut_and_what_is_left_may_be_missing():
    assert one([" <=50K.", ">50K"], type="text", suffix=".") == ["<=50K", ">50K"]
    assert one(["12 oz", "12.5oz", "? oz"], type="number", suffix="oz", missing=("?",)) == [12, 12.5, None]


def test_a_currency_is_cut_and_a_numbers_own_sign_stays():
    amounts = ["$1,200.50", "-$3", "$ -7", "$", "8"]
    assert one(amounts, type="number", prefix="$", thousands=",") == [1200.5, -3, -7, None, 8]
    assert "set source.columns.x.prefix to '€'" in refusal(["€3.50"], type="number")


def test_texts_are_replaced_after_blanks_are_cut():
    assert one([" YES", "yes", "No", "?"], type="text", replace={"YES": "yes", "?": ""}) == [
        "yes",
        "yes",
        "No",
        None,
    ]


def test_records_become_a_column_a_field_unless_the_contract_names_them():
    people = [{"name": "Ada", "home": {"town": "Oslo"}}, None]
    table = pa.table({"n": [1, 2], "who": people})
    flat = {"n": [1, 2], "who.name": ["Ada", None], "who.home.town": ["Oslo", None]}
    assert conform_table(table, {}, "error", "shop").to_pydict() == flat
    town = {"town": ColumnConfig(type="text", source="who.home.town")}
    assert conform_table(table, town, "ignore", "shop").to_pydict() == {"town": ["Oslo", None]}
    assert (
        conform_table(table, {"who": ColumnConfig(type="any")}, "ignore", "shop")["who"].to_pylist() == people
    )


def test_separators_of_numbers_count_only_in_their_places():
    assert one(["1,234", "12,345,678.5", "3"], type="number", thousands=",") == [1234, 12345678.5, 3]
    assert one(["1.234,5", "7"], type="number", thousands=".", decimal=",") == [1234.5, 7]
    assert "'1,23'" in refusal(["1,23"], type="number", thousands=",")
    assert "'1.5'" in refusal(["1.5"], type="number", thousands=".", decimal=",")


def test_missing_texts_are_no_values_and_so_are_sentinel_numbers():
    assert one(["?", "NA", "3"], type="integer", missing=("?", "NA")) == [None, None, 3]
    assert one([-999, 3], pa.int32(), type="integer", missing=("-999",)) == [None, 3]
    assert one([float("nan"), 3], pa.float64(), type="number") == [None, 3]


def test_a_value_that_does_not_fit_is_named_with_its_row_and_the_fix():
    said = refusal(["3", "abc", "d"], type="integer")
    assert said == (
        "shop.csv: column 'x', row 2: 'abc' is no whole number (2 of 3 values); if it stands for no value, "
        "add it to source.columns.x.missing; if it is right, set source.columns.x.type to text"
    )
    assert "set source.columns.x.thousands to ','" in refusal(["1,234"], type="number")
    assert "set source.columns.x.suffix to 'oz'" in refusal(["1.5 oz"], type="number")
    assert "set source.columns.x.type to number" in refusal(["1.5"], type="integer")
    assert "in ISO 8601" in refusal(["1/2/2020"], type="timestamp")


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-Infinity", "0x10", "1_000", "12 3", "--5", "9223372036854775808"]
)
def test_what_only_programs_call_numbers_is_none(value):
    assert f"{value!r} is no" in refusal([value, "1"], type="integer")


def test_the_largest_integers_survive_beside_a_signed_one():
    assert one(["9223372036854775807", "+1"], type="integer") == [2**63 - 1, 1]


@pytest.mark.parametrize(
    ("text", "form", "moment"),
    [
        ("1/31/2011", "%m/%d/%Y", datetime(2011, 1, 31)),
        ("31.01.2011 07:05", "%d.%m.%Y %H:%M", datetime(2011, 1, 31, 7, 5)),
        ("3-Jan-99", "%d-%b-%y", datetime(1999, 1, 3)),
        ("01/02/2020 12:30 AM", "%m/%d/%Y %I:%M %p", datetime(2020, 1, 2, 0, 30)),
        ("2020-01-02 10:00:00.25+0200", "%Y-%m-%d %H:%M:%S.%f%z", datetime(2020, 1, 2, 8, 0, 0, 250000)),
        ("2020-01-02T10:00:00Z", None, datetime(2020, 1, 2, 10)),
        ("2020-01-02T10:00:00.123456789-01:30", None, datetime(2020, 1, 2, 11, 30, 0, 123456)),
    ],
)
def test_timestamps_are_read_by_their_format(text, form, moment):
    assert one([text, None], type="timestamp", format=form) == [moment, None]


@pytest.mark.parametrize("text", ["2/31/2011", "13/1/2011", "1/1/11", "2/29/2011", "1/1/2011 x"])
def test_a_day_that_does_not_exist_is_no_timestamp(text):
    assert f"{text!r} is no timestamp as %m/%d/%Y (1 of 2 values)" in refusal(
        ["2/28/2011", text], type="timestamp", format="%m/%d/%Y"
    )


def test_an_unknown_field_of_a_format_is_named():
    with pytest.raises(ValueError, match=r"format '%Q': %Q is not known; known are %Y"):
        one(["1"], type="timestamp", format="%Q")


def test_a_renamed_column_is_named_beside_the_new_one():
    table = pa.table({"hours-per-week": ["1"]})
    with pytest.raises(
        ValueError,
        match=r"no column 'hours_per_week'; 'hours-per-week' is new and looks like it: set source.columns.hours",
    ):
        conform_table(table, {"hours_per_week": ColumnConfig(type="integer")}, "error", "adult.csv")


def test_extra_columns_break_the_contract_unless_it_says_otherwise():
    table = pa.table({"a": ["1"], "b": ["2"]})
    contract = {"c": ColumnConfig(type="integer", source="a")}
    with pytest.raises(
        ValueError,
        match=r"'b' not in the contract; add to source.columns, or set source.extra to ignore or keep",
    ):
        conform_table(table, contract, "error", "s")
    assert conform_table(table, contract, "ignore", "s").to_pydict() == {"c": [1]}
    assert conform_table(table, contract, "keep", "s").to_pydict() == {"c": [1], "b": ["2"]}


def test_a_column_there_twice_is_named():
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(ValueError, match="column 'a' is there 2 times"):
        conform_table(table, {"a": ColumnConfig(type="integer")}, "error", "s")


def test_typed_columns_change_without_loss_or_not_at_all():
    assert one([1, 0], pa.int8(), type="boolean") == [True, False]
    assert one([1.0, None], pa.float64(), type="integer") == [1, None]
    assert one([7], pa.int64(), type="text") == ["7"]
    east = timezone(timedelta(hours=2))
    assert one(
        [datetime(2020, 1, 1, 2, tzinfo=east).astimezone(UTC)],
        pa.timestamp("ns", "Europe/Helsinki"),
        type="timestamp",
    ) == [datetime(2020, 1, 1)]
    assert "row 1: 1.5 is no whole number" in refusal([1.5], pa.float64(), type="integer")
    assert "row 1: 9007199254740993 is no finite number" in refusal([2**53 + 1], pa.int64(), type="number")


def test_a_retyped_column_is_named_with_both_types():
    said = refusal([1.5], pa.float64(), type="timestamp")
    assert (
        said
        == "shop.csv: column 'x' is double, the contract says timestamp; if the source is right, set source.columns.x.type to number"
    )


def test_dictionaries_and_columns_of_nulls_take_any_type():
    assert one(pa.array(["1", "2", None]).dictionary_encode(), type="integer") == [1, 2, None]
    assert one([None, None], pa.null(), type="timestamp") == [None, None]


def test_a_required_value_that_is_missing_breaks_the_contract():
    assert "row 2: a value is missing (1 of 2)" in refusal(
        ["1", "?"], type="integer", missing=("?",), required=True
    )


def test_without_a_contract_the_table_stays_as_it_came():
    table = pa.table({"a": [1]})
    assert conform_table(table, {}, "error", "s") is table
