"""Image rows: what goes in comes out, and the same draws change a picture the same way anywhere."""

import numpy as np
import pytest
import torch
from PIL import Image

from configs.intake import ImageIntakeConfig
from tasks.intake import build_intake
from tasks.rows.raw import rows_from

INTAKE = build_intake(ImageIntakeConfig(kind="image", height=8, width=6, channels=1, shift=1))
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 1), dtype=np.uint8)


def rows_of(pixels):
    return rows_from(INTAKE.inputs, {"image": pixels})


ROWS = rows_of(PIXELS)


def test_rows_survive_the_way_through_a_frame():
    assert np.array_equal(INTAKE.rows(INTAKE.frame(ROWS)), ROWS)


def test_preprocessing_learns_zero_mean_and_unit_deviation():
    preprocessing = INTAKE.preprocessing(INTAKE.encoder())
    preprocessing.fit(PIXELS)
    ready = preprocessing(torch.from_numpy(PIXELS))
    assert ready.shape == (5, *preprocessing.shape)
    assert ready.mean().abs() < 1e-5
    assert (ready.std(unbiased=False) - 1).abs() < 1e-5


def test_augmentation_depends_on_a_rows_own_draws_alone():
    rows, draws = torch.from_numpy(PIXELS), torch.rand(5, INTAKE.draws)
    together = INTAKE.augment(rows, draws)
    apart = torch.cat([INTAKE.augment(rows[[i]], draws[[i]]) for i in range(5)])
    assert torch.equal(together, apart)
    assert not torch.equal(together, rows)


def test_a_centred_draw_moves_nothing():
    rows = torch.from_numpy(PIXELS)
    assert torch.equal(INTAKE.augment(rows, torch.full((5, INTAKE.draws), 0.5)), rows)


def test_an_image_file_is_scaled_and_turned_grey(tmp_path):
    Image.new("RGB", (60, 80), (200, 200, 200)).save(tmp_path / "scan.png")
    assert np.array_equal(INTAKE.decode(tmp_path / "scan.png")["image"][0], np.full((8, 6, 1), 200, np.uint8))


@pytest.mark.parametrize("value", [[1] * 47, [300] * 48, [0.5] * 48, [-1] * 48])
def test_pixels_that_are_not_an_image_are_refused_with_what_is_wanted(value):
    with pytest.raises(ValueError, match=r"want \(8, 6, 1\) whole numbers from 0 to 255, got shape"):
        INTAKE.decode(value)


def test_descriptors_tell_a_faint_scan_from_a_strong_one():
    strong, faint = INTAKE.describe(ROWS), INTAKE.describe(rows_of((PIXELS * 0.3 + 120).astype(np.uint8)))
    assert (faint["contrast"] < strong["contrast"]).all()
    assert list(strong.columns) == [
        "brightness",
        "contrast",
        "ink",
        "sharpness",
        "grain",
        "centre_x",
        "centre_y",
    ]
