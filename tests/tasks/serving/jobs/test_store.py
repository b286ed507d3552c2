"""Jobs on the disk: one worker at a time, nothing twice, and a limit to everything."""

import pytest

from tasks.serving.jobs import store as module
from tasks.serving.jobs.store import LEASE_S, MOST_CLAIMS, JobStore, QueueFullError


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def opened(tmp_path):
    """Opens the store, as each process does."""
    stores = []

    def make(clock):
        stores.append(JobStore(tmp_path / "jobs", clock))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


def job(number, **more):
    usual = {"id": f"job{number}", "project": "notes", "caller": "shop", "keep_s": 60.0}
    return usual | {"content_type": "", "allow_missing": False, "log": True} | more


def test_a_job_is_claimed_by_one_process_alone(opened, clock):
    first, second = opened(clock), opened(clock)
    first.submit(job(1), b"spam")
    claimed = first.claim()
    assert (claimed.id, second.claim()) == ("job1", None)
    assert second.body(claimed) == b"spam"


def test_a_job_whose_worker_was_killed_is_taken_up_and_the_dead_one_changes_nothing(opened, clock):
    first, second = opened(clock), opened(clock)
    first.submit(job(1), b"spam")
    dead = first.claim()
    assert first.add_answer(dead, 0, b"{}", rows=2000, parts=2)
    clock.now += LEASE_S
    taken = second.claim()
    assert (taken.parts_done, taken.claims) == (1, 2)
    assert not first.add_answer(dead, 1, b"dead", rows=2000, parts=2)
    assert not first.finish(dead, "succeeded")
    assert second.add_answer(taken, 1, b"[]", rows=2000, parts=2)
    assert second.finish(taken, "succeeded")
    assert second.answers(taken) == [b"{}", b"[]"]


def test_a_renewed_job_stays_with_its_worker(opened, clock):
    store = opened(clock)
    store.submit(job(1), b"spam")
    claimed = store.claim()
    clock.now += LEASE_S - 1
    assert store.renew(claimed)
    clock.now += LEASE_S - 1
    assert store.claim() is None


def test_a_job_that_is_given_back_counts_no_killed_worker(opened, clock):
    store = opened(clock)
    store.submit(job(1), b"spam")
    for _ in range(MOST_CLAIMS + 1):
        claimed = store.claim()
        assert claimed.claims == 1
        store.give_back(claimed, after_s=5)
        assert store.claim() is None
        clock.now += 5


def test_a_cancelled_job_takes_no_answer_of_its_worker(opened, clock):
    store = opened(clock)
    store.submit(job(1), b"spam")
    claimed = store.claim()
    assert store.cancel(claimed).state == "cancelled"
    assert not store.add_answer(claimed, 0, b"{}", rows=1, parts=1)
    assert store.answers(claimed) == []


def test_a_submission_that_is_repeated_with_its_key_is_the_same_job(opened, clock):
    store = opened(clock)
    first = store.submit(job(1, idempotency_key="a"), b"spam")
    assert store.submit(job(2, idempotency_key="a"), b"spam") == first
    assert store.submit(job(3, idempotency_key="a", caller="other"), b"spam").id == "job3"


def test_a_caller_with_too_many_jobs_is_told_so_and_others_have_room(opened, clock, monkeypatch):
    monkeypatch.setattr(module, "MOST_OF_CALLER", 2)
    store = opened(clock)
    for number in range(2):
        store.submit(job(number), b"spam")
    with pytest.raises(QueueFullError, match="shop has 2 jobs that wait, the most") as full:
        store.submit(job(2), b"spam")
    assert full.value.is_callers
    store.submit(job(3, caller="other"), b"spam")


@pytest.mark.parametrize(
    ("limit", "value", "text"),
    [
        ("MOST_WAITING", 1, "1 jobs wait, the most there may be"),
        ("MOST_KEPT", 1, "1 jobs are kept, the most"),
        ("MOST_BYTES", 5, "jobs have 0 MB on the disk, the most"),
    ],
)
def test_a_full_queue_takes_no_more(opened, clock, monkeypatch, limit, value, text):
    monkeypatch.setattr(module, limit, value)
    store = opened(clock)
    store.submit(job(1), b"spam")
    with pytest.raises(QueueFullError, match=text) as full:
        store.submit(job(2), b"spam")
    assert not full.value.is_callers


def test_a_finished_job_is_forgotten_in_time_but_not_before_its_webhook_was_called(opened, clock):
    store = opened(clock)
    store.submit(job(1, webhook="https://a/"), b"spam")
    store.finish(store.claim(), "succeeded")
    clock.now += 60
    assert store.expire() == 0
    called = store.claim_webhook((5.0, 30.0))
    assert store.claim_webhook((5.0, 30.0)) is None
    store.note_webhook(called, "delivered", None)
    assert (store.expire(), store.find("job1")) == (1, None)


def test_a_webhook_is_due_again_later_and_later(opened, clock):
    store = opened(clock)
    store.submit(job(1, webhook="https://a/"), b"spam")
    assert store.claim_webhook((5.0, 30.0)) is None
    store.finish(store.claim(), "failed", 400, "no")
    waits = []
    for _ in range(4):
        while (called := store.claim_webhook((5.0, 30.0))) is None:
            clock.now += 1
        waits.append(called.webhook_due - clock.now)
    assert waits == [5, 30, 30, 30]
