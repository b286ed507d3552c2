"""What is proposed holds for rows and keys that were not there to learn from, and finds what is wrong with them."""

import random
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from configs.validation import ValidationConfig
from tasks.validation.proposal.propose import propose
from tasks.validation.proposal.report import to_yaml

DIRTY = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks/dirty.py"))
DETERMINES = "tasks.validation.checks.expectations:ExpectColumnToDetermineAnother"
CONSONANTS, VOWELS = "bcdfghklmnprstvz", "aeiou"


def name(chance, syllables):
    """A name such as `Kodaru`."""
    return "".join(chance.choice(CONSONANTS) + chance.choice(VOWELS) for _ in range(syllables)).capitalize()


def visits(shops=40, rows=1000, seed=3):
    """Visits to shops in an order of chance.

    A shop has a number, a name, a town, a telephone and an owner.
    """
    chance = random.Random(seed)  # noqa: S311
    known = [
        {
            "shop": 1000 + number,
            "name": f"{name(chance, 3)} {name(chance, 4)}",
            "town": name(chance, 4),
            "phone": f"0{chance.randrange(10**8, 10**9)}",
            "owner": chance.choice(["chain", "family", "city"]),
        }
        for number in range(shops)
    ]
    return pd.DataFrame(
        [
            {
                **chance.choice(known),
                "paid": chance.choice(["cash", "card"]),
                "sum": round(chance.uniform(5, 80), 2),
            }
            for _ in range(rows)
        ]
    )


def flagged(learned, given, severities=("quarantine",)):
    """The rows of `given` that rules proposed from `learned` set aside, as the validation stage finds them."""
    found = DIRTY["flags"](propose(learned).expectations, given.reset_index(drop=True), None, severities)
    return np.flatnonzero(found.any(axis=1)).tolist()


def rules(frame, column, **options):
    """What is proposed about a column."""
    found = propose(frame, **options).expectations
    return {
        rule.type: rule for rule in found if rule.kwargs.get("column", rule.kwargs.get("column_B")) == column
    }


def known_and_new(frame, key="shop"):
    """The rows of every second key, and those of the others."""
    half = frame[key].rank(method="dense") % 2 == 0
    return frame[half].reset_index(drop=True), frame[~half].reset_index(drop=True)


def test_a_set_of_what_shops_are_called_is_not_proposed_though_all_are_in_both_halves():
    found = propose(visits())
    sets = {
        rule.kwargs["column"]
        for rule in found.expectations
        if rule.type == "expect_column_values_to_be_in_set"
    }
    assert sets == {"owner", "paid"}
    assert "a set: its 40 values name things that other columns describe, of which more will come" in {
        each.why for each in found.declined if each.about == "name"
    }


def test_rules_flag_no_good_row_of_shops_that_were_not_there_to_learn_from():
    learned, new = known_and_new(visits(80, 2000))
    assert flagged(learned, new) == []


def test_a_dependency_finds_what_is_wrong_with_shops_that_were_not_there_to_learn_from():
    learned, new = known_and_new(visits(80, 2000))
    elsewhere = new["town"][new["shop"] != new["shop"][7]].iloc[0]
    new.loc[7, "town"] = elsewhere
    assert flagged(learned, new) == [7]
    assert rules(learned, "town")[DETERMINES].kwargs.keys() == {"column_A", "column_B"}


def test_what_a_finer_key_explains_is_not_taken_for_a_dependency_of_a_coarser_one():
    # Each county has one shop but for three: that county determines town is known of three counties.
    frame = visits(30, 900)
    frame["county"] = frame["shop"].map(
        lambda shop: f"county {'abcdefghijklmnopqrstuvwxyz'[(shop - 1000) % 27 % 26]}"
    )
    determined = {
        (rule.kwargs["column_A"], rule.kwargs["column_B"])
        for rule in propose(frame).expectations
        if rule.type == DETERMINES
    }
    assert ("shop", "county") in determined or ("name", "county") in determined
    assert not any(column == "county" for column, _ in determined)


def test_that_a_coarser_key_determines_what_many_of_its_shops_agree_about_is_not_refused():
    frame = visits(120, 4000)
    frame["region"] = frame["shop"].map(lambda shop: f"region {'abcdefghijkl'[shop % 12]}")
    frame["tax"] = frame["region"].map(lambda region: f"{ord(region[-1]) % 5 + 5} %")
    refused = [each.why for each in propose(frame).declined if each.about == "region" and "tax" in each.why]
    assert not refused


def test_a_column_that_hardly_changes_is_determined_by_none():
    frame = visits()
    frame["flag"] = np.where(np.arange(len(frame)) % 50 == 0, "Y", "N")
    assert DETERMINES not in rules(frame, "flag")


