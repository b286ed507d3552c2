"""Live rows are asked of both versions while a challenger is on trial, and no client waits for it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tasks.production.agreement import agree
from tasks.production.releases import stage_canary
from tasks.rows.raw import rows_from
from tasks.serving.models.mirror import ROWS_WAITING, Mirror
from tasks.serving.models.model import load
from tasks.serving.models.routing import Route

PROJECT = "spots"


def spot(place, fourth=0):
    row = np.full((1, 2, 2, 1), 10, dtype=np.uint8)
    row.reshape(-1)[place] = 200
    row.reshape(-1)[3] = fourth
    return row


@pytest.fixture
def compared(server):
    """What the server tells of a version, once it has compared so many rows."""

    def look(version, rows, **names):
        with server.client() as client:
            server.wait(lambda: client.comparison(version).get("rows", 0) >= rows)
            return client.comparison(version)

    return look


def test_rows_that_a_canary_answers_are_asked_of_the_champion_too(server, served, compared):
    server.release(served(1))
    server.stage(served(2), 1.0)
    server.wait(lambda: server.roles().get("canary") == "2")
    with server.client() as client:
        for place in (0, 1, 2, 0):
            assert client.infer(spot(place))["model_version"] == "2"
    found = compared(2, 4)
    assert (found["champion"], found["rows"], found["same"], found["dropped"]) == (1, 4, 0, 0)
    # Version n answers n places further on: of places 0, 1, 2, 0 these are 1, 2, 0, 1 and 2, 0, 1, 2.
    assert found["champion_answers"] == {"1": 2, "2": 1, "0": 1}
    assert found["challenger_answers"] == {"2": 2, "0": 1, "1": 1}


def test_a_shadow_is_asked_and_never_answers(server, served, compared):
    server.release(served(1))
    shadow = served(4)
    server.releases.change(PROJECT, lambda manifest: stage_canary(manifest, shadow, 1.0, "shadow"))
    server.wait(lambda: server.roles().get("shadow_share") == 1.0)
    with server.client() as client:
        assert {client.infer(spot(number % 3))["model_version"] for number in range(30)} == {"1"}
        assert server.roles()["canary_share"] == 0
        found = compared(4, 30)
        assert (found["rows"], found["same"]) == (30, 30)
        client.infer(spot(0), log=False)
        assert client.comparison(4) == found


def test_a_shadow_that_fails_is_counted_and_told_to_no_client(server, served):
    server.release(served(1))
    shadow = served(2, broken_at=77)
    server.releases.change(PROJECT, lambda manifest: stage_canary(manifest, shadow, 1.0, "shadow"))
    server.wait(lambda: server.roles().get("shadow_share") == 1.0)
    with server.client() as client:
        assert client.infer(spot(0, fourth=77))["outputs"][-1]["data"] == ["middle"]
        server.wait(lambda: client.comparison(2).get("failed"))
        assert "Gather" in client.comparison(2)["problem"]


def test_what_does_not_fit_into_the_queue_is_dropped_and_counted(served):
    """All rows come before the thread may begin: the event loop is not given back in between."""
    with ThreadPoolExecutor(1) as graphs:
        champion, challenger = (load(PROJECT, served(number), graphs) for number in (1, 4))
        route = Route(champion=champion, canary=challenger, shadow_share=1.0)
        rows = rows_from(champion.signature.inputs, {"image": np.concatenate([spot(0)] * 100)})
        answers = np.ones(100, np.int64)

        async def ask():
            mirror = Mirror()
            for number in range(8):
                mirror.add(PROJECT, route, "champion", champion, str(number), rows, answers)
            while mirror.comparison(PROJECT, 4)["rows"] < ROWS_WAITING // 100 * 100:
                await asyncio.sleep(0.01)
            found = mirror.comparison(PROJECT, 4)
            await mirror.close()
            return found

        found = asyncio.run(ask())
    assert (found["rows"], found["same"], found["dropped"]) == (500, 500, 300)


def test_numbers_agree_within_a_tenth_of_the_spread_and_classes_where_they_are_equal():
    numbers = np.array([1.0, 1.0, np.nan]), np.array([1.05, 1.2, np.nan])
    assert agree(*numbers, spread=1.0).tolist() == [True, False, True]
    assert agree(np.array([1, 2]), np.array([1, 3]), spread=0).tolist() == [True, False]
    assert agree(np.zeros((2, 3)), np.zeros((2, 2)), spread=0).tolist() == [False, False]
