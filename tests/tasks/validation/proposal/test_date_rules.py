"""Dates whose day and month were read the other way round are dates still.

Other columns tell that they are the wrong ones.
"""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.validation.proposal.propose import propose

DIRTY = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks/dirty.py"))
SWAP = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks/errors.py"))["day_and_month"]
RULES = "tasks.validation.checks.expectations:"


def orders(rows=900, seed=2):
    """Orders by number, spread over two years, delivered some days later."""
    chance = np.random.default_rng(seed)
    ordered = pd.Timestamp("2021-01-01") + pd.to_timedelta(np.sort(chance.integers(0, 730, rows)), unit="D")
    delivered = ordered + pd.to_timedelta(chance.integers(1, 15, rows), unit="D")
    return pd.DataFrame(
        {
            "number": 5000 + np.arange(rows),
            "ordered": ordered,
            "delivered": delivered,
            "sum": chance.normal(50, 9, rows),
        }
    )


def as_texts(frame, form):
    """Dates as texts."""
    return frame.assign(
        **{name: frame[name].dt.strftime(form) for name in ("ordered", "delivered") if name in frame}
    )


def swapped(frame, column, rows):
    """A copy in which some rows' day and month are swapped, and those rows.

    Where both readings are dates, and far from each other.
    """
    given, places = frame.copy(), []
    for row in rows:
        before = given.loc[row, column]
        after = SWAP(before)
        if after and abs(int(before[8:10]) - int(before[5:7])) > 2:
            given.loc[row, column] = after
            places.append(row)
    return given, places


def flagged(learned, given):
    """The rows of `given` that rules proposed from `learned` set aside."""
    return np.flatnonzero(DIRTY["flags"](propose(learned).expectations, given, None).any(axis=1)).tolist()


CANDIDATES = range(3, 900, 13)


@pytest.mark.parametrize("columns", [["ordered", "delivered", "sum"], ["number", "ordered", "sum"]])
def test_swapped_dates_are_found_by_another_date_and_by_the_order_of_numbers(columns):
    good = as_texts(orders(), "%Y-%m-%d")[columns]
    given, places = swapped(good, "ordered", CANDIDATES)
    assert len(places) > 10
    assert flagged(good, given) == places


def test_swapped_dates_among_the_rows_that_teach_are_found_too():
    given, places = swapped(as_texts(orders(), "%Y-%m-%d"), "delivered", CANDIDATES)
    found = flagged(given, given)
    assert set(found) <= set(places)
    assert len(found) >= 0.9 * len(places)


def test_swapped_dates_are_found_where_the_columns_hold_moments():
    good = orders()
    given, places = swapped(as_texts(good, "%Y-%m-%d"), "delivered", CANDIDATES)
    given = given.assign(
        ordered=pd.to_datetime(given["ordered"]), delivered=pd.to_datetime(given["delivered"])
    )
    assert flagged(good, given) == places


@pytest.mark.parametrize(("part", "form"), [("month", "%m"), ("weekday", "%A")])
def test_swapped_dates_are_found_by_a_column_of_months_or_weekdays(part, form):
    chance = np.random.default_rng(8)
    days = pd.Timestamp("2021-01-01") + pd.to_timedelta(chance.integers(0, 1200, 900), unit="D")
    good = pd.DataFrame(
        {"ordered": days.strftime("%Y-%m-%d"), part: days.strftime(form), "sum": chance.normal(50, 9, 900)}
    )
    given, places = swapped(good, "ordered", CANDIDATES)
    wrong = [
        row
        for row in places
        if pd.Timestamp(given.loc[row, "ordered"]).strftime(form) != given.loc[row, part]
    ]
    assert flagged(good, given) == wrong


def test_whole_numbers_that_became_fractions_still_say_the_month():
    good = orders().assign(month=lambda frame: frame["ordered"].dt.month)
    assert any(rule.kwargs.get("part") == "month" for rule in propose(good).expectations)
    assert flagged(good, good.assign(month=good["month"].astype(float))) == []


def test_dates_that_have_nothing_to_do_with_each_other_get_no_rule():
    chance = np.random.default_rng(9)
    frame = pd.DataFrame(
        {
            name: pd.Timestamp("2021-01-01") + pd.to_timedelta(chance.integers(0, 730, 600), unit="D")
            for name in ("one", "other")
        }
    ).assign(number=range(600))
    assert not [
        rule
        for rule in propose(frame).expectations
        if rule.type.startswith((f"{RULES}ExpectDate", f"{RULES}ExpectColumnToSay"))
    ]
