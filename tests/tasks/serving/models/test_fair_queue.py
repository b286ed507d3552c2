"""Who waits for a graph has a turn: by priority, then client by client, large requests piece by piece."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.rows.raw import TensorSpec, rows_from
from tasks.serving.models.fair_queue import FairQueue, Waiting
from tasks.serving.models.model import FIRST, LAST, USUAL, load
from tasks.serving.protocol.refusal import Refusal
from tests.tasks.conftest import spot

MOST = 8
SPECS = (TensorSpec("number", "int64", ()),)


def waiting(loop, client, count, priority=USUAL):
    rows = rows_from(SPECS, {"number": np.arange(count)})
    return Waiting(rows, loop.create_future(), priority, client)


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.fixture
def queue(loop):
    """Makes a queue of requests: (client, rows) or (client, rows, priority)."""

    def make(*requests):
        made = FairQueue(MOST)
        for request in requests:
            made.add(waiting(loop, *request))
        return made

    return make


def calls(queue):
    """Clients with their rows, call by call, until nobody waits."""
    found = []
    while batch := queue.take():
        found.append([(piece.request.client, len(piece.rows)) for piece in batch])
    return found


def test_a_client_with_many_requests_lets_one_with_few_into_each_call(queue):
    found = calls(queue(*[("much", 2)] * 10, ("little", 1)))
    assert found[0] == [("much", 2), ("little", 1), ("much", 2), ("much", 2)]


def test_a_large_request_is_answered_in_pieces_between_which_others_have_their_turn(queue):
    found = calls(queue(("large", 20), ("small", 1), ("small", 1)))
    assert found == [[("large", 8)], [("small", 1), ("small", 1)], [("large", 8)], [("large", 4)]]


def test_who_was_passed_over_comes_first_at_the_next_call(queue):
    found = calls(queue(("a", 6), ("b", 6), ("a", 2), ("c", 6), ("a", 2)))
    assert found[0] == [("a", 6), ("a", 2)]
    assert found[1][0] == ("b", 6)
    assert found[2][0] == ("c", 6)


def test_a_higher_priority_comes_before_all_others(queue):
    found = calls(queue(("a", 8, LAST), ("b", 8), ("c", 8, FIRST)))
    assert found == [[("c", 8)], [("b", 8)], [("a", 8)]]


def test_what_nobody_awaits_any_more_costs_no_call(queue, loop):
    made = queue(("a", 3))
    left = waiting(loop, "b", 20)
    made.add(left)
    assert len(made.take()) == 1
    made.take()
    left.future.cancel()
    assert made.take() == []
    assert (made.rows, made.rows_in_pieces) == (0, 0)


REQUESTS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(1, 30), st.sampled_from([FIRST, USUAL, LAST])), max_size=30
)


@given(REQUESTS)
@settings(deadline=None)
def test_each_row_is_taken_once_in_its_order_and_no_call_is_too_large(requests):
    loop = asyncio.new_event_loop()
    made, known, seen = FairQueue(MOST), [], {}
    for request in requests:
        known.append(waiting(loop, *request))
        made.add(known[-1])
    assert made.rows + made.rows_in_pieces == sum(rows for _, rows, _ in requests)
    while batch := made.take():
        assert sum(len(piece.rows) for piece in batch) <= MOST
        for piece in batch:
            seen.setdefault(id(piece.request), []).extend(piece.rows["number"].tolist())
    assert [seen[id(request)] for request in known] == [list(range(rows)) for _, rows, _ in requests]
    assert (made.rows, made.rows_in_pieces) == (0, 0)
    loop.close()


def test_a_model_answers_small_requests_before_the_pieces_of_a_large_one_and_puts_these_together(served):
    with ThreadPoolExecutor(1) as executor:
        model = load("spots", served(1, turn=0), executor)
        many = rows_from(
            model.signature.inputs,
            {"image": np.random.default_rng(0).integers(0, 255, (1000, 2, 2, 1), dtype=np.uint8)},
        )
        order = []

        async def ask(name, rows):
            outputs = await model.answer(rows, client=name)
            order.append(name)
            return outputs

        async def all_at_once():
            return await asyncio.gather(
                ask("large", many), *(ask("small", many[at : at + 1]) for at in range(5))
            )

        whole, *single = asyncio.run(all_at_once())
    assert order == ["small"] * 5 + ["large"]
    assert whole["class"].tolist() == many["image"].reshape(1000, 4)[:, :3].argmax(axis=1).tolist()
    assert [each["class"][0] for each in single] == whole["class"][:5].tolist()


def test_who_could_not_be_answered_in_time_is_told_so_at_once_and_when_to_come_back(served):
    with ThreadPoolExecutor(1) as executor:
        model = load("spots", served(1), executor)
        model.pace.add(rows=1, seconds=2.0)
        rows = rows_from(model.signature.inputs, {"image": np.zeros((10, 2, 2, 1), np.uint8)})

        async def two():
            answers = (model.answer(rows, limit_s=60), model.answer(rows, limit_s=5))
            return await asyncio.gather(*answers, return_exceptions=True)

        first, refused = asyncio.run(two())
        assert len(first["class"]) == 10
        assert isinstance(refused, Refusal)
        assert str(refused) == (
            "the answer would come in 40 s, after its time limit of 5 s; try again in 40 s"
        )
        assert (refused.status, dict(refused.headers)) == (503, {"retry-after": "40"})


def texts(loop, client, length, count=1):
    rows = rows_from(SPECS, {"number": np.arange(count)})
    return Waiting(rows, loop.create_future(), USUAL, client, length)


def test_texts_that_would_be_mostly_padding_have_a_call_of_their_own_and_the_next_turn(loop):
    queue = FairQueue(MOST)
    for client, length in (("short", 20), ("long", 100_000), ("brief", 30), ("longer", 101_000)):
        queue.add(texts(loop, client, length))
    found = [[client for client, _ in call] for call in calls(queue)]
    assert found == [["short", "brief"], ["long", "longer"]]


def test_little_padding_does_not_cost_a_call(loop):
    queue = FairQueue(MOST)
    for client, length in (("short", 20), ("long", 2_000)):
        queue.add(texts(loop, client, length))
    assert len(calls(queue)) == 1


def calls_of_a_graph(model, crowd):
    """How often it is called for requests that come a turn of the event loop apart, after a call with a crowd."""
    rows = rows_from(model.signature.inputs, {"image": spot(0)})

    async def ask(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        await model.answer(rows)

    async def ask_all():
        await asyncio.gather(*(ask(0) for _ in range(crowd)))
        before = model.counts.statistics.calls
        await asyncio.gather(*(ask(turns) for turns in range(1, 9)))
        return model.counts.statistics.calls - before

    return asyncio.run(ask_all())


def test_under_load_a_call_waits_as_long_as_each_turn_brings_a_request_and_else_for_nobody(served):
    with ThreadPoolExecutor(2) as pool:
        assert calls_of_a_graph(load("spots", served(1), pool), crowd=4) == 1
        assert calls_of_a_graph(load("spots", served(2), pool), crowd=1) > 1
