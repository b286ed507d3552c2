"""Training that starts from a model: what is kept, what is new, and what does not fit."""

import pandas as pd
import pytest
from safetensors.torch import load_file

from configs.intake import ImageIntakeConfig
from configs.result import ClassificationResultConfig
from infra.ranks.messages import Committed
from tasks.records import DatasetVersion
from tasks.rows import parts as rows_of
from tasks.rows.parts import record_of, write
from tasks.training.distributed import train_on_ranks
from tasks.training.loop import fit
from tasks.training.messages import EpochEnded
from tasks.training.strategy import Single

PARITY = ClassificationResultConfig(kind="classification", classes=("even", "odd"))


@pytest.fixture(scope="module")
def base(digits, tmp_path_factory):
    """A network that knows digits, as a plan and a checkpoint."""
    from configs.training import TrainingConfig
    from tasks.training.plan import Plan

    result = ClassificationResultConfig(kind="classification", classes=tuple("0123456789"))
    intake, section = (
        ImageIntakeConfig(kind="image", height=8, width=8),
        TrainingConfig(epochs=8, learning_rate=0.004),
    )
    plan = Plan(
        dataset=digits(900),
        intake=intake,
        result=result,
        training=section,
        folder=tmp_path_factory.mktemp("base"),
    )
    fit(plan, Single(), lambda _: None)
    return plan, record_of(plan.checkpoint)


@pytest.fixture
def fine(base, plan, digits, tmp_path):
    """Makes a plan for even and odd digits of 100 rows that starts from the base."""

    def make(name, start=True, **training):
        rows = digits(100)
        frame = rows_of.read(rows)
        folder = tmp_path / f"{name}-rows"
        folder.mkdir()
        write(
            [frame.assign(label=pd.Series(frame["label"].astype(int) % 2).map({0: "even", 1: "odd"}))], folder
        )
        facts = rows.model_dump(exclude={"uri", "digest"})
        made = plan(
            name,
            DatasetVersion(**record_of(folder).model_dump(), **facts),
            **{"warm_start": "digits/1", **training},
        )
        return made.model_copy(update={"result": PARITY, "start": base[1] if start else None})

    return make


def tensors(plan):
    return load_file(plan.checkpoint / "model.safetensors")


def accuracy(plan):
    told = []
    fit(plan, Single(), told.append)
    return [message.metrics["accuracy"] for message in told if isinstance(message, EpochEnded)][-1]


def differing(one, other):
    """Layers of which a tensor is another, or of another shape."""
    pairs = {name: (one.get(name), tensor) for name, tensor in other.items()}
    return {
        name.rpartition(".")[0]
        for name, (a, b) in pairs.items()
        if a is None or a.shape != b.shape or (a != b).any()
    }


def test_layers_that_rest_stay_as_they_are_and_the_last_is_new(base, fine):
    made = fine("rested", backbone_lr_factor=0)
    fit(made, Single(), lambda _: None)
    before, after = tensors(base[0]), tensors(made)
    assert differing(before, after) == {
        next(name for name, tensor in after.items() if tensor.shape == (2,)).rpartition(".")[0]
    }


def test_what_digits_are_helps_to_tell_even_from_odd(fine):
    longer = {"epochs": 12, "learning_rate": 0.003}
    assert accuracy(fine("started", **longer)) > accuracy(fine("fresh", start=False, **longer)) + 0.03


def test_kept_layers_have_a_learning_rate_of_their_own_alike_on_two_ranks(client, fine, base):
    one, two = fine("one", backbone_lr_factor=0.1, epochs=1), fine("two", backbone_lr_factor=0.1, epochs=1)
    fit(one, Single(), lambda _: None)
    train_on_ranks(client, two, lambda _: None)
    assert (
        max(float((tensor - tensors(two)[name]).abs().max()) for name, tensor in tensors(one).items()) < 1e-5
    )
    full = fine("full", epochs=1)
    fit(full, Single(), lambda _: None)
    first = next(name for name in tensors(one) if name.startswith("network."))
    moved = [float((tensors(plan)[first] - tensors(base[0])[first]).abs().mean()) for plan in (one, full)]
    assert 0 < moved[0] < moved[1] / 3


def test_resting_layers_are_committed_and_resumed(fine):
    undisturbed, killed = fine("undisturbed", backbone_lr_factor=0), fine("killed", backbone_lr_factor=0)
    fit(undisturbed, Single(), lambda _: None)

    def stop(message):
        if isinstance(message, Committed):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(killed, Single(), stop)
    fit(killed, Single(), lambda _: None)
    assert all((tensor == tensors(killed)[name]).all() for name, tensor in tensors(undisturbed).items())


def test_the_same_answers_keep_the_last_layer_too(base, plan, digits):
    made = plan("same", digits(100), warm_start="digits/1", learning_rate=1e-9, epochs=1).model_copy(
        update={"start": base[1]}
    )
    fit(made, Single(), lambda _: None)
    before = tensors(base[0])
    assert all(
        (tensor - before[name]).abs().max() < 1e-6
        for name, tensor in tensors(made).items()
        if name.startswith("network.")
    )


def test_where_nothing_is_left_to_train_the_key_is_named(base, plan, digits):
    made = plan("nothing", digits(100), warm_start="digits/1", backbone_lr_factor=0).model_copy(
        update={"start": base[1]}
    )
    with pytest.raises(
        ValueError,
        match=r"training.backbone_lr_factor is 0 and training.warm_start has the same answers.*raise it",
    ):
        fit(made, Single(), lambda _: None)


def test_a_model_of_other_rows_is_refused(fine):
    made = fine("other").model_copy(update={"intake": ImageIntakeConfig(kind="image", height=16, width=4)})
    with pytest.raises(
        ValueError,
        match=r"digits/1: it takes image uint8\[8, 8, 1\], this project's rows are image uint8\[16, 4, 1\]",
    ):
        fit(made, Single(), lambda _: None)


def test_another_network_is_refused(fine, own_networks):
    made = fine("network", network="networks:Layers")
    with pytest.raises(
        ValueError,
        match=r"training.warm_start digits/1: its network has no layer in common with this project's",
    ):
        fit(made, Single(), lambda _: None)
