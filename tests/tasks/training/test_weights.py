"""How much a row counts in the loss, and how sure its label is."""

import numpy as np
import pytest
from safetensors.torch import load_file

from tasks.records import DatasetVersion
from tasks.rows import parts as rows_of
from tasks.rows.parts import record_of, write
from tasks.training.distributed import train_on_ranks
from tasks.training.loop import fit
from tasks.training.messages import EpochEnded
from tasks.training.strategy import Single


@pytest.fixture
def weighed(plan, digits, tmp_path):
    """Makes a plan on 299 digits whose column `weight` is what `weigh` gives for their labels."""

    def make(name, weigh, **training):
        rows = digits(299)
        frame = rows_of.read(rows)
        folder = tmp_path / f"{name}-rows"
        folder.mkdir()
        write([frame.assign(weight=weigh(frame["label"].astype(int).to_numpy()))], folder)
        dataset = DatasetVersion(
            **record_of(folder).model_dump(), **rows.model_dump(exclude={"uri", "digest"})
        )
        return plan(name, dataset, **{"sample_weight": "weight", **training})

    return make


def trained(plan):
    told = []
    fit(plan, Single(), told.append)
    return load_file(plan.checkpoint / "model.safetensors"), told


def difference(one, other):
    return max(float((tensor - other[name]).abs().max()) for name, tensor in one.items())


def test_equal_weights_change_nothing(weighed):
    weights, _ = trained(weighed("three", lambda label: np.full(len(label), 3.0)))
    plain, _ = trained(weighed("plain", np.ones_like, sample_weight=None))
    assert difference(weights, plain) < 1e-6


def test_rows_that_count_nothing_are_not_learned(weighed):
    plan = weighed("low", lambda label: (label < 5).astype(float), epochs=8, learning_rate=0.005)
    trained(plan)
    from tasks.training.evaluate import evaluate

    # All ten digits are asked for, and five were learned.
    assert 0.3 < evaluate(plan, record_of(plan.checkpoint))[0]["accuracy"] < 0.55


def test_two_ranks_weigh_as_one_process(client, weighed):
    one, two = (weighed(name, lambda label: 0.5 + label) for name in ("one", "two"))
    weights, _ = trained(one)
    train_on_ranks(client, two, lambda _: None)
    assert difference(weights, load_file(two.checkpoint / "model.safetensors")) < 1e-5


def test_what_is_no_weight_is_named(weighed):
    with pytest.raises(
        ValueError, match=r"training.sample_weight: column 'weight' holds -1.0; want finite numbers from 0 on"
    ):
        trained(weighed("negative", lambda label: np.where(label == 3, -1.0, 1.0)))
    with pytest.raises(ValueError, match=r"digits/v1 has no column 'importance'; it has .*weight"):
        trained(weighed("missing", np.ones_like, sample_weight="importance"))


def test_soft_labels_are_learned_and_labels_are_asked(plan, digits, tmp_path):
    rows = digits(299)
    frame = rows_of.read(rows)
    following = np.eye(10, dtype=np.float32)[(frame["label"].astype(int) + 1) % 10]
    write([frame.assign(sure=list(following))], tmp_path)
    dataset = DatasetVersion(**record_of(tmp_path).model_dump(), **rows.model_dump(exclude={"uri", "digest"}))
    made = plan("soft", dataset, epochs=8, learning_rate=0.005)
    _, told = trained(
        made.model_copy(update={"result": made.result.model_copy(update={"soft_label": "sure"})})
    )
    epochs = [message for message in told if isinstance(message, EpochEnded)]
    assert epochs[-1].loss < epochs[0].loss / 2
    assert epochs[-1].metrics["accuracy"] < 0.1
