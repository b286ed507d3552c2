"""The decisions of an elastic run, on thousands of made-up clusters; no ranks run here."""

from hypothesis import given, settings
from hypothesis import strategies as st

from infra.ranks.elastic import (
    Continue,
    Elastic,
    Ended,
    Fail,
    Look,
    Lost,
    Policy,
    Start,
    Stop,
    Wait,
    WorkersSeen,
)
from infra.ranks.messages import Committed


def workers(count):
    return tuple(f"tcp://10.0.0.{number}:1" for number in range(count))


def seen(count, at=0.0, held=0):
    return WorkersSeen(at, count + held, workers(count))


def elastic(low=2, high=4, restarts=3, wait_s=10.0, patient=True):
    return Elastic(Policy(low, high, restarts, wait_s, patient))


@st.composite
def policies(draw):
    low = draw(st.integers(1, 4))
    return Policy(
        low, draw(st.integers(low, 6)), draw(st.integers(0, 3)), draw(st.floats(0, 20)), draw(st.booleans())
    )


EVENTS = st.lists(st.tuples(st.sampled_from(["commit", "loss", "tick"]), st.integers(0, 8)), max_size=60)


@settings(deadline=None, max_examples=1000)
@given(policies(), EVENTS)
def test_every_history_keeps_within_the_limits(policy, history):
    state, at, losses, generation, waiting_since = Elastic(policy), 0.0, 0, 0, None
    for kind, count in history:
        at += 1.0
        free = seen(count, at)
        running = state.running
        instruction = state.on(Committed(1)) if running and kind == "commit" else None
        if running and kind == "commit":
            losses = 0
            if isinstance(instruction, Look):
                instruction = state.on(free)
                assert isinstance(instruction, Stop) == (min(policy.max_ranks, count) > running)
            if isinstance(instruction, Stop):
                assert isinstance(state.on(Ended()), Look)
        elif running and kind == "loss":
            losses += 1
            instruction = state.on(Lost("gone"))
            assert isinstance(instruction, Fail) == (losses > policy.restarts)
        elif not running:
            instruction = state.on(free)
            match instruction:
                case Start():
                    generation, waiting_since = generation + 1, None
                    assert instruction.generation == generation
                    assert policy.min_ranks <= len(instruction.workers) <= policy.max_ranks
                    assert len(instruction.workers) == min(count, policy.max_ranks)
                    assert set(instruction.workers) <= set(free.free)
                case Wait():
                    waiting_since = at if waiting_since is None else waiting_since
                    assert count < policy.min_ranks
                    assert at - waiting_since < policy.wait_s
                case Fail():
                    assert count < policy.min_ranks
        if isinstance(instruction, Fail):
            return


def test_a_run_that_is_not_elastic_fails_with_the_loss_itself():
    state = elastic(2, 2, restarts=0)
    assert isinstance(state.on(seen(2)), Start)
    assert state.on(Lost("rank 1 was ended by SIGKILL")) == Fail("rank 1 was ended by SIGKILL")


def test_a_crash_loop_ends_with_its_reason():
    state = elastic(restarts=2)
    for _ in range(2):
        assert isinstance(state.on(seen(2)), Start)
        assert state.on(Lost("rank 0 was ended by SIGSEGV")) == Look()
    assert isinstance(state.on(seen(2)), Start)
    assert state.on(Lost("rank 0 was ended by SIGSEGV")) == Fail(
        "rank 0 was ended by SIGSEGV\nRanks were lost 3 times in a row with no commit in between."
    )


def test_a_commit_forgives_the_losses_before_it():
    state = elastic(restarts=1)
    for _ in range(5):
        assert isinstance(state.on(seen(2)), Start)
        state.on(Committed(1))
        assert state.on(Lost("gone")) == Look()


def test_a_generation_grows_only_after_a_commit_and_only_if_it_can():
    state = elastic(high=3)
    assert state.on(seen(2)) == Start(1, workers(2))
    assert state.on(Committed(1)) == Look()
    assert state.on(seen(2)) == Continue()
    assert state.on(Committed(1)) == Look()
    assert state.on(seen(8)) == Stop()
    assert state.on(Ended()) == Look()
    assert state.on(seen(8)) == Start(2, workers(3))
    assert state.on(Committed(1)) == Continue()


def test_too_few_workers_are_waited_for_and_then_an_error_says_all_numbers():
    state = elastic(3, 4)
    assert isinstance(state.on(seen(3)), Start)
    state.on(Committed(1))
    state.on(Lost("a host has gone"))
    assert state.on(seen(1, 100.0, held=2)) == Wait()
    assert state.on(seen(1, 109.9, held=2)) == Wait()
    assert state.on(seen(1, 110.0, held=2)) == Fail(
        "3 to 4 ranks need at least 3 Dask workers; the cluster has 3, and other runs hold 2 of them after 10 s of waiting. "
        "Raise cluster.workers or lower training.ranks. The last commit is whole: run again to go on from it."
    )


def test_a_run_that_is_not_elastic_waits_for_workers_that_others_hold_but_not_for_missing_ones():
    assert elastic(3, 3, 0, patient=False).on(seen(1, held=2)) == Wait()
    assert elastic(3, 3, 0, patient=False).on(seen(2)) == Fail(
        "3 ranks need 3 Dask workers; the cluster has 2. Raise cluster.workers or lower training.ranks."
    )
