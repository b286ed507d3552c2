"""Labels: the consensus is better than a vote, and planted errors are found."""

import numpy as np
import pandas as pd
import pytest

from configs.intake import TabularIntakeConfig, TextIntakeConfig
from configs.load import load
from configs.result import ClassificationResultConfig, RegressionResultConfig
from infra.files import digest, whole_folder
from tasks.ingestion.readers.digits import images
from tasks.intake import build_intake
from tasks.labeling.consensus import answers_of, beliefs, consensus, majority
from tasks.labeling.label_errors import suspects
from tasks.labeling.quality_control import label
from tasks.records import ValidationReport
from tasks.result import build_result
from tasks.rows.parts import read, read_file, record_of, sample, write
from tasks.rows.raw import rows_from

DIGITS = load("digits")
INTAKE, RESULT = build_intake(DIGITS.intake), build_result(DIGITS.result)


@pytest.fixture
def rows():
    pixels, labels, ids = images(0, 400)
    return INTAKE.frame(rows_from(INTAKE.inputs, {"image": pixels})).assign(
        id=ids, label=labels, origin="source"
    )


def labelled(frame, section, folder, result=RESULT):
    with whole_folder(folder / "in") as partial:
        write([frame], partial)
    stored = {"uri": str(folder / "in"), "digest": digest(folder / "in")}
    facts = {
        "rows": len(frame),
        "quarantined": 0,
        "quarantine": None,
        "rules": (),
        "failures": (),
        "report": "",
    }
    return label(ValidationReport(**stored, **facts), section, INTAKE, result, folder / "out")


def test_dawid_skene_beats_the_majority_where_one_annotator_is_better():
    draw = np.random.default_rng(0)
    truth = pd.Series(draw.integers(0, 4, 600), index=[f"t{n}" for n in range(600)])
    columns = {
        name: np.where(draw.random(600) < wrong, draw.integers(0, 4, 600), truth)
        for name, wrong in [("a", 0.05), ("b", 0.6), ("c", 0.6)]
    }
    answers = answers_of(pd.DataFrame({"id": truth.index, **columns}), ("a", "b", "c"))
    expected = truth.astype(str)
    right = [
        (found.reindex(expected.index) == expected).mean()
        for found in (consensus(beliefs(answers)), majority(answers))
    ]
    assert right[0] > right[1] + 0.05


def test_planted_label_errors_are_among_the_suspects(rows, tmp_path):
    wrong = rows.index[::20]
    planted = rows.assign(
        label=rows["label"].mask(
            rows.index.isin(wrong), rows["label"].map(lambda text: str((int(text) + 1) % 10))
        )
    )
    found = labelled(planted, DIGITS.labeling.model_copy(update={"annotators": ()}), tmp_path)
    suspects = read_file(found.suspects)
    assert len(set(suspects["id"]) & set(rows["id"][wrong])) >= 0.8 * len(wrong)


def test_a_rows_late_truth_stays_and_a_row_without_answers_is_left_out(rows, tmp_path):
    frame = rows.assign(annotator_1=rows["label"], annotator_2=rows["label"], annotator_3=None)
    frame.loc[0, ["annotator_1", "annotator_2"]] = None
    frame.loc[1, ["annotator_1", "annotator_2", "label", "origin"]] = [None, None, "3", "feedback"]
    found = labelled(frame, DIGITS.labeling, tmp_path)
    kept = read(found).set_index("id")["label"]
    assert found.rows == 399
    assert frame["id"][0] not in kept.index
    assert kept[frame["id"][1]] == "3"


def test_how_sure_the_consensus_is_can_be_learned_too(rows, tmp_path):
    other = rows["label"].mask(rows.index < 40, rows["label"].map(lambda text: str((int(text) + 1) % 10)))
    frame = rows.assign(annotator_1=rows["label"], annotator_2=other, annotator_3=None)
    frame.loc[0, ["annotator_1", "annotator_2", "label", "origin"]] = [None, None, "3", "feedback"]
    result = build_result(DIGITS.result.model_copy(update={"soft_label": "sure"}))
    kept = read(labelled(frame, DIGITS.labeling, tmp_path, result)).set_index("id")
    soft = result.learned(kept.reset_index())
    assert (soft.argmax(axis=1) == result.targets(kept["label"])).all()
    assert (soft[1:40].max(axis=1) < 0.999).all() and (soft[40:].max(axis=1) > 0.999).all()
    assert kept["sure"][frame["id"][0]] is None
    assert soft[0].argmax() == 3


def test_annotators_who_disagree_stop_the_run(rows, tmp_path):
    draw = np.random.default_rng(0)
    noise = {f"annotator_{n}": draw.integers(0, 10, len(rows)).astype(str) for n in (1, 2, 3)}
    found = labelled(
        rows.assign(**noise), DIGITS.labeling.model_copy(update={"min_agreement": 0.95}), tmp_path
    )
    assert "min_agreement is 95.0%" in found.failures[0]


def test_a_missing_annotator_is_named(rows):
    with pytest.raises(ValueError, match="no column 'annotator_9'; they have"):
        answers_of(rows, ("annotator_9",))


def test_the_same_rows_give_the_same_labels(rows, tmp_path):
    frame = rows.assign(
        annotator_1=rows["label"], annotator_2=rows["label"].shift(1).fillna("0"), annotator_3=rows["label"]
    )
    section = DIGITS.labeling.model_copy(update={"min_agreement": 0.1})
    assert labelled(frame, section, tmp_path / "a").digest == labelled(frame, section, tmp_path / "b").digest


def test_parts_whose_labels_are_given_keep_their_bytes(rows, tmp_path):
    found = labelled(rows, DIGITS.labeling.model_copy(update={"annotators": ()}), tmp_path)
    assert found.digest == digest(tmp_path / "in")


def test_suspects_are_looked_for_in_an_even_sample(rows, tmp_path):
    labelled(rows, DIGITS.labeling.model_copy(update={"annotators": ()}), tmp_path)
    drawn = sample(record_of(tmp_path / "in"), 100)
    places = rows.index[rows["id"].isin(drawn["id"])]
    assert (len(drawn), drawn["id"].to_list()) == (100, rows["id"][places].to_list())
    assert max(places[0], len(rows) - 1 - places[-1], *np.diff(places)) < len(rows) / 10


@pytest.mark.parametrize(
    "intake", [TextIntakeConfig(kind="text"), TabularIntakeConfig(kind="tabular", categorical=("text",))]
)
def test_planted_errors_are_found_among_texts_and_categories(intake, tmp_path):
    draw = np.random.default_rng(0)
    labels = draw.choice(["ham", "spam"], 300)
    words = {"ham": "see you later", "spam": "win a prize"}
    frame = pd.DataFrame(
        {
            "id": [str(number) for number in range(300)],
            "text": [words[label] for label in labels],
            "label": labels,
        }
    )
    wrong = frame.index[::30]
    frame.loc[wrong, "label"] = frame["label"].map({"ham": "spam", "spam": "ham"})[wrong]
    built = (
        build_intake(intake),
        build_result(ClassificationResultConfig(kind="classification", classes=("ham", "spam"))),
    )
    assert set(suspects(frame, *built, 10)["id"]) == set(frame["id"][wrong])


def test_numbers_have_no_suspects():
    frame = pd.DataFrame({"id": ["a", "b"], "size": [1, 2], "price": ["1", "2.5"]})
    built = (
        build_intake(TabularIntakeConfig(kind="tabular", numeric=("size",))),
        build_result(RegressionResultConfig(kind="regression", label="price")),
    )
    assert suspects(frame, *built, 10).empty
