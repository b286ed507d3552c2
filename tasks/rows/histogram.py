"""Cells that a number's values are counted in, the same in a version's facts and in rows compared with it."""

from collections.abc import Sequence


def cell(value: str, edges: Sequence[float]) -> str:
    """SQL of the cell of `value`.

    0 below the first edge, then one up to and including each other edge, and one above the last.
    """
    low, *upper = edges
    bounds = " ".join(f"WHEN {value} <= {edge!r} THEN {number}" for number, edge in enumerate(upper, 1))
    return f"CASE WHEN {value} < {low!r} THEN 0 {bounds} ELSE {len(edges)} END"
