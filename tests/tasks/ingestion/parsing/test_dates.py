"""One format a column, found over all rows or declared.

What it does not read is counted, and never read in another.
"""

import pandas as pd
import pytest

from configs.intake import TabularIntakeConfig
from configs.source import ColumnConfig, SourceConfig

DAYS = TabularIntakeConfig(kind="tabular", dates=("booked",))


@pytest.fixture
def booked(run, tmp_path):
    """The days and findings of CSV files, a list of texts each."""

    def ingested(*files, intake=DAYS, name="rows", **section):
        for number, texts in enumerate(files):
            rows = "".join(f'{number}-{row},"{text}",cat\n' for row, text in enumerate(texts))
            (tmp_path / f"{number}.csv").write_text("id,booked,kind\n" + rows)
        made, frame, found = run(
            SourceConfig(reader="csv", path=str(tmp_path / "*.csv"), **section), intake=intake, name=name
        )
        days = frame["booked"].dt.strftime("%Y-%m-%d").to_list()
        return days, {each.check: each for each in made.rows.findings}, found

    return ingested


def days(form, start="2020-01-01"):
    """Two months, a text a day."""
    return pd.date_range(start, periods=60).strftime(form).to_list()


PLAIN = days("%Y-%m-%d")


@pytest.mark.parametrize(
    "form",
    [
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d.%m.%y",
        "%d-%b-%Y",
        "%B %d, %Y",
        "%Y%m%d",
        "%d/%m/%Y %H:%M",
        "%a, %d %b %Y %H:%M:%S +0000",
    ],
)
def test_the_format_is_found_over_all_rows_and_every_row_is_read_by_it(booked, form):
    found, findings, _ = booked(days(form))
    assert found == PLAIN
    assert findings["found_date_formats"].count == 60


def test_a_value_in_the_last_file_tells_how_all_are_read(booked):
    found, findings, snapshot = booked(["02/01/2020"] * 5, ["03/01/2020"], ["13/01/2020"])
    assert found == ["2020-01-02"] * 5 + ["2020-01-03", "2020-01-13"]
    assert snapshot.date_formats == {"booked": "%d/%m/%Y"}
    assert findings["found_date_formats"].examples == ("'02/01/2020' is 2 January 2020",)


def test_what_was_read_is_read_again_when_a_later_file_tells_the_format(booked):
    with pytest.raises(ValueError, match=r"set intake\.date_formats\.booked to the one that is meant"):
        booked(["02/01/2020"])
    assert booked(["02/01/2020"], ["01/13/2020"])[0] == ["2020-02-01", "2020-01-13"]
    assert booked(["02/01/2020"], ["13/01/2020"], name="again")[0] == ["2020-01-02", "2020-01-13"]


def test_dates_that_can_be_read_either_way_are_an_error_that_shows_both(booked):
    with pytest.raises(
        ValueError,
        match=r"column 'booked' \(intake.dates\): '05/06/2020' is 6 May 2020 as %m/%d/%Y, and 5 June 2020 as %d/%m/%Y",
    ):
        booked(["01/01/2020", "05/06/2020"])
    with pytest.raises(
        ValueError, match=r"'02/01/2003' is 1 February 2003 as %m/%d/%Y, and 2 January 2003 as %d/%m/%Y"
    ):
        booked(["01/01/2019", "01/01/2020"])


def test_a_declared_format_settles_what_the_rows_cannot(booked):
    declared = DAYS.model_copy(update={"date_formats": {"booked": "%d/%m/%Y"}})
    found, findings, snapshot = booked(["01/02/2020"], intake=declared)
    assert found == ["2020-02-01"]
    assert snapshot.date_formats == {"booked": "%d/%m/%Y"}
    assert "found_date_formats" not in findings


def test_a_contracts_format_is_known_to_those_who_read_clients_dates(booked):
    columns = {
        "id": ColumnConfig(type="text"),
        "booked": ColumnConfig(type="timestamp", format="%d/%m/%Y"),
        "kind": ColumnConfig(type="text"),
    }
    found, _, snapshot = booked(["01/02/2020"], columns=columns)
    assert (found, snapshot.date_formats) == (["2020-02-01"], {"booked": "%d/%m/%Y"})


def test_a_value_in_another_format_is_counted_and_never_read_otherwise(booked):
    found, findings, _ = booked([*days("%d/%m/%Y"), "01/31/2020", "soon"])
    assert pd.isna(found[-2:]).all()
    lost = findings["unreadable_values"]
    assert (lost.about, lost.count, lost.total) == ("booked", 2, 62)
    assert lost.examples == ("'01/31/2020' in line 62", "'soon' in line 63")


def test_files_that_write_dates_differently_are_named_with_theirs(booked):
    with pytest.raises(
        ValueError,
        match=r"written as %m/%d/%Y in 1.csv \('01/01/2020'\) and as %d/%m/%Y in 0.csv .* source.append",
    ):
        booked(days("%d/%m/%Y") * 2, days("%m/%d/%Y"))


@pytest.mark.parametrize(("unit", "times"), [("seconds", 1), ("milliseconds", 1000), ("microseconds", 10**6)])
def test_numbers_are_dates_in_the_unit_that_their_size_tells(booked, unit, times):
    numbers = [int(day.timestamp()) * times for day in pd.date_range("2020-01-01", periods=60)]
    found, _, snapshot = booked(numbers)
    assert (found, snapshot.date_formats) == (PLAIN, {"booked": unit})


def test_excels_days_are_found_in_a_column_of_whole_numbers(booked):
    columns = {
        "id": ColumnConfig(type="text"),
        "booked": ColumnConfig(type="integer"),
        "kind": ColumnConfig(type="text"),
    }
    assert booked(range(43831, 43891), columns=columns)[0] == PLAIN


def test_numbers_that_are_no_dates_are_named(booked):
    columns = {
        "id": ColumnConfig(type="text"),
        "booked": ColumnConfig(type="integer"),
        "kind": ColumnConfig(type="text"),
    }
    with pytest.raises(
        ValueError,
        match=r"column 'booked' \(intake.dates\) holds numbers such as 5, .*set intake.date_formats.booked to seconds",
    ):
        booked([5, 6], columns=columns)


def test_digits_of_year_and_month_are_not_taken_for_a_day(booked):
    assert booked(["202011", "202012"])[0] == ["2020-11-01", "2020-12-01"]


def test_zones_and_iso_8601_need_no_format(booked):
    found, findings, snapshot = booked(["2020-01-01T23:30:00-02:00", "2020-01-02 00:00:00 UTC", "2020-01-02"])
    assert found == ["2020-01-02"] * 3
    assert (snapshot.date_formats, list(findings)) == ({}, [])
