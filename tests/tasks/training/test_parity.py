"""N ranks, by any strategy, compute what one process would.

The same weights after an epoch at the same global batch.
"""

import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from configs.cluster import ClusterConfig
from infra.cluster import open_cluster
from infra.files import read_json
from infra.ranks.messages import Committed
from tasks.intake import build_intake
from tasks.records import DatasetVersion
from tasks.rows.parts import record_of, write
from tasks.training.batch_norm import BatchNorm
from tasks.training.distributed import train_on_ranks
from tasks.training.loop import fit
from tasks.training.messages import EpochEnded
from tasks.training.plan import Plan
from tasks.training.strategy import Single

sys.path.append(str(Path(__file__).parent))
from kinds import KINDS

NETWORKS = {
    "layers": {"network": "networks:Layers"},
    "convolutions": {"network": "networks:Convolutions"},
    "default": {},
}


@pytest.fixture(scope="module")
def client():
    with open_cluster(ClusterConfig(workers=4)) as client:
        yield client


@pytest.fixture
def made(plan, own_networks, tmp_path):
    """Makes a plan for one of NETWORKS or KINDS. 299 images, 301 of the others.

    In the last batch a rank of four has another number.
    """

    def make(network, name, **training):
        made = plan(name, **{"epochs": 1, **NETWORKS.get(network, {}), **training})
        if network in NETWORKS:
            return made
        frame, intake, result = KINDS[network](301)
        built = build_intake(intake)
        folder = tmp_path / name / "rows"
        folder.mkdir(parents=True)
        rows = built.frame(built.rows(frame)).assign(
            **{result.label: frame[result.label]}, id=[str(n) for n in range(301)], split="train"
        )
        write([pd.DataFrame(rows)], folder)
        facts = {
            "project": network,
            "version": 1,
            "tag": f"{network}/v1",
            "commit": "c",
            "rows": 301,
            "splits": {"train": 301},
        }
        dataset = DatasetVersion(**record_of(folder).model_dump(), **facts)
        return Plan(
            dataset=dataset, intake=intake, result=result, training=made.training, folder=tmp_path / name
        )

    return make


def difference(one, other):
    tensors = [load_file(plan.checkpoint / "model.safetensors") for plan in (one, other)]
    assert tensors[0].keys() == tensors[1].keys()
    return max(float((tensor - tensors[1][name]).abs().max()) for name, tensor in tensors[0].items())


@pytest.mark.parametrize(
    ("network", "ranks"), [("layers", 4), ("convolutions", 2), ("convolutions", 4), ("text", 4), ("table", 2)]
)
def test_several_ranks_reach_the_weights_of_one_process(client, made, network, ranks):
    one, several = made(network, "one"), made(network, "several", ranks=ranks)
    fit(one, Single(), lambda _: None)
    train_on_ranks(client, several, lambda _: None)
    assert difference(one, several) < 1e-5
    assert read_json(one.checkpoint / "encoder.json") == read_json(several.checkpoint / "encoder.json")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_other_strategies_reach_them_too(client, made, strategy):
    one, three = (
        made("convolutions", "one", max_grad_norm=1.0),
        made("convolutions", "three", max_grad_norm=1.0, ranks=3, strategy=strategy),
    )
    told = [], []
    fit(one, Single(), told[0].append)
    train_on_ranks(client, three, told[1].append)
    assert difference(one, three) < 1e-5
    accuracies = [
        [message.metrics for message in messages if isinstance(message, EpochEnded)] for messages in told
    ]
    assert accuracies[0] == accuracies[1]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_pieces_of_a_share_change_nothing(client, made, strategy):
    one, two = (
        made("default", "one"),
        made("default", "two", ranks=2, strategy=strategy, accumulation_steps=2),
    )
    fit(one, Single(), lambda _: None)
    train_on_ranks(client, two, lambda _: None)
    assert difference(one, two) < 1e-5


def test_parts_of_a_network_are_committed_whole_and_go_on_by_another_strategy(client, made):
    undisturbed, killed = (
        made("convolutions", "undisturbed", ranks=2),
        made("convolutions", "killed", ranks=2, commit_seconds=1e-9),
    )
    killed = killed.model_copy(update={"training": killed.training.model_copy(update={"strategy": "fsdp"})})
    train_on_ranks(client, undisturbed, lambda _: None)

    def stop(message):
        if message == Committed(3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_on_ranks(client, killed, stop)
    kept = killed.folder / "commits"
    commit = max(path for path in kept.iterdir() if path.name.startswith("step-"))
    told = []
    for name, strategy in (("as-parts", "fsdp"), ("as-one", "single")):
        again = made(
            "convolutions",
            name,
            ranks=1 if strategy == "single" else 2,
            strategy=strategy,
            resume=commit,
            commit_seconds=1e-9,
        )
        train_on_ranks(client, again, told.append)
        assert difference(undisturbed, again) < 1e-5
    assert min(message.step for message in told if isinstance(message, Committed)) > 3


def test_batch_normalisation_over_ranks_is_torchs_own_on_one():
    torch.manual_seed(0)
    rows = torch.randn(16, 3, 5) * 7 + 100
    one, two = torch.nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)
    outputs = []
    for layer in (one, BatchNorm(two, Single(), type("Rows", (), {"counts": True}))):
        given = rows.clone().requires_grad_()
        (layer(given) ** 3).sum().backward()
        outputs.append((layer(given), given.grad, layer.running_mean, layer.running_var, layer.eval()(given)))
    for mine, torchs in zip(*outputs, strict=True):
        torch.testing.assert_close(mine, torchs, rtol=1e-4, atol=1e-4)
