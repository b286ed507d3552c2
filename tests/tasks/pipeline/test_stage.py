"""A stage's outcome is keyed by its inputs and its code."""

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import StateType
from prefect.states import Completed
from prefect.testing.utilities import prefect_test_harness

from configs.training import TrainingConfig
from flows.ending import project_name, refusable
from tasks.pipeline.code import code_digest, installed
from tasks.pipeline.stage import REFUSED, StoppedError, outcome_key, stage, table


def step(rows, training, cluster=None):
    """Stands for a stage's task."""


@pytest.fixture(autouse=True)
def in_a_stage(monkeypatch):
    monkeypatch.setattr(step, "__module__", "tasks.training.task", raising=False)


def test_equal_inputs_give_equal_keys_and_others_do_not():
    one = outcome_key(step, {"rows": 1, "training": TrainingConfig()})
    assert one == outcome_key(step, {"training": TrainingConfig(), "rows": 1})
    assert one != outcome_key(step, {"rows": 1, "training": TrainingConfig(epochs=3)})
    assert one.startswith("training-")


def test_a_volatile_input_changes_nothing():
    keys = {outcome_key(step, {"rows": 1, "cluster": cluster}, ("cluster",)) for cluster in ("here", "there")}
    assert len(keys) == 1


def test_a_users_changed_network_changes_the_key(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "users_network.py"
    inputs = {"training": TrainingConfig(network="users_network:Net")}
    source.write_text("class Net: ...")
    before = outcome_key(step, inputs)
    source.write_text("class Net: pass")
    code_digest.cache_clear()
    installed.cache_clear()
    assert outcome_key(step, inputs) != before


def test_a_table_keeps_its_cells_apart():
    assert (
        table([{"rule": "a|b", "share": 0.123456}]) == "| rule | share |\n| --- | --- |\n| a\\|b | 0.1235 |"
    )


@pytest.fixture(scope="module")
def prefect():
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture
def refused(prefect, settings, monkeypatch, caplog):
    """A flow whose one stage refuses values under its limit; gives how often the stage ran, and the flow."""
    ran = []

    def weigh(value: int, limit: int) -> int:
        ran.append(value)
        if value < limit or len(ran) == 1:
            raise StoppedError(
                "the scales refuse it",
                [f"value {value} is under limit {limit}"],
                "a larger value, or another limit",
            )
        return value

    weigh.__module__ = "tasks.training.task"
    task = stage()(weigh)

    @flow(name="scales", flow_run_name=project_name)
    @refusable
    def scales(project: str, limit: int):
        return Completed(message="weighed", data=task(3, limit))

    return ran, scales


TOLD = "the scales refuse it:\n- value 3 is under limit 5\nIt would take: a larger value, or another limit."


def test_a_stage_that_refuses_ends_the_run_as_refused_with_reasons_and_without_a_traceback(refused, caplog):
    state = refused[1]("things", 5, return_state=True)
    assert (state.name, state.type, state.message) == (REFUSED, StateType.CANCELLED, TOLD)
    with get_client(sync_client=True) as client:
        (task_run,) = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        )
        run = client.read_flow_run(state.state_details.flow_run_id)
    assert (task_run.state.name, task_run.state.message) == (REFUSED, TOLD)
    assert run.name == "things: the scales refuse it"
    assert "Traceback" not in caplog.text


def test_a_refused_run_raises_nothing_that_prefect_would_log_as_unexpected(refused):
    assert refused[1]("things", 5) is None


def test_a_refusal_is_not_kept_and_the_stage_runs_again(refused):
    ran, scales = refused
    assert scales("/a/folder/things.yaml", 2, return_state=True).name == REFUSED
    assert scales("/a/folder/things.yaml", 2, return_state=True).name == "Completed"
    assert scales("/a/folder/things.yaml", 2, return_state=True).name == "Completed"
    assert ran == [3, 3]
