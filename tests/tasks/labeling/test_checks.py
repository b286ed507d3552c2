"""What is odd about labelled rows is found before anything learns from them."""

import numpy as np
import pandas as pd
import pytest

from configs.intake import TabularIntakeConfig
from configs.labeling import LabelingConfig
from configs.result import ClassificationResultConfig, RegressionResultConfig
from infra.files import digest, whole_folder
from tasks.intake import build_intake
from tasks.labeling.quality_control import label
from tasks.records import ValidationReport
from tasks.result import build_result
from tasks.rows.parts import write

ROWS = 400
YES_NO = ClassificationResultConfig(kind="classification", classes=("yes", "no"))


@pytest.fixture
def found(tmp_path):
    """The findings about a frame's labels and inputs, by check."""

    def labelled(frame, result=YES_NO, **intake):
        frame = frame.assign(id=[f"r{number}" for number in range(len(frame))], origin="source")
        with whole_folder(tmp_path / "in") as partial:
            write([frame], partial)
        stored = {"uri": str(tmp_path / "in"), "digest": digest(tmp_path / "in")}
        facts = {
            "rows": len(frame),
            "quarantined": 0,
            "quarantine": None,
            "rules": (),
            "failures": (),
            "report": "",
        }
        taken = build_intake(TabularIntakeConfig(kind="tabular", **intake))
        report = label(
            ValidationReport(**stored, **facts),
            LabelingConfig(suspects=0),
            taken,
            build_result(result),
            tmp_path / "out",
        )
        assert report.failures == ()
        return {(each.check, each.about): each for each in report.findings}

    return labelled


@pytest.fixture
def draw():
    return np.random.default_rng(5)


def test_classes_that_are_written_in_several_ways_are_named(found, draw):
    result = ClassificationResultConfig(kind="classification", classes=("yes", "Yes", "no", "C", "C++"))
    labels = draw.choice(["yes", "yes", "Yes", "no", "C", "C++"], ROWS)
    alike = found(pd.DataFrame({"a": draw.normal(size=ROWS), "label": labels}), result, numeric=("a",))
    finding = alike.pop(("alike_classes", "label"))
    assert finding.count == (labels == "Yes").sum()
    assert finding.advice.endswith("set source.columns.label.replace to {'Yes': 'yes'}")


def classes(draw):
    return pd.Series(draw.choice(["yes", "no"], ROWS))


def test_rows_without_a_label_are_counted(found, draw):
    labels = classes(draw).where(np.arange(ROWS) % 4 != 0, None)
    missing = found(pd.DataFrame({"size": draw.normal(size=ROWS), "label": labels}), numeric=("size",))
    assert missing[("missing_labels", "label")].count == ROWS // 4


def test_a_number_that_is_not_a_number_is_a_missing_label(found, draw):
    labels = np.where(np.arange(ROWS) < 90, np.nan, draw.normal(size=ROWS))
    result = RegressionResultConfig(kind="regression")
    missing = found(
        pd.DataFrame({"size": draw.normal(size=ROWS), "label": labels}), result, numeric=("size",)
    )
    assert missing[("missing_labels", "label")].count == 90


def test_one_label_for_all_rows_is_found(found, draw):
    alike = found(pd.DataFrame({"size": draw.normal(size=ROWS), "label": "yes"}), numeric=("size",))
    assert (
        alike[("constant_label", "label")].told
        == "rows have the same label, 'yes': there is nothing to learn"
    )


def test_a_class_without_rows_is_named(found, draw):
    result = ClassificationResultConfig(kind="classification", classes=("yes", "no", "maybe"))
    absent = found(
        pd.DataFrame({"size": draw.normal(size=ROWS), "label": classes(draw)}), result, numeric=("size",)
    )
    assert absent[("absent_classes", "label")].examples == ("maybe",)


def test_columns_of_one_value_or_none_are_named(found, draw):
    frame = pd.DataFrame({"size": draw.normal(size=ROWS), "unit": "cm", "note": None, "label": classes(draw)})
    constant = found(frame.astype({"note": "str"}), numeric=("size",), categorical=("unit", "note"))
    assert {about for check, about in constant if check == "constant_inputs"} == {"unit", "note"}


def test_an_input_that_gives_the_class_away_is_named_and_a_good_one_is_not(found, draw):
    labels = classes(draw)
    amount = np.where(labels == "yes", 1.0, 0.0) + draw.normal(0, 0.05, ROWS)
    good = np.where(draw.random(ROWS) < 0.9, np.where(labels == "yes", "a", "b"), "c")
    frame = pd.DataFrame(
        {"paid": amount, "code": labels.map({"yes": "Y7", "no": "N2"}), "good": good, "label": labels}
    )
    leaking = found(frame, numeric=("paid",), categorical=("code", "good"))
    assert {about for check, about in leaking if check == "leaking_inputs"} == {"paid", "code"}


def test_an_identifier_is_no_leak(found, draw):
    frame = pd.DataFrame({"name": [f"n{number}" for number in range(ROWS)], "label": classes(draw)})
    assert found(frame, categorical=("name",)) == {}


def test_a_rare_class_is_only_given_away_by_what_finds_it(found, draw):
    rare = np.arange(ROWS) % 20 == 0
    labels = np.where(rare, "yes", "no")
    frame = pd.DataFrame({"noise": draw.normal(size=ROWS), "flag": np.where(rare, "1", "0"), "label": labels})
    leaking = found(frame, numeric=("noise",), categorical=("flag",))
    assert [about for _, about in leaking] == ["flag"]


def test_parts_that_add_up_to_the_number_are_named(found, draw):
    parts = draw.integers(0, 500, (ROWS, 2)).astype(float)
    frame = pd.DataFrame({"casual": parts[:, 0], "registered": parts[:, 1], "label": parts.sum(axis=1)})
    leaking = found(frame, RegressionResultConfig(kind="regression"), numeric=("casual", "registered"))
    assert [about for _, about in leaking] == ["casual and registered"]


def test_a_number_that_is_the_label_in_another_unit_is_named(found, draw):
    celsius = draw.normal(15, 8, ROWS)
    frame = pd.DataFrame(
        {"fahrenheit": celsius * 1.8 + 32, "noise": draw.normal(size=ROWS), "label": celsius}
    )
    leaking = found(frame, RegressionResultConfig(kind="regression"), numeric=("fahrenheit", "noise"))
    assert ("leaking_inputs", "fahrenheit") in leaking
