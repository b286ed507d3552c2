"""How long a training takes is estimated from rows, epochs and timed steps, as a range, and said to be an estimate."""

import math
import re
import tarfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from configs.load import load
from tasks.ingestion.row_count import estimate_rows
from tasks.onboarding.duration import START_S, told_range
from tasks.onboarding.preflight import estimate_run, told_ahead

ROWS = 4000


@pytest.fixture
def project(tmp_path):
    """A project of one file of ROWS rows; keyword arguments are sections of its YAML."""

    def write(reader="csv", rows=ROWS, **sections):
        frame = pd.DataFrame({"id": range(rows), "size": np.linspace(0, 9, rows).round(3)})
        frame["label"] = np.where(frame["size"] % 2 < 1, "a", "b")
        file = tmp_path / f"rows.{reader}"
        match reader:
            case "parquet":
                frame.to_parquet(file)
            case "jsonl":
                frame.to_json(file, orient="records", lines=True)
            case _:
                frame.to_csv(file, index=False)
        sections = {
            "source": f"{{reader: {reader}, path: {file.name}}}",
            "intake": "{kind: tabular, numeric: [size]}",
            "result": "{kind: classification, classes: [a, b]}",
        } | sections
        lines = ["name: boxes", *(f"{name}: {text}" for name, text in sections.items())]
        (tmp_path / "boxes.yaml").write_text("\n".join(lines))
        return load(tmp_path / "boxes.yaml")

    return write


@pytest.mark.parametrize("reader", ["csv", "jsonl", "parquet"])
def test_rows_are_estimated_without_reading_them(project, reader):
    assert estimate_rows(project(reader).source) == pytest.approx(ROWS, rel=0.01)


@pytest.mark.parametrize("pack", [False, True])
def test_images_are_counted_in_a_folder_and_estimated_in_an_archive(tmp_path, pack):
    folder, place = tmp_path / "photos", "photos"
    folder.mkdir()
    for number in range(200):
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (16, 16), np.uint8)).save(
            folder / f"{number}.png"
        )
    if pack:
        place = "photos.tar.gz"
        with tarfile.open(tmp_path / place, "w:gz") as archive:
            archive.add(folder, ".")
    text = f"name: pets\nsource: {{reader: images, path: {place}}}\nintake: {{kind: image, height: 8, width: 8}}\n"
    (tmp_path / "pets.yaml").write_text(text + "result: {kind: classification, classes: [a, b]}\n")
    assert estimate_rows(load(tmp_path / "pets.yaml").source) == pytest.approx(200, rel=0.3 if pack else 0)


def test_the_steps_are_those_that_the_training_plans(project, settings):
    ahead = estimate_run(project(training="{batch_size: 100, ranks: 1}"), settings)
    duration = ahead.training
    assert ahead.findings == ()
    # 70 % of the rows train, so 400,000 rows seen would be more than the 60 epochs that are the most.
    assert duration.rows == pytest.approx(0.7 * ROWS, rel=0.01)
    assert (duration.epochs, duration.steps) == (60, math.ceil(duration.rows / 100))
    whole = duration.epochs * duration.steps * duration.step_s
    assert START_S[0] < duration.low_s < whole + START_S[0]
    assert duration.high_s > whole + START_S[1]


def test_a_budget_of_minutes_bounds_the_estimate(project, settings):
    duration = estimate_run(project(training="{epochs: 100000, minutes: 1}"), settings).training
    assert duration.high_s < 90
    assert "training.minutes ends it after 1 minutes" in duration.told


def test_the_range_its_basis_and_that_it_is_an_estimate_are_said(project, settings):
    told = told_ahead(project(), settings)
    number = r"[\d.,]+"
    assert re.fullmatch(
        rf"A training takes (up to )?{number}( to {number})? (seconds|minutes|hours) \(about {number} training rows, 60 epochs of "
        rf"{number} steps, {number} ms a step as timed here; it ends sooner where validation stops improving\). That is an "
        r"estimate; the other stages come on top.",
        told,
    )


def test_rows_that_nobody_can_count_are_said_to_be_unknown(project, settings, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import pandas as pd\n\ndef rows():\n"
        "    return [pd.DataFrame({'id': range(90), 'size': range(90), 'label': ['a', 'b'] * 45})]\n"
    )
    told = told_ahead(project(source="{reader: 'mine:rows'}"), settings)
    assert (
        told == "How long a training takes is known once the rows are read: nothing tells how many there are."
    )


def test_a_draft_whose_run_would_stop_says_why(project, settings):
    told = told_ahead(project(intake="{kind: tabular, numeric: [weight]}"), settings)
    assert told.startswith("Its run would stop, so mend this first: ")
    assert "no column 'weight' (intake)" in told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ((0.2, 20), "up to 20 seconds"),
        ((31, 58), "30 to 60 seconds"),
        ((61, 290), "1 to 5 minutes"),
        ((4000, 9000), "1 to 2.5 hours"),
        ((80_000, 200_000), "20 to 60 hours"),
    ],
)
def test_a_range_has_no_more_digits_than_an_estimate_knows(seconds, told):
    assert told_range(*seconds) == told
