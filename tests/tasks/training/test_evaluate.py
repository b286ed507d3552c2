"""What a trained checkpoint is worth."""

import pytest

from infra.files import DigestError
from tasks.rows.parts import record_of
from tasks.training.evaluate import evaluate
from tasks.training.loop import fit
from tasks.training.messages import EpochEnded
from tasks.training.report import curves
from tasks.training.strategy import Single

PNG = b"\x89PNG\r\n"


@pytest.fixture
def trained(plan):
    """Trains a plan on this process."""

    def train(**arguments):
        made, history = plan("trained", **arguments), []
        fit(made, Single(), history.append)
        return made, [message for message in history if isinstance(message, EpochEnded)]

    return train


def test_digits_are_told_apart_on_rows_that_training_never_saw(trained, digits):
    made, _ = trained(rows=digits(700, 100, 200), epochs=25, learning_rate=0.004)
    metrics, picture = evaluate(made, record_of(made.checkpoint))
    assert next(iter(metrics)) == "accuracy"
    assert metrics["accuracy"] >= 0.95
    assert 0.9 < metrics["accuracy_low"] < metrics["accuracy"] < metrics["accuracy_high"] <= 1
    assert picture.startswith(PNG)


def test_a_changed_checkpoint_is_refused(trained):
    made, _ = trained(epochs=1)
    checkpoint = record_of(made.checkpoint)
    with (made.checkpoint / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\xff")
    with pytest.raises(DigestError):
        evaluate(made, checkpoint)


def test_an_empty_test_split_is_an_error_that_says_what_to_change(trained, digits):
    made, _ = trained(rows=digits(64, 10, 0), epochs=1)
    with pytest.raises(
        ValueError, match=r"digits/v1: no rows in the test split; leave more rows to it in versioning\.split"
    ):
        evaluate(made, record_of(made.checkpoint))


@pytest.mark.parametrize("validation", [0, 10])
def test_curves_are_a_picture_with_and_without_a_validation_split(trained, digits, validation):
    _, history = trained(rows=digits(64, validation))
    assert curves(history).startswith(PNG)
