"""What a model answers, shown: rows of columns as a table, images and texts as the intake draws them."""

import numpy as np
import pandas as pd
import pytest

from configs.intake import ImageIntakeConfig, TabularIntakeConfig, TextIntakeConfig
from configs.result import ClassificationResultConfig, RegressionResultConfig
from tasks.compilation.model_card_templates import HTML, MARKDOWN
from tasks.compilation.sample_answers import Examples, answer_lines
from tasks.intake import build_intake
from tasks.result import build_result

CLASSES = build_result(ClassificationResultConfig(kind="classification", classes=("a", "b", "c")))
TABLE = build_intake(
    TabularIntakeConfig(kind="tabular", numeric=("size",), categorical=("truth",), dates=("day",))
)
FRAME = pd.DataFrame(
    {"size": np.arange(300) / 7, "truth": ["x", None, "z"] * 100, "day": ["2024-01-31"] * 300}
)
TARGETS = np.repeat([0, 1, 2], [200, 90, 10])


def examples(wrong=0):
    given = TARGETS.copy()
    given[:wrong] = 1
    answers = {"class": given, "probability": np.eye(3, dtype=np.float32)[given]}
    return Examples.of(TABLE.rows(FRAME), TARGETS, answers, TABLE, CLASSES)


def test_rows_of_columns_are_lines_of_truth_answer_and_values_of_every_class():
    lines = examples().answers
    assert len(lines) == 12
    assert {line["truth"] for line in lines} == {"a", "b", "c"}
    assert all(line["truth"] == line["answer"] for line in lines)
    assert list(lines[0]) == ["truth", "answer", "size", "day", "truth (column)"]
    assert lines[0]["day"].startswith("2024-01-31")
    assert {line["truth (column)"] for line in lines} <= {"x", "", "z"}


def test_shown_rows_are_spread_over_their_class_and_not_its_first():
    sizes = [float(line["size"]) for line in examples().answers if line["truth"] == "a"]
    assert max(sizes) - min(sizes) > 150 / 7


def test_numbers_as_answers_are_written_as_their_truths():
    amounts = build_result(RegressionResultConfig(kind="regression", label="amount"))
    truths = np.linspace(1, 2, 300)
    found = Examples.of(TABLE.rows(FRAME), truths, {"prediction": truths.astype(np.float32)}, TABLE, amounts)
    assert all(line["truth"] == line["answer"] for line in found.answers)


@pytest.mark.parametrize(
    "section", [TextIntakeConfig(kind="text"), ImageIntakeConfig(kind="image", height=2, width=2)]
)
def test_images_and_texts_are_drawn_and_no_lines(section):
    intake = build_intake(section)
    column = ["free"] * 3 if section.kind == "text" else list(np.zeros((3, 4), np.uint8))
    rows = intake.rows(pd.DataFrame({section.column: column}))
    assert answer_lines(rows, ["a"] * 3, ["b"] * 3, intake) == ()


@pytest.mark.parametrize(("template", "wrong"), [(HTML, "class=wrong"), (MARKDOWN, "| a | b |")])
def test_the_card_shows_the_lines_and_marks_wrong_ones(template, wrong):
    from jinja2 import Environment

    facts = {"project": "p", "sections": {}, "candidates": [{"graph": "fp32"}], "pictures": {"samples": "x"}}
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(template)
    shown = page.render(facts, answers=examples(wrong=200).answers)
    assert wrong in shown
    assert "follows behind" not in shown
    assert "truth (column)" in shown
    drawn = page.render(facts, answers=())
    assert wrong not in drawn
