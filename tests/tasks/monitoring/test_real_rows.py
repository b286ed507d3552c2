"""Real images and texts: what changed is noticed within 300 requests, and what did not is not."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from configs.intake import ImageIntakeConfig, TextIntakeConfig
from tests.tasks.monitoring.trained import Trained

# torch 2.13, at export: its own deprecated check.
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[4] / "shared" / "data"))
REQUESTS = 300


def images(pixels, labels):
    return pd.DataFrame({"image": list(pixels.reshape(len(pixels), -1)), "label": labels})


def shuffled(frame):
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)


def pixels_of(frame, *shape):
    return np.stack(frame["image"].to_list()).reshape(-1, *shape)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Trained on 1,000 scans, 497 held out; the other 300 are asked."""
    bunch = load_digits()
    frame = shuffled(images(np.round(bunch.images * 255 / 16).astype(np.uint8), bunch.target.astype(str)))
    section = ImageIntakeConfig(kind="image", height=8, width=8)
    return Trained(tmp_path_factory.mktemp("digits"), section, frame[:-REQUESTS], 1000, 4), frame[-REQUESTS:]


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Messages; and questions to a bank, which are none."""
    if not DATA.is_dir():
        pytest.skip(f"no data sets in {DATA}; set GYRE_DATA")
    lines = (DATA / "text" / "sms_spam.tsv").read_text(encoding="utf-8").splitlines()
    frame = shuffled(pd.DataFrame([line.split("\t", 1) for line in lines], columns=["label", "text"]))[:3000]
    others = pd.read_csv(DATA / "text" / "banking77_test.csv")["text"].sample(REQUESTS, random_state=0)
    trained = Trained(
        tmp_path_factory.mktemp("texts"), TextIntakeConfig(kind="text", length=24), frame[:-REQUESTS], 1500, 2
    )
    return trained, frame[-REQUESTS:], pd.DataFrame({"text": others.to_list()})


@pytest.mark.parametrize("project", ["digits", "texts"])
def test_300_unchanged_requests_are_no_drift(project, request):
    trained, asked, *_ = request.getfixturevalue(project)
    assert trained.drifted(asked) == set()
    low, high = trained.estimated(asked)
    assert low <= trained.reference.answers["gyre.error"].mean() <= high


def test_a_changed_scanner_is_noticed(digits):
    trained, asked = digits
    pixels = pixels_of(asked, 8, 8)
    greyer = images((0.85 * pixels + 20).astype(np.uint8), asked["label"])
    assert {"brightness", "all together"} <= trained.drifted(greyer)


def test_digits_that_are_turned_are_noticed_and_cost_is_estimated(digits):
    trained, asked = digits
    turned = images(np.rot90(pixels_of(asked, 8, 8), axes=(1, 2)), asked["label"])
    assert {"all together", "model confidence"} <= trained.drifted(turned)
    assert trained.estimated(turned)[0] > trained.reference.answers["gyre.error"].mean()


def test_other_categories_are_noticed(digits):
    trained, asked = digits
    few = asked[asked["label"].isin(["0", "1", "2", "3", "4"])]
    assert "all together" in trained.drifted(few)


def test_texts_out_of_scope_are_noticed_and_named(texts):
    trained, asked, others = texts
    assert {"all together", "punctuation"} <= trained.drifted(others)
    mixed = pd.concat([asked[: REQUESTS // 2], others[: REQUESTS // 2]])
    assert trained.drifted(mixed)


def test_other_words_in_the_same_messages_are_noticed_by_the_vocabulary(texts):
    trained, asked, _ = texts
    other = asked.assign(text=asked["text"].str.replace("[aeiou]", "j", regex=True))
    assert {"unknown words", "vowels"} <= trained.drifted(other)
