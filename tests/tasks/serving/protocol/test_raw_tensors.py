"""Tensors as bytes: taken as they were sent, or refused with what is wrong."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.serving.protocol.raw_tensors import array_of_bytes, bytes_of_values
from tasks.serving.protocol.refusal import Refusal

DTYPES = ["bool", "uint8", "int16", "uint32", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_come_back_as_they_were_sent(dtype):
    values = np.arange(6).astype(dtype)
    assert np.array_equal(
        array_of_bytes(memoryview(bytes_of_values(values)), [2, 3], dtype, "input 'x'"), values
    )


def test_texts_come_back_as_they_were_sent():
    texts = ["", "spam", "größer", "two\nlines"]
    assert array_of_bytes(memoryview(bytes_of_values(texts)), [4], "str", "input 'x'").tolist() == texts


def test_nan_is_a_missing_number():
    sent = np.array([1, np.nan], "<f4").tobytes()
    assert np.isnan(array_of_bytes(memoryview(sent), [2], "float32", "input 'x'")[1])


@pytest.mark.parametrize(
    ("data", "shape", "dtype", "text"),
    [
        (b"1234567", [2], "float32", "input 'x': has 7 bytes; shape [2] wants 8, 4 a value"),
        (b"", [1], "uint8", "input 'x': has 0 bytes; shape [1] wants 1, 1 a value"),
        (b"\0\2", [2], "bool", "input 'x': byte 1 is 2; want 0 or 1 (BOOL)"),
        (
            np.array([0, np.inf], "<f4").tobytes(),
            [2],
            "float32",
            "input 'x': value 1 is inf; want finite numbers, or NaN for a missing one",
        ),
        (b"\5\0\0\0ham", [1], "str", "input 'x': text 0 ends after byte 9, and there are 7; want 1 texts"),
        (b"\0\0", [1], "str", "input 'x': text 0 ends after byte 4, and there are 2"),
        (b"\xff\xff\xff\xff", [1], "str", "input 'x': text 0 ends after byte 4294967299, and there are 4"),
        (b"\0\0\0\0rest", [1], "str", "input 'x': has 8 bytes; its 1 texts end at byte 4"),
        (b"\1\0\0\0\xff", [1], "str", "input 'x': text 0 is not UTF-8 (byte 0 of it)"),
    ],
)
def test_bytes_that_do_not_fit_are_refused_with_what_would(data, shape, dtype, text):
    with pytest.raises(Refusal, match=re.escape(text)) as refused:
        array_of_bytes(memoryview(data), shape, dtype, "input 'x'")
    assert refused.value.status == 400


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.integers(1, 5), st.sampled_from([*DTYPES, "str"]))
def test_any_bytes_are_taken_as_sent_or_refused(data, rows, dtype):
    try:
        values = array_of_bytes(memoryview(data), [rows], dtype, "input 'x'")
    except Refusal as refusal:
        assert refusal.status == 400
        return
    assert len(values) == rows
    assert bytes_of_values(values.tolist() if dtype == "str" else values) == data
