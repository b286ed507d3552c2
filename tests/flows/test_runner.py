"""Which looks at production a runner takes.

What a hundred missed ones, a slow one, or a pause do to the next.
"""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Running, Scheduled
from prefect.testing.utilities import prefect_test_harness

from flows.deployments import deployment
from flows.drift import drift
from flows.runner import LOOKS_AT_ONCE, Claims, SparingRunner, keep_pauses
from infra.settings import Settings

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module", autouse=True)
def prefect():
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def looks(tmp_path, monkeypatch):
    """Makes a project's look in a state, as its schedule does, and asks whether a runner takes it."""
    monkeypatch.setenv("GYRE_HOME", str(tmp_path / "home"))
    made = []

    class Looks:
        def __init__(self, name):
            found = deployment(
                drift, f"{name}-{tmp_path.name}", interval=3600, parameters={"project": "digits"}
            )
            self.deployment = found.apply()
            made.append(self.deployment)

        def add(self, state):
            with get_client(sync_client=True) as client:
                run = client.create_flow_run_from_deployment(
                    self.deployment, parameters={"project": "digits"}, state=state
                )
            return run.model_copy(update={"auto_scheduled": True})

        def due(self, before=timedelta(seconds=1)):
            return self.add(Scheduled(scheduled_time=datetime.now(UTC) - before))

        def is_taken(self, run):
            return asyncio.run(with_runner(lambda runner: Claims(runner).propose_pending(run)))

    async def with_runner(ask):
        async with SparingRunner(Settings(), 4) as runner:
            runner.looks = set(made)
            return await ask(runner)

    Looks.chosen = lambda due: asyncio.run(with_runner(lambda runner: runner.choose(due, ())))
    yield Looks
    with get_client(sync_client=True) as client:
        for each in made:
            client.delete_deployment(each)


def state_of(run):
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run.id).state


def test_of_looks_that_were_missed_the_last_is_taken_and_the_others_say_why_not(looks):
    digits = looks("digits")
    missed, last = [digits.due(MINUTE * number) for number in (9, 6, 3)], digits.due()
    assert looks.chosen([last, *missed]) == [last]
    assert {(state_of(run).name, state_of(run).message) for run in missed} == {
        ("Superseded", "A later look is due as well: one is enough.")
    }
    assert digits.is_taken(last)
    assert state_of(last).is_pending()


def test_a_look_beside_another_of_its_project_is_superseded(looks):
    digits, wine = looks("digits"), looks("wine")
    running = digits.add(Running())
    second = digits.due()
    assert not digits.is_taken(second)
    assert state_of(second).message == f"The look {running.name} is under way."
    assert wine.is_taken(wine.due())


def test_looks_leave_places_to_other_runs_and_wait_without_one(looks):
    waiting = [looks(f"busy-{number}").due(MINUTE * (9 - number)) for number in range(LOOKS_AT_ONCE + 2)]
    asked_for = looks("digits").due().model_copy(update={"auto_scheduled": False})
    assert looks.chosen([*waiting, asked_for]) == [asked_for, *waiting[:LOOKS_AT_ONCE]]
    assert all(state_of(run).is_scheduled() for run in waiting)


def test_a_look_whose_end_was_lost_keeps_no_other_from_being_taken(looks, monkeypatch):
    monkeypatch.setattr("flows.runner.LONGEST_LOOK", timedelta(0))
    digits = looks("digits")
    digits.add(Running())
    assert digits.is_taken(digits.due())


def test_what_somebody_paused_stays_paused_when_a_runner_starts_again(looks):
    def registered():
        return deployment(drift, "paused", interval=3600, parameters={"project": "digits"})

    found = registered().apply()
    with get_client(sync_client=True) as client:
        client.pause_deployment(found)
        (schedule,) = client.read_deployment(found).schedules
        client.update_deployment_schedule(found, schedule.id, active=False)
        again = registered()
        keep_pauses(again)
        again.apply()
        known = client.read_deployment(found)
    assert known.paused
    assert [each.active for each in known.schedules] == [False]
