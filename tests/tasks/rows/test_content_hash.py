"""What a source holds about a row: the same whatever is made of it."""

import numpy as np
import pyarrow as pa
import pytest

from tasks.rows.content_hash import digests


def of(*columns):
    return digests(
        [pa.chunked_array([pa.array(column) if isinstance(column, list) else column]) for column in columns]
    ).to_pylist()


def test_a_number_is_the_same_however_it_is_written_or_kept():
    wanted = of([3.0, 0.1, -7.5, None])
    assert of(["3", "0.1", " -7.50 ", ""]) == wanted
    assert of(pa.array([3.0, 0.1, -7.5, None], pa.float32())) == wanted
    assert of(pa.array([3.0, 0.1, -7.5, float("nan")])) == wanted
    assert of([3]) == wanted[:1]


def test_a_text_in_other_case_and_blanks_is_the_same():
    assert len(set(of(["Buy  NOW", "buy now ", "BUY NOW"]))) == 1


def test_identifiers_that_no_float_tells_apart_are_told_apart():
    assert len(set(of(["12345678901234567", "12345678901234568"]))) == 2
    assert of([12345678901234567, 12345678901234568]) == of(["12345678901234567", "12345678901234568"])


def test_values_do_not_run_into_each_other():
    assert of(["ab", "a"], ["c", "bc"])[0] != of(["ab", "a"], ["c", "bc"])[1]


@pytest.mark.parametrize("kind", [pa.uint8(), pa.int64()])
def test_pixels_are_the_same_in_any_type(kind):
    assert of(pa.array([[1, 2, 255], [0, 0, 7]], pa.list_(kind))) == of(
        pa.array([[1, 2, 255], [0, 0, 7]], pa.list_(pa.int16()))
    )


@pytest.mark.parametrize(
    "column",
    [
        pa.array([None, None], pa.null()),
        pa.array([b"\xff\xd8", None]),
        pa.array([{"a": 1}, None]),
        pa.array([[[1], [2]], None]),
    ],
)
def test_any_type_of_a_source_has_content(column):
    first, second = of(column)
    assert (first == second) == (column.null_count == 2)


def test_digests_are_spread_evenly_and_never_change():
    found = np.array(of([f"row {number}" for number in range(10_000)]), np.uint64)
    assert abs((found < 2**63).mean() - 0.5) < 0.02
    assert of(["row 1"], [2.5], [[1, 2, 3]]) == [1548811929560467287]
