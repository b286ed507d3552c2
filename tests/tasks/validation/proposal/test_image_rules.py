"""Rules about how images look.

What is blank, far too dark or blurred breaks them, good pictures of other kinds do not.
"""

import os
import runpy
import tarfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter

from configs.intake import ImageIntakeConfig
from tasks.intake import build_intake
from tasks.rows.images import image_row
from tasks.validation.proposal.image_rules import image_rules
from tasks.validation.proposal.report import to_yaml

DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[5] / "shared" / "data"))
FLAGS = runpy.run_path(str(Path(__file__).parents[3] / "benchmarks/dirty.py"))["flags"]
SIZE = 32


def photo(draw, kind, brightness=None):
    """A made-up picture: fields of several scales, of which each kind has its own share."""
    pixels = np.zeros((SIZE, SIZE))
    for scale in (1, 2, 4, 8):
        coarse = draw.normal(size=(-(-SIZE // scale), -(-SIZE // scale)))
        share = np.exp(-abs(np.log2(scale) - kind % 4) / 2)
        pixels += share * np.kron(coarse, np.ones((scale, scale)))[:SIZE, :SIZE]
    level = draw.uniform(60, 190) if brightness is None else brightness
    contrast = draw.uniform(20, 60)
    pixels = level + contrast * (pixels - pixels.mean()) / pixels.std()
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def described(images, labels, size=SIZE):
    """A line an image, as a run describes it."""
    section = ImageIntakeConfig(kind="image", height=size, width=size)
    rows = []
    for image in images:
        stream = BytesIO()
        image.save(stream, "PNG")
        rows.append(image_row(BytesIO(stream.getvalue()), section)[0])
    names = [f"{number}.png" for number in range(len(images))]
    looks = build_intake(section).describe(np.concatenate(rows))
    return looks.assign(file=names, label=labels)


def broken(found, frame, severities=("quarantine", "warn")):
    """Which images break a rule, as the validation stage finds them."""
    return FLAGS(found.expectations, frame.reset_index(drop=True), None, severities).any(axis=1)


@pytest.fixture
def draw():
    return np.random.default_rng(5)


def test_blank_and_blurred_images_break_rules_that_pictures_of_unseen_kinds_keep(draw):
    known = [photo(draw, kind) for kind in (0, 1, 2, 3) for _ in range(60)]
    found = image_rules(described(known, [number // 60 for number in range(240)]))
    other = [photo(draw, kind + 0.5) for kind in (0, 1, 2) for _ in range(100)]
    assert not broken(found, described(other, "other")).any()
    blank = [Image.new("L", (SIZE, SIZE), level) for level in (0, 90, 255)]
    assert broken(found, described(blank, "blank"), ("quarantine",)).all()
    blurred = [photo(draw, kind).filter(ImageFilter.GaussianBlur(6)) for kind in range(4)]
    assert broken(found, described(blurred, "blurred")).all()


def test_an_image_that_looks_blurred_is_warned_of_and_not_set_aside(draw):
    found = image_rules(described([photo(draw, number) for number in range(240)], "one"))
    severities = {rule.kwargs["column"]: rule.severity for rule in found.expectations}
    assert (severities["contrast"], severities["sharpness"]) == ("quarantine", "warn")


def test_what_is_wrong_with_the_images_themselves_is_not_learned_and_is_named(draw):
    images = [photo(draw, number) for number in range(200)]
    images[7] = images[130] = Image.new("L", (SIZE, SIZE), 0)
    frame = described(images, [number % 4 for number in range(200)])
    found = image_rules(frame)
    assert np.flatnonzero(broken(found, frame, ("quarantine",))).tolist() == [7, 130]
    assert "2 of these break it, such as 7.png (0), 130.png (0)" in to_yaml(found)


def test_a_scanner_that_turns_dark_breaks_the_rule_about_brightness(draw):
    pages = [photo(draw, number, brightness=draw.uniform(200, 210)) for number in range(120)]
    found = image_rules(described(pages, [number % 3 for number in range(120)]))
    dark = [photo(draw, number, brightness=40) for number in range(20)]
    assert broken(found, described(dark, "dark"), ("quarantine",)).all()


def test_where_many_images_are_blank_they_are_no_errors_and_no_rule_is_made_of_them(draw):
    images = [photo(draw, number) if number % 5 else Image.new("L", (SIZE, SIZE), 0) for number in range(100)]
    found = image_rules(described(images, "any"))
    assert "contrast" not in {rule.kwargs["column"] for rule in found.expectations}
    assert "#   contrast: a bound: " in to_yaml(found)
    same = [Image.new("L", (SIZE, SIZE), 30)] * 40
    assert not broken(image_rules(described(same, "same")), described(same, "same")).any()


def test_too_few_images_are_said_to_be_too_few(draw):
    with pytest.raises(ValueError, match="7 images: too few to propose rules from; give at least 20"):
        image_rules(described([photo(draw, 0)] * 7, "one"))
    with pytest.raises(ValueError, match="0 images: too few"):
        image_rules(pd.DataFrame({"file": []}))


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no data sets in {DATA}; set GYRE_DATA")
def test_real_photographs_of_classes_that_nobody_learned_from_break_nothing():
    labels = pd.read_csv(DATA / "cifar10" / "labels.csv").set_index("file")["clean_label"].to_dict()
    images, known = [], []
    with tarfile.open(DATA / "cifar10" / "train.tar.gz") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".jpg") and len(images) < 1500:
                image = Image.open(BytesIO(archive.extractfile(member).read()))
                images.append(image.convert("L"))
                known.append(labels.get(member.name, labels.get(member.name.rpartition("/")[2])))
    frame = described(images, known)
    seen = frame["label"].astype(int) < 5
    found = image_rules(frame[seen].head(400))
    assert {rule.kwargs["column"] for rule in found.expectations} >= {"contrast", "sharpness"}
    assert broken(found, frame[~seen]).mean() < 0.005
