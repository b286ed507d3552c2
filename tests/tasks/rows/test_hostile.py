"""Rows that no client should send."""

import numpy as np

from tasks.rows.hostile import hostile_rows
from tasks.rows.raw import TensorSpec

INPUTS = (
    TensorSpec("image", "uint8", (2,)),
    TensorSpec("text", "str", ()),
    TensorSpec("x", "float32", (3,)),
)


def test_hostile_rows_have_every_kind_of_extreme():
    rows = hostile_rows(INPUTS)
    assert {0, 255} <= set(rows["image"].ravel())
    assert "" in set(rows["text"])
    assert np.isnan(rows["x"]).any()
    assert np.isinf(rows["x"]).any()
