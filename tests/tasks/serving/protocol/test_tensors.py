"""JSON lists as arrays, dtype by dtype and level by level."""

import numpy as np
import pytest

from tasks.serving.protocol.refusal import Refusal
from tasks.serving.protocol.tensors import array


def refusal(data, shape, dtype):
    with pytest.raises(Refusal) as refused:
        array(data, shape, dtype, "input 'x'")
    assert refused.value.status == 400
    return str(refused.value)


def test_null_is_a_missing_number():
    values = array([1, None, 2.5], [3], "float32", "input 'x'")
    assert values.dtype == np.float32
    assert np.array_equal(values, np.array([1, np.nan, 2.5], np.float32), equal_nan=True)


@pytest.mark.parametrize(
    ("data", "dtype", "text"),
    [
        ([1, "2"], "float32", "data[1] (row 1) is '2'; want numbers or null (FP32"),
        ([1, True], "float64", "data[1] (row 1) is True; want numbers or null (FP64"),
        (
            [True, 2],
            "int64",
            "data[0] (row 0) is True; want whole numbers from -9223372036854775808 to 9223372036854775807 (INT64)",
        ),
        ([True, 1], "bool", "data[1] (row 1) is 1; want true or false"),
        ([3, [1, 2]], "int8", "data[1] (row 1) is [1, 2]; want whole numbers from -128 to 127 (INT8)"),
        ([], "int8", "data is empty; want whole numbers from -128 to 127 (INT8)"),
        ([1, -1], "uint8", "data[1] (row 1) is -1; want whole numbers from 0 to 255 (UINT8)"),
        ([1, 300], "uint8", "data[1] (row 1) is 300; want whole numbers from 0 to 255 (UINT8)"),
        ([1, 2.0], "uint8", "data[1] (row 1) is 2.0; want whole numbers from 0 to 255 (UINT8)"),
        ([1, 1e39], "float32", "data[1] (row 1) is 1e+39; want numbers or null (FP32, at most 3.4e+38)"),
        ([1, -70000], "float16", "data[1] (row 1) is -70000; want numbers or null (FP16, at most 6.55e+04)"),
        (["a", 1], "str", "data[1] (row 1) is 1; want texts or null (BYTES)"),
        (["a", True], "str", "data[1] (row 1) is True; want texts or null (BYTES)"),
        ([{"a": "b"}], "str", "data[0] (row 0) is {'a': 'b'}; want texts or null (BYTES)"),
        (["a", "x" * 20_001], "str", "data[1] (row 1) has 20001 characters; want at most 20000"),
        (
            ["x" * 20_000, *[""] * 200],
            "str",
            "201 texts of up to 20000 characters; want at most 200 such texts a request",
        ),
        ([2**70], "int64", "data[0] (row 0) is 1180591620717411303424; want whole numbers"),
    ],
)
def test_the_first_wrong_value_is_named(data, dtype, text):
    assert refusal(data, [len(data)], dtype).startswith(f"input 'x': {text}")


@pytest.mark.parametrize(
    ("data", "shape", "text"),
    [
        ([[1, 2, 3, 4, 5], [6, 7, 8]], [2, 4], "data[0] has 5 values; shape [2, 4] wants 4 there"),
        ([[1, 2, 3, 4], [5, 6, 7, 8]], [1, 8], "data has 2 values; shape [1, 8] wants 1 there"),
        ([[[1], [2]], [[3], [4, 5]]], [2, 2, 1], "data[1][1] has 2 values; shape [2, 2, 1] wants 1 there"),
        ([[[1], [2]], [[3], 4]], [2, 2, 1], "data[1][1] is 4; shape [2, 2, 1] wants a list of 1 there"),
        ([[1, 2], [3, 999]], [2, 2], "data[1][1] (row 1) is 999; want whole numbers from 0 to 255 (UINT8)"),
        ([[[1], [2]]], [1, 2], "data[0][0] (row 0) is [1]; want whole numbers from 0 to 255 (UINT8)"),
        ([[]], [1, 2], "data[0] has 0 values; shape [1, 2] wants 2 there"),
        ([1, 2, 3], [2, 2], "data has 3 values; shape [2, 2] wants 4"),
        ([1, 2, 3, 999], [2, 2], "data[3] (row 1) is 999; want whole numbers from 0 to 255 (UINT8)"),
    ],
)
def test_data_that_is_not_as_its_shape_says_is_refused_with_the_place(data, shape, text):
    assert refusal(data, shape, "uint8") == f"input 'x': {text}"


def test_nested_lists_keep_their_order():
    assert array([[[1, 2], [3, 4]]], [1, 2, 2], "int64", "").tolist() == [1, 2, 3, 4]


def test_whole_numbers_and_truths_keep_their_values():
    assert array([0, 255], [2], "uint8", "").tolist() == [0, 255]
    assert array([2**63], [1], "uint64", "").tolist() == [2**63]
    assert array([True, False], [2], "bool", "").tolist() == [True, False]


def test_a_missing_text_is_empty():
    values = array([["é", None], ["", "日本"]], [2, 2], "str", "")
    assert values.dtype == object
    assert values.tolist() == ["é", "", "", "日本"]