def test_what_gives_the_label_away_is_a_warning_and_no_rule():
    frame = visits()
    frame["left"] = np.where(np.random.default_rng(0).random(len(frame)) < 0.3, "yes", "no")
    frame["reason"] = np.where(frame["left"] == "yes", "moved", "none given")
    found = propose(frame, label="left")
    assert not any(
        "left" in (rule.kwargs.get("column_A"), rule.kwargs.get("column_B")) for rule in found.expectations
    )
    told = "reason and the label left determine each other's value: it gives the label away; leave it out of the intake"
    assert found.warnings == (told,)
    assert f"# WARNING: {told}" in to_yaml(found).splitlines()


def typos(frame, column, share, seed=1):
    """A copy with letters of some values changed for `x`, and the rows of these."""
    chance, given = random.Random(seed), frame.copy()  # noqa: S311
    rows = sorted(chance.sample(range(len(frame)), int(share * len(frame))))
    for row in rows:
        text = given.loc[row, column]
        place = chance.randrange(1, len(text))
        given.loc[row, column] = text[:place] + "x" + text[place + 1 :]
    return given, rows


@pytest.mark.parametrize("column", ["town", "owner", "name"])
def test_dirty_rows_alone_teach_rules_that_find_their_errors_and_flag_no_good_row(column):
    given, wrong = typos(visits(), column, 0.03)
    found = flagged(given, given)
    assert set(found) <= set(wrong)
    assert len(found) >= 0.9 * len(wrong)


def test_numbers_far_from_all_others_do_not_widen_a_range():
    given = visits()
    given.loc[[5, 77, 500], "sum"] *= 1000
    assert flagged(given, given) == [5, 77, 500]


def test_skewed_numbers_are_no_errors():
    frame = visits(rows=4000)
    frame["sum"] = np.random.default_rng(4).lognormal(3, 1.2, len(frame))
    assert flagged(frame, frame) == []


def test_values_of_one_shop_alone_are_no_errors_however_rare():
    frame = visits()
    shop = frame["shop"].value_counts().index[-1]
    frame["state"] = np.where(frame["shop"] == shop, "ak", "al")
    frame["code"] = frame["state"] + "_" + frame["owner"]
    assert flagged(frame, frame) == []


def test_values_of_another_column_are_errors():
    given = visits()
    given.loc[[11, 222], ["owner", "paid"]] = given.loc[[11, 222], ["paid", "owner"]].to_numpy()
    assert flagged(given, given) == [11, 222]


def test_the_yaml_says_the_evidence_of_each_rule_and_what_is_not_proposed():
    found = propose(visits())
    text = to_yaml(found)
    assert ValidationConfig(**yaml.safe_load(text)["validation"]).expectations == found.expectations
    written = text.splitlines()
    rows = [number for number, line in enumerate(written) if line.startswith("  - type:")]
    assert all(written[number - 1].startswith("  # ") for number in rows)
    assert any(
        line.endswith("held out by rows, name: 0 flagged; of 40 values of shop at most 7.2% (95 %)")
        for line in written
    )
    assert f"# Considered and not proposed: {len(found.declined)}" in written
    assert (
        "#   town: a set: its 40 values name things that other columns describe, of which more will come"
        in written
    )


def test_what_a_value_holds_does_not_end_a_comment():
    given = pd.DataFrame({"text": ["fine"] * 300 + ["fi\nvalidation: {}"] * 2, "n": range(302)})
    found = propose(given)
    assert ValidationConfig(**yaml.safe_load(to_yaml(found))["validation"]).expectations == found.expectations


def test_a_text_for_a_missing_value_is_told_of():
    frame = visits()
    frame.loc[frame.index % 4 == 0, "owner"] = "N/A"
    assert (
        "that no value stands for a missing one: 250 rows say 'N/A'; name it as `missing` in the contract"
        in {each.why for each in propose(frame).declined if each.about == "owner"}
    )


def test_of_few_keys_rules_only_warn():
    found = [
        rule
        for rule in propose(visits(12, 600)).expectations
        if rule.kwargs.get("column") == "name" and "null" not in rule.type
    ]
    assert {rule.severity for rule in found} <= {"warn"}


def test_proposing_imports_no_expectations():
    script = (
        "import sys, pandas as pd; from tasks.validation.proposal.propose import propose; "
        "propose(pd.DataFrame({'n': range(50), 'a': ['x', 'y'] * 25})); assert 'great_expectations' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.parametrize(
    ("table", "way", "least"),
    [
        ("hospital", "by rows", 0.94),
        ("hospital", "by ProviderNumber", 0.9),
        ("hospital", "from dirty rows alone", 0.8),
    ],
)
def test_wrong_cells_of_real_data_are_found(table, way, least):
    if not (folder := DIRTY["DATA"] / "tabular" / table).exists():
        pytest.skip(f"no {folder}; set GYRE_DATA")
    found = real(table)[way]
    assert found["cells_f1"] > least
    assert found["good_rows_flagged"] <= 0.03 * found["good_rows"]


MEASURED = {}


def real(table):
    """The benchmark's figures of a table, once."""
    if table not in MEASURED:
        MEASURED[table] = DIRTY["measured"](table)
    return MEASURED[table]
