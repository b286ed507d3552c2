"""Texts: a vocabulary of the project's own, and a tokeniser that ONNX Runtime runs exactly alike."""

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from onnx import helper

from configs.intake import TextIntakeConfig
from tasks.intake import build_intake
from tasks.intake.encoder import ENCODED
from tasks.rows.raw import MAX_TEXT, feed, rows_from

INTAKE = build_intake(TextIntakeConfig(kind="text", length=8))
TRAIN = [
    "Free prize! Call 08712 now",
    "free now",
    "call me now, Über",
    "Über 日本 日本 😀 😀",
    "prize, prize!",
]
HOSTILE = [
    "",
    " \t\n\r\x0b\x0c ",
    "FREE\nnow\tCALL\r\nme",
    "Über ÜBER über Ñandú İstanbul ẞ Σς",
    "日本語 中文 한국어 ไทย हिन्दी عربى",
    "😀👍🏽👨\u200d👩\u200d👧 🇩🇪",
    "a\0b \u00a0 \u2028 \ufeff \U0010ffff \u0301",
    "08712call!!!...,,,prize" * 10,
    "x" * MAX_TEXT,
    "now " * (MAX_TEXT // 4),
    "<s> [PAD] \\n $& %s {} '\"; drop table",
]


def rows_of(texts):
    return rows_from(INTAKE.inputs, {"text": np.array(texts, object)})


@pytest.fixture(scope="module")
def encoder():
    encoder = INTAKE.encoder()
    encoder.fit(rows_of(TRAIN))
    return encoder


@pytest.fixture(scope="module")
def session(encoder):
    opsets = {"": 20}
    graph = encoder.prefix(opsets)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(*each) for each in opsets.items()], ir_version=10
    )
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def test_the_vocabulary_is_what_occurs_twice_the_most_frequent_first(encoder):
    tokens = encoder.state()["tokens"]
    assert tokens[:2] == ["now", "prize"]
    assert set(tokens) == {"!", ",", "Über", "call", "free", "now", "prize", "日", "本", "😀"}


def test_the_vocabulary_is_no_larger_than_asked():
    small = build_intake(TextIntakeConfig(kind="text", vocabulary=4)).encoder()
    small.fit(rows_of(TRAIN))
    assert small.state() == {"tokens": ["now", "prize"]}
    assert small.size == 4


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_the_graphs_prefix_is_exactly_the_encoder_on_a_hostile_text(encoder, session, text):
    rows = rows_of([text])
    assert np.array_equal(session.run([ENCODED], feed(rows))[0], encoder.encode(rows))


def test_the_graphs_prefix_is_exactly_the_encoder_on_a_batch(encoder, session):
    rows = rows_of([*HOSTILE, *TRAIN])
    found = session.run([ENCODED], feed(rows))[0]
    assert found.dtype == np.int64
    assert np.array_equal(found, encoder.encode(rows))


def test_random_unicode_is_encoded_alike(encoder, session):
    draw = np.random.default_rng(0)
    codes = [draw.integers(1, high, 40) for high in (128, 0x250, 0x2000, 0x3100, 0x10FFFF) for _ in range(40)]
    rows = rows_of(["".join(chr(code) for code in row if not 0xD800 <= code < 0xE000) for row in codes])
    assert np.array_equal(session.run([ENCODED], feed(rows))[0], encoder.encode(rows))


def test_the_encoder_comes_back_from_json(encoder):
    again = INTAKE.encoder()
    again.restore(encoder.state())
    assert np.array_equal(again.encode(rows_of(HOSTILE)), encoder.encode(rows_of(HOSTILE)))


def test_missing_texts_are_empty_and_endless_ones_are_cut():
    rows = INTAKE.rows(pd.DataFrame({"text": [None, "x" * (MAX_TEXT + 1), "ok"]}))
    assert [len(text) for text in rows["text"]] == [0, MAX_TEXT, 2]
    assert INTAKE.frame(rows)["text"].isna().tolist() == [True, False, False]


def test_a_text_is_taken_from_text_list_and_mapping():
    for value in ("hello", ["hello"], {"text": "hello"}):
        assert INTAKE.decode(value)["text"].tolist() == ["hello"]
    with pytest.raises(ValueError, match="7: want a text, or a mapping with 'text'"):
        INTAKE.decode(7)


def test_what_lies_behind_a_text_changes_no_answer(encoder):
    torch.manual_seed(0)
    network = INTAKE.network(encoder, (8,), 3)
    ids = torch.from_numpy(encoder.encode(rows_of(["call me now", ""])))
    wider = torch.nn.functional.pad(ids, (0, 5))
    assert torch.allclose(network(ids), network(wider), atol=1e-6)
    assert torch.isfinite(network(ids)).all()


def test_training_hides_words_but_never_what_lies_behind_the_end():
    encoded = torch.tensor([[5, 6, 0]])
    assert INTAKE.augment(encoded, torch.tensor([[0.0, 0.5, 0.0]])).tolist() == [[1, 6, 0]]


def test_descriptors_tell_shouting_from_talking():
    found = INTAKE.describe(rows_of(["WIN 1000 NOW", "see you later", ""]))
    assert found["words"].tolist() == [3, 3, 0]
    assert found["capitals"].tolist()[1:] == [0, 0]
    assert found["digits"].tolist() == pytest.approx([4 / 12, 0, 0])


def test_the_picture_is_a_png_whatever_the_text():
    assert INTAKE.picture(rows_of([*HOSTILE, "$x_{1$"]), [*HOSTILE, "$"]).startswith(b"\x89PNG")
    assert INTAKE.features(rows_of(["", "  "])).shape == (2, 1)
    assert INTAKE.features(rows_of(TRAIN)).shape[0] == len(TRAIN)
