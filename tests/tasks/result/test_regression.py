"""Numbers: targets, scale, scores that a paired comparison can resample."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score

from configs.result import RegressionResultConfig
from tasks.compilation.gate import compare
from tasks.result import build_result

PLAIN = build_result(RegressionResultConfig(kind="regression", label="cnt"))
LOG = build_result(RegressionResultConfig(kind="regression", label="cnt", log=True))
TRUTH = np.array([1.0, 10, 100, 1000])


def answers(*values):
    return {"prediction": np.array(values, np.float32)}


def test_labels_are_numbers_or_their_text():
    assert PLAIN.targets(pd.Series(["1.5", "-2", 3], dtype=object)).tolist() == [1.5, -2, 3]


@pytest.mark.parametrize("label", ["many", "nan", "inf", None])
def test_a_label_that_is_no_number_is_named(label):
    with pytest.raises(
        ValueError, match=r"column .cnt. holds .*; result\.kind regression wants finite numbers"
    ):
        PLAIN.targets(pd.Series(["1", label], dtype=object))


def test_a_logarithm_wants_no_number_under_zero():
    with pytest.raises(
        ValueError, match=r"column 'cnt' holds '-1'; .* wants numbers from 0 on \(result\.log\)"
    ):
        LOG.targets(pd.Series(["1", "-1"]))


@pytest.mark.parametrize("result", [PLAIN, LOG])
def test_answers_are_in_the_unit_of_the_labels(result):
    scale = result.postprocessing()
    scale.fit(TRUTH)
    wanted = torch.from_numpy(np.log1p(TRUTH) if result is LOG else TRUTH)
    outputs = ((wanted - scale.mean) / scale.deviation).to(torch.float32)[:, None]
    assert np.allclose(scale(outputs)[0].numpy(), TRUTH, rtol=1e-5)
    assert scale.loss(outputs, torch.from_numpy(TRUTH)).max() < 1e-10


def test_a_strange_row_does_not_get_an_astronomic_answer():
    scale = LOG.postprocessing()
    scale.fit(TRUTH)
    assert 0 <= scale(torch.tensor([[-1e9]]))[0].item() < scale(torch.tensor([[1e9]]))[0].item() < 2800


def test_a_label_that_never_changes_can_be_learned():
    scale = PLAIN.postprocessing()
    scale.fit(np.full(3, 7.0))
    assert scale(torch.zeros(1, 1))[0].tolist() == [7.0]
    assert np.isfinite(PLAIN.metrics(answers(7, 7), np.full(2, 7.0))["r2"])


def test_the_mean_of_the_scores_is_r2():
    given = answers(2, 9, 120, 900)
    metrics = PLAIN.metrics(given, TRUTH)
    assert list(metrics) == ["r2", "mae", "rmse"]
    assert (
        metrics["r2"]
        == pytest.approx(PLAIN.scores(given, TRUTH).mean())
        == pytest.approx(r2_score(TRUTH, given["prediction"]))
    )
    assert metrics["mae"] == pytest.approx((1 + 1 + 20 + 100) / 4)
    assert LOG.metrics(given, TRUTH)["r2"] == pytest.approx(
        r2_score(np.log1p(TRUTH), np.log1p(given["prediction"]))
    )


def test_the_paired_bootstrap_tells_a_better_model_from_an_equal_one():
    draw = np.random.default_rng(0)
    truth = draw.normal(size=300)
    good, bad = (answers(*(truth + draw.normal(size=300) * error)) for error in (0.3, 0.6))
    better = compare(PLAIN.scores(good, truth), PLAIN.scores(bad, truth), 1)
    same = compare(PLAIN.scores(good, truth), PLAIN.scores(good, truth), 1)
    assert 0 < better.low < better.challenger_score - better.champion_score < better.high
    assert (same.low, same.high) == (0, 0)


def test_parity_is_in_standard_deviations():
    assert PLAIN.parity(answers(0, 2000), answers(0, 2001)) == pytest.approx(1e-3)


def test_answers_are_readable_and_the_picture_is_a_png():
    assert PLAIN.readable(answers(1.5, 2))["answer"].tolist() == [1.5, 2]
    for result in (PLAIN, LOG):
        assert result.picture(answers(1, 9, 120, 900), TRUTH).startswith(b"\x89PNG")
