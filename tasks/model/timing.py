"""How long graphs take, measured in turns.

What makes the machine slow for a while makes it slow for all of them.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

ROUNDS = 7
"""In each of which every graph is timed: one that is slower in all of them is slower (in one of 128 times by
chance)."""
RUNS = 100
WARM_UPS = 10
"""Calls before the first round: ONNX Runtime plans its memory in them."""
SECONDS = 0.15
"""A round of a slow graph takes this long, that of a fast one RUNS calls."""


def time_in_turns(opened: Mapping[str, Any], fed: Sequence[dict[str, Any]]) -> dict[str, list[list[float]]]:
    """Seconds of each session's calls, by its name and round.

    ROUNDS rounds of RUNS calls or SECONDS, whichever ends first.
    """
    for one in opened.values():
        for number in range(WARM_UPS):
            one.run(None, fed[number % len(fed)])
    times: dict[str, list[list[float]]] = {name: [] for name in opened}
    for _ in range(ROUNDS):
        for name, one in opened.items():
            times[name].append(call_seconds(one, fed))
    return times


def call_seconds(opened: Any, fed: Sequence[dict[str, Any]]) -> list[float]:
    """Seconds of each call, over RUNS calls or SECONDS, whichever ends first; at least one."""
    times: list[float] = []
    while not times or (len(times) < RUNS and sum(times) < SECONDS):
        inputs = fed[len(times) % len(fed)]
        start = time.perf_counter()
        opened.run(None, inputs)
        times.append(time.perf_counter() - start)
    return times
