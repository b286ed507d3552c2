"""The registry of entry points: what a team starts, by name, schedule and trigger."""

import importlib

import pytest

from configs.load import project_names
from flows.deployments import deployments
from infra.settings import Settings
from tasks.records.events import labels


@pytest.fixture(scope="module")
def registry():
    return {f"{each.flow_name}/{each.name}": each for each in deployments(Settings())}


def test_the_registry_holds_a_cycle_and_a_drift_flow_for_every_project_and_for_any(registry):
    assert {"cycle/on-demand", "drift/on-demand", "tune/on-demand", "score/on-demand"} <= set(registry)
    for project in project_names():
        assert {f"cycle/{project}-nightly", f"cycle/{project}-on-drift", f"drift/{project}"} <= set(registry)


def test_an_example_that_is_not_scheduled_runs_when_someone_starts_it(registry):
    assert not registry["cycle/adult-nightly"].schedules
    assert not registry["drift/adult"].schedules


def test_every_entry_point_imports(registry):
    for deployment in registry.values():
        module, _, name = deployment.entrypoint.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name)), deployment.entrypoint


def test_the_nightly_cycle_runs_by_cron_and_the_drift_flow_by_interval(registry):
    assert registry["cycle/digits-nightly"].schedules[0].schedule.cron == "0 3 * * *"
    assert registry["drift/digits"].schedules[0].schedule.interval.total_seconds() == 20


def test_the_retraining_is_triggered_by_the_event_that_the_drift_flow_emits(registry):
    (trigger,) = registry["cycle/digits-on-drift"].triggers
    assert trigger.expect == {"gyre.drift.detected"}
    assert trigger.match.root == labels("digits", Settings().credential)
    assert set(trigger.match.root) == {"prefect.resource.id", "gyre.signature"}
    assert trigger.parameters["episode"] == "{{ event.payload.episode }}"
