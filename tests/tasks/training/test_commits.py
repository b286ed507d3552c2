"""Commits: a training goes on from where it stood, also after a damaged file."""

import logging

import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import OneCycleLR

from tasks.training.commits import Commits, optimizer_state, restore_optimizer


@pytest.fixture
def commits(tmp_path):
    return Commits(tmp_path / "commits")


def stepped(steps, commits=None, resume=False):
    """Weights after so many steps on fixed rows; with `resume` the training starts from the newest commit."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = AdamW(model.parameters(), lr=0.1, fused=True)
    schedule = OneCycleLR(optimizer, max_lr=0.1, total_steps=20)
    first = 0
    if resume:
        commit = commits.newest()
        model.load_state_dict(
            {
                name.removeprefix("model."): each
                for name, each in commit.tensors.items()
                if name.startswith("model.")
            }
        )
        restore_optimizer(optimizer, commit.tensors, commit.facts["groups"])
        schedule.load_state_dict(commit.facts["schedule"])
        first = commit.step
    for step in range(first, steps):
        optimizer.zero_grad()
        (model(torch.full((2, 3), step / 10)) ** 2).mean().backward()
        optimizer.step()
        schedule.step()
    if commits and not resume:
        tensors, groups = optimizer_state(optimizer)
        state = {name: value for name, value in schedule.state_dict().items() if not callable(value)}
        tensors |= {f"model.{name}": each for name, each in model.state_dict().items()}
        commits.save(steps, tensors, {"groups": groups, "schedule": state})
    return model.weight.detach()


def test_a_resumed_training_reaches_the_same_weights_to_the_bit(commits):
    stepped(7, commits)
    assert torch.equal(stepped(15, commits, resume=True), stepped(15))


def test_a_damaged_commit_is_passed_over_for_the_one_before(commits, caplog):
    stepped(3, commits)
    stepped(5, commits)
    newest = commits.paths()[-1]
    content = bytearray((newest / "state.safetensors").read_bytes())
    content[-1] ^= 1
    (newest / "state.safetensors").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert commits.newest().step == 3
    assert "is damaged; the commit before it is taken" in caplog.text


def test_the_last_commits_and_the_best_stay(commits):
    for step, score in enumerate([0.1, 0.9, 0.3, 0.2, 0.4], start=1):
        commits.save(step, {"a": torch.ones(1) * step}, {}, score)
    assert [int(path.name.split("-")[1]) for path in commits.paths()] == [2, 4, 5]


def test_an_interrupted_write_leaves_the_commits_as_they_were(commits):
    commits.save(1, {"a": torch.ones(1)}, {})
    with pytest.raises(TypeError):
        commits.save(2, {"a": torch.ones(1)}, {"not JSON": object()})
    assert [path.name for path in commits.folder.iterdir()] == [path.name for path in commits.paths()]
    assert commits.newest().step == 1


def test_the_same_commit_again_is_the_same(commits):
    assert commits.save(1, {"a": torch.ones(1)}, {}) == commits.save(1, {"a": torch.ones(1)}, {})


def test_no_commit_is_none(commits):
    assert commits.newest() is None


def test_a_state_that_is_no_tensor_is_named():
    optimizer = SGD([nn.Parameter(torch.ones(1))], lr=0.1)
    optimizer.state[optimizer.param_groups[0]["params"][0]]["count"] = 3
    with pytest.raises(TypeError, match="'count' is int"):
        optimizer_state(optimizer)
