"""A stage's outcome is keyed by its inputs and its code."""

import pytest

from configs.project import Training
from tasks.code import code_digest, installed
from tasks.stage import outcome_key, table


def step(rows, training, cluster=None):
    """Stands for a stage's task."""


@pytest.fixture(autouse=True)
def in_a_stage(monkeypatch):
    monkeypatch.setattr(step, "__module__", "tasks.training.task", raising=False)


def test_equal_inputs_give_equal_keys_and_others_do_not():
    one = outcome_key(step, {"rows": 1, "training": Training()})
    assert one == outcome_key(step, {"training": Training(), "rows": 1})
    assert one != outcome_key(step, {"rows": 1, "training": Training(epochs=3)})
    assert one.startswith("training-")


def test_a_volatile_input_changes_nothing():
    keys = {outcome_key(step, {"rows": 1, "cluster": cluster}, ("cluster",)) for cluster in ("here", "there")}
    assert len(keys) == 1


def test_a_users_changed_network_changes_the_key(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "users_network.py"
    inputs = {"training": Training(network="users_network:Net")}
    source.write_text("class Net: ...")
    before = outcome_key(step, inputs)
    source.write_text("class Net: pass")
    code_digest.cache_clear()
    installed.cache_clear()
    assert outcome_key(step, inputs) != before


def test_a_table_keeps_its_cells_apart():
    assert table([{"rule": "a|b", "share": 0.123456}]) == "| rule | share |\n| --- | --- |\n| a\\|b | 0.1235 |"
