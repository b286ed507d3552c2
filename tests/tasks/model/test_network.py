"""Networks by name: one's own, and those of libraries that are installed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from configs.intake import ImageIntakeConfig, TextIntakeConfig
from configs.training import TrainingConfig
from tasks.intake import build_intake
from tasks.model.network import build
from tasks.rows.raw import rows_from

IMAGES, TEXTS = (
    build_intake(ImageIntakeConfig(kind="image", height=32, width=32, channels=3)),
    build_intake(TextIntakeConfig(kind="text", length=8)),
)


@pytest.fixture
def words():
    """An encoder that knows two words."""
    encoder = TEXTS.encoder()
    encoder.fit(rows_from(TEXTS.inputs, {"text": np.array(["see you", "see you", ""], dtype=object)}))
    return encoder


@pytest.fixture
def own(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "training"))


def texts(words, **training):
    return build(TrainingConfig(**training), TEXTS, words, (8,), 3)


def images(**training):
    return build(TrainingConfig(**training), IMAGES, IMAGES.encoder(), (3, 32, 32), 5)


def answered(network, rows):
    return network.eval()(rows).detach()


def test_a_network_of_ones_own_takes_options_and_is_told_the_vocabulary(own, words):
    network = texts(words, network="networks:Embedded", network_options={"width": 4})
    assert network[0].weight.shape == (words.size, 4)
    assert answered(network, torch.zeros(2, 8, dtype=torch.int64)).shape == (2, 3)


def test_an_option_that_is_unknown_is_named(own):
    with pytest.raises(
        ValueError,
        match=r"training.network networks:Layers with training.network_options {'wide': 1}: .*'wide'",
    ):
        images(network="networks:Layers", network_options={"wide": 1})


def test_a_network_of_tokens_is_refused_for_images(own):
    with pytest.raises(
        ValueError, match=r"training\.network networks:Embedded: takes token ids; the intake gives no texts"
    ):
        images(network="networks:Embedded")


def test_an_image_network_of_timm(words):
    pytest.importorskip("timm", reason="timm is not installed")
    assert answered(images(network="timm:resnet18"), torch.randn(2, 3, 32, 32)).shape == (2, 5)
    with pytest.raises(ValueError, match=r"training.network timm:nothing .*: Unknown model"):
        images(network="timm:nothing")
    with pytest.raises(
        ValueError,
        match=r"training.network timm:resnet18: takes images; the intake gives rows of shape \(8,\)",
    ):
        texts(words, network="timm:resnet18")


def test_a_text_network_of_transformers_does_not_look_behind_a_texts_end(words):
    pytest.importorskip("transformers", reason="transformers is not installed")
    small = {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2}
    network = texts(words, network="transformers:DistilBertConfig", network_options=small)
    rows = torch.tensor([[2, 3, 0, 0, 0, 0, 0, 0], [0] * 8])
    answers = answered(network, rows)
    assert answers.shape == (2, 3)
    assert answers.isfinite().all()
    assert torch.allclose(answered(network, rows[:1, :4]), answers[:1], atol=1e-5)
