"""The worst slices are found, chance is not."""

import numpy as np
import pandas as pd
import pytest

from tasks.compilation.slice_discovery import discover_slices
from tasks.compilation.slices import by_column

MINIMUM = 30


def table(seed, rows=3000):
    draw = np.random.default_rng(seed)
    kinds = {
        f"kind{number}": draw.choice(list("abcde"), rows, p=[0.4, 0.25, 0.15, 0.15, 0.05])
        for number in range(3)
    }
    return pd.DataFrame(kinds | {f"size{number}": draw.normal(size=rows) for number in range(3)}), draw


def found(frame, scores, most=10):
    singles = [part for name in frame for part in by_column(frame[name])]
    return [part.name for part in discover_slices(singles, scores, most, MINIMUM)]


def hits(draw, probability):
    return (draw.random(len(probability)) < probability).astype(float)


@pytest.mark.parametrize(("rows", "right"), [(300, 0.97), (300, 0.1), (1000, 0.8)])
def test_chance_is_not_found(rows, right):
    seen = 0
    for seed in range(15):
        frame, draw = table(seed, rows)
        seen += bool(found(frame, hits(draw, np.full(rows, right)))) + bool(
            found(frame, 1 - draw.standard_exponential(rows) ** 2)
        )
    assert seen <= 2


PLANTED = {
    "kind1 = c": lambda frame: frame.kind1 == "c",
    "kind0 = b & size1 > 0.7": lambda frame: (
        (frame.kind0 == "b") & (frame.size1 > frame.size1.quantile(0.75))
    ),
}


@pytest.mark.parametrize("name", PLANTED)
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_slice_is_found_and_nothing_else(name, seed):
    frame, draw = table(seed, 10_000)
    members = PLANTED[name](frame).to_numpy()
    assert found(frame, hits(draw, np.where(members, 0.5, 0.9))) == [name]
    assert found(frame, draw.normal(np.where(members, 0.0, 0.5))) == [name]


def test_the_greatest_loss_comes_first_and_at_most_so_many_are_told():
    frame, draw = table(0, 10_000)
    small, large = (frame.kind0 == "e").to_numpy(), (frame.kind2 == "b").to_numpy()
    scores = hits(draw, np.where(small, 0.3, np.where(large, 0.6, 0.95)))
    assert found(frame, scores) == ["kind2 = b", "kind0 = e"]
    assert found(frame, scores, most=1) == ["kind2 = b"]
    assert found(frame, scores, most=0) == found(frame[[]], scores) == []


def test_a_slice_of_too_few_rows_is_not_found():
    rare = pd.DataFrame({"kind": ["rare"] * (MINIMUM - 1) + ["usual"] * 500})
    assert found(rare, (rare.kind == "usual").to_numpy(dtype=float)) == []
    assert found(pd.concat([rare[:1], rare]), np.array([0.0] * MINIMUM + [1.0] * 500)) == ["kind = rare"]
