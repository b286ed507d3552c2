"""JSON lists as arrays, dtype by dtype."""

import numpy as np
import pytest

from tasks.serving.protocol import numbers
from tasks.serving.refusal import Refusal


def test_null_is_a_missing_number():
    values = numbers([1, None, 2.5], "float32", "input 'x'")
    assert values.dtype == np.float32
    assert np.array_equal(values, np.array([1, np.nan, 2.5], np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("data", "dtype", "text"),
    [
        ([1, "2"], "float32", "data[1] is '2'; want numbers or null (FP32)"),
        ([1, True], "float64", "data[1] is True; want numbers or null (FP64)"),
        ([True, 2], "int64", "data[0] is True; want whole numbers from -9223372036854775808 to 9223372036854775807 (INT64)"),
        ([True, 1], "bool", "data[1] is 1; want true or false"),
        ([[1, 2], 3], "int8", "data[0] is [1, 2]; want whole numbers from -128 to 127 (INT8)"),
        ([], "int8", "data is empty; want whole numbers from -128 to 127 (INT8)"),
        ([1, -1], "uint8", "data[1] is -1; want whole numbers from 0 to 255 (UINT8)"),
        (["a", 1], "str", "data[1] is 1; want texts or null (BYTES)"),
        (["a", True], "str", "data[1] is True; want texts or null (BYTES)"),
        ([{"a": "b"}], "str", "data[0] is {'a': 'b'}; want texts or null (BYTES)"),
        (["a", "x" * 20_001], "str", "data[1] has 20001 characters; want at most 20000"),
        (["x" * 20_000, *[""] * 200], "str", "201 texts of up to 20000 characters; want at most 200 such texts a request"),
        ([2**70], "int64", "data[0] is 1180591620717411303424; want whole numbers"),
    ],
)
def test_the_first_wrong_value_is_named(data, dtype, text):
    with pytest.raises(Refusal) as refused:
        numbers(data, dtype, "input 'x'")
    assert str(refused.value).startswith(f"input 'x': {text}")


def test_whole_numbers_and_truths_keep_their_values():
    assert numbers([0, 255], "uint8", "").tolist() == [0, 255]
    assert numbers([2**63], "uint64", "").tolist() == [2**63]
    assert numbers([True, False], "bool", "").tolist() == [True, False]


def test_a_missing_text_is_empty():
    values = numbers([["é", None], ["", "日本"]], "str", "")
    assert values.dtype == object
    assert values.tolist() == ["é", "", "", "日本"]
