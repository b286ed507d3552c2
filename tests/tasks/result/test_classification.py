"""Classes: targets, scores and what a person reads."""

import numpy as np
import pandas as pd
import pytest
import torch

from configs.result import ClassificationResultConfig
from tasks.result import build_result

RESULT = build_result(ClassificationResultConfig(kind="classification", classes=("cat", "dog", "7")))
ANSWERS = {
    "class": np.array([0, 1, 2]),
    "probability": np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]], np.float32),
}


def test_labels_are_compared_as_text():
    assert RESULT.targets(pd.Series(["dog", 7])).tolist() == [1, 2]


def test_a_strange_label_is_named():
    with pytest.raises(ValueError, match=r"column .label. holds .cow.; result\.classes allows cat, dog, 7"):
        RESULT.targets(pd.Series(["dog", "cow"]))


def test_the_gates_metric_is_the_mean_of_the_scores():
    targets = np.array([0, 1, 0])
    metrics = RESULT.metrics(ANSWERS, targets)
    assert next(iter(metrics)) == RESULT.metric
    assert (
        metrics["accuracy"] == pytest.approx(RESULT.scores(ANSWERS, targets).mean()) == pytest.approx(2 / 3)
    )


def test_post_processing_gives_the_named_outputs():
    answer, probability = RESULT.postprocessing()(torch.tensor([[0.0, 2.0, 1.0]]))
    assert answer.tolist() == [1]
    assert probability.sum().item() == pytest.approx(1)


def test_answers_are_readable():
    assert RESULT.readable(ANSWERS)["answer"].tolist() == ["cat", "dog", "7"]


def test_the_picture_is_a_png():
    assert RESULT.picture(ANSWERS, np.array([0, 1, 0])).startswith(b"\x89PNG")


def test_balanced_classes_count_the_same_and_a_rows_loss_is_its_own():
    module = build_result(
        ClassificationResultConfig(
            kind="classification", classes=("cat", "dog", "cow"), class_weights="balanced"
        )
    ).postprocessing()
    module.fit(np.array([0, 0, 0, 1]))
    assert module.weight.tolist() == pytest.approx([4 / 6, 2, 0])
    outputs, targets = torch.randn(6, 3), torch.tensor([0, 0, 1, 0, 1, 1])
    halves = [module.loss(outputs[part], targets[part]) for part in (slice(0, 3), slice(3, 6))]
    assert torch.allclose(module.loss(outputs, targets), torch.cat(halves))


def test_smoothed_labels_want_less_certain_answers():
    smooth = build_result(
        ClassificationResultConfig(kind="classification", classes=("cat", "dog", "cow"), label_smoothing=0.3)
    ).postprocessing()
    target, certain = torch.tensor([1]), torch.tensor([[-20.0, 20.0, -20.0]])
    # 0.3 of the truth over three classes: 0.8, 0.1, 0.1.
    fitting = torch.tensor([[0.1, 0.8, 0.1]]).log()
    assert smooth.loss(fitting, target) < smooth.loss(certain, target)
    assert RESULT.postprocessing().loss(fitting, target) > RESULT.postprocessing().loss(certain, target)


def test_without_weights_there_is_nothing_to_save():
    assert RESULT.postprocessing().state_dict() == {}


def two(probability, targets):
    found = build_result(ClassificationResultConfig(kind="classification", classes=("ham", "spam")))
    answers = {
        "class": (probability > 0.5).astype(np.int64),
        "probability": np.stack([1 - probability, probability], axis=1),
    }
    return found.metrics(answers, targets)


def test_the_rarer_of_two_classes_has_figures_of_its_own():
    targets = np.array([0] * 90 + [1] * 10)
    blind = two(np.full(100, 0.1), targets)
    assert (blind["accuracy"], blind["balanced_accuracy"], blind["f1"], blind["roc_auc"]) == (
        0.9,
        0.5,
        0.0,
        0.5,
    )
    assert two(targets * 0.8 + 0.1, targets)["average_precision"] == 1.0


def test_confidence_that_is_right_as_often_as_it_says_is_calibrated():
    draw = np.random.default_rng(0)
    probability = draw.random(20_000)
    targets = (draw.random(20_000) < probability).astype(np.int64)
    assert two(probability, targets)["calibration_error"] < 0.02
    assert two((probability > 0.5) * 0.98 + 0.01, targets)["calibration_error"] > 0.2


SOFT = ClassificationResultConfig(
    kind="classification", classes=("cat", "dog"), soft_label="sure", class_weights="balanced"
)


def test_probabilities_are_learned_and_a_row_without_them_is_sure_of_its_label():
    frame = pd.DataFrame({"label": ["cat", "dog", "dog"], "sure": [[0.75, 0.25], None, [0.0, 1.0]]})
    learned = build_result(SOFT).learned(frame)
    assert learned.tolist() == [[0.75, 0.25], [0.0, 1.0], [0.0, 1.0]]
    module = build_result(SOFT).postprocessing()
    module.fit(build_result(SOFT).targets(frame["label"]))
    outputs = torch.randn(3, 2)
    losses = module.loss(outputs, torch.from_numpy(learned))
    # A row weighs what its classes weigh, 1.5 and 0.75, in proportion.
    logs = outputs.log_softmax(1)
    assert losses[0].item() == pytest.approx(
        -(0.75 * logs[0, 0] + 0.25 * logs[0, 1]).item() * (0.75 * 1.5 + 0.25 * 0.75), abs=1e-5
    )
    assert losses[1:].tolist() == pytest.approx(module.loss(outputs, torch.tensor([0, 1, 1]))[1:].tolist())


@pytest.mark.parametrize("wrong", [[0.5, 0.4], [1.5, -0.5], [1.0], [np.nan, 1.0]])
def test_what_is_no_distribution_is_named(wrong):
    with pytest.raises(
        ValueError, match=r"column 'sure' holds \[.*\]; want 2 probabilities, one a class, whose sum is 1"
    ):
        build_result(SOFT).learned(pd.DataFrame({"label": ["cat"], "sure": [wrong]}))
