"""Training on NVIDIA GPUs: `.venv/bin/pytest tests/gpu -rP` there, which also tells samples/s.

All the rest is tested without.
"""

import pytest
import torch
from safetensors.torch import load_file

from tasks.training.distributed import train_on_ranks
from tasks.training.messages import EpochEnded, SystemMetrics
from tasks.training.report import describe
from tests.tasks.training.conftest import client, dataset, digits, own_networks, plan

__all__ = ["client", "dataset", "digits", "own_networks", "plan"]
GPUS = torch.cuda.device_count()
pytestmark = pytest.mark.skipif(
    not GPUS,
    reason="needs an NVIDIA GPU, and torch and Horovod built for it (GYRE_ACCELERATOR=cuda make setup)",
)


@pytest.fixture
def trained(client, plan, digits):
    """Trains on that many ranks; returns weights and the messages of the epochs."""
    rows = digits(1400, validation=150)

    def train(name, **training):
        made, told = plan(name, rows, **{"epochs": 15, "learning_rate": 0.002, "ranks": 1} | training), []
        train_on_ranks(client, made, told.append)
        epochs = [message for message in told if isinstance(message, EpochEnded)]
        print(f"{name}: {describe(epochs[-1])}")
        assert (
            max(
                message.metrics["process_gpu_memory_megabytes"]
                for message in told
                if isinstance(message, SystemMetrics)
            )
            > 0
        )
        return load_file(made.checkpoint / "model.safetensors"), epochs

    return train


def difference(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def test_horovod_sums_on_the_gpu():
    import horovod.torch as hvd

    assert hvd.nccl_built()


@pytest.mark.parametrize("strategy", ["horovod", "ddp", "fsdp", "single"])
def test_one_gpu_trains_by_every_strategy(trained, strategy):
    _, epochs = trained(strategy, strategy=strategy)
    assert epochs[-1].metrics["accuracy"] > 0.9


def test_the_same_training_twice_gives_the_same_bytes(trained):
    (first, _), (second, _) = trained("first", epochs=3), trained("second", epochs=3)
    assert difference(first, second) == 0


def test_bfloat16_and_a_compiled_network_learn_as_much(trained):
    _, exact = trained("float32")
    for name, option in (("bfloat16", {"precision": "bfloat16"}), ("compiled", {"compile": True})):
        _, epochs = trained(name, **option)
        assert epochs[-1].metrics["accuracy"] > exact[-1].metrics["accuracy"] - 0.03


@pytest.mark.skipif(GPUS < 2, reason="needs two GPUs: NCCL allows a rank a GPU")
@pytest.mark.parametrize("options", [{}, {"compression": "fp16"}, {"strategy": "ddp"}, {"strategy": "fsdp"}])
def test_two_gpus_reach_the_weights_of_one(trained, options):
    one, _ = trained("one", epochs=1)
    two, _ = trained("two", epochs=1, ranks=2, **options)
    assert difference(one, two) < (1e-2 if options.get("compression") else 1e-4)
