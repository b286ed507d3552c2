"""One training loop, on one process and on real ranks."""

import pytest
import torch
from safetensors.torch import load_file

from infra.files import read_json
from infra.horovod.ranks import RankError, run_on_ranks
from tasks.training.loop import Adam, Fitting, fit
from tasks.training.strategy import Single
from tasks.training.train import DivergedError, train_on_ranks


def weights(plan):
    return load_file(plan.checkpoint / "model.safetensors")


def largest_difference(one, other):
    assert weights(one).keys() == weights(other).keys()
    return max(float((tensor - weights(other)[name]).abs().max()) for name, tensor in weights(one).items())


def on_two_ranks(client, plan):
    messages = []
    return train_on_ranks(client, plan, messages.append), messages


def on_one_process(plan):
    messages = []
    fit(plan, Single(), messages.append)
    return messages


@pytest.mark.parametrize("epochs", [1, 3])
def test_two_ranks_reach_the_weights_of_one_process(client, plan, epochs):
    one, two = plan("one", epochs=epochs), plan("two", epochs=epochs)
    before = on_one_process(one)
    _, messages = on_two_ranks(client, two)
    assert largest_difference(one, two) < 1e-5
    assert [message["loss"] for message in messages] == pytest.approx([message["loss"] for message in before], abs=1e-5)
    assert [message["accuracy"] for message in messages] == [message["accuracy"] for message in before]


def test_a_last_batch_of_one_row_counts_the_same_on_two_ranks(client, plan, digits):
    rows = digits(65)
    one, two = plan("one", rows), plan("two", rows)
    on_one_process(one)
    on_two_ranks(client, two)
    assert largest_difference(one, two) < 1e-5


def test_both_ranks_end_with_the_same_weights(client, plan):
    arguments = plan("both").model_dump(mode="json")
    first, second = run_on_ranks(client, "tasks.training.loop:on_rank", arguments, 2, 120, lambda _: None)
    assert first == second
    assert len(first["weights"]) == 64


def test_the_same_training_twice_gives_the_same_bytes(client, plan):
    (first, _), (second, _) = on_two_ranks(client, plan("first")), on_two_ranks(client, plan("second"))
    assert first.digest == second.digest


def test_another_seed_gives_another_model(plan):
    one, other = plan("one", epochs=1), plan("other", epochs=1, seed=8)
    on_one_process(one)
    on_one_process(other)
    assert largest_difference(one, other) > 1e-3


def test_each_epoch_is_told_once(client, plan):
    _, messages = on_two_ranks(client, plan("told", epochs=3))
    assert [(message["epoch"], message["epochs"]) for message in messages] == [(1, 3), (2, 3), (3, 3)]
    assert all(set(message) == {"epoch", "epochs", "loss", "samples_per_s", "accuracy"} for message in messages)


def test_without_a_validation_split_the_metric_is_left_out(plan, digits):
    messages = on_one_process(plan("bare", digits(64, validation=0), epochs=1))
    assert set(messages[0]) == {"epoch", "epochs", "loss", "samples_per_s"}


def test_every_epoch_sees_every_row_once_in_another_order(plan):
    fitting = Fitting(plan("order"), Single())
    fitting.targets = torch.arange(len(fitting.rows))
    first, second = ([int(row) for _, targets, _, _ in fitting.shares(epoch) for row in targets] for epoch in (1, 2))
    assert sorted(first) == sorted(second) == list(range(299))
    assert first != second


def test_the_checkpoint_says_what_it_was_made_from(plan, dataset):
    made = plan("facts", epochs=1)
    on_one_process(made)
    facts = read_json(made.checkpoint / "checkpoint.json")
    assert facts["dataset"] == dataset.digest
    assert facts["training"]["seed"] == 7
    assert set(facts) == {"project", "dataset", "weights", "intake", "result", "training"}


def test_a_network_of_the_users_own_with_running_statistics_trains_alike_on_both_ranks(client, plan, own_networks):
    checkpoint, messages = on_two_ranks(client, plan("own", network="networks:WithStatistics", learning_rate=0.01, epochs=5))
    assert checkpoint.digest
    assert messages[-1]["accuracy"] > 0.7


def test_ranks_that_end_with_different_weights_give_no_model(client, plan, own_networks):
    with pytest.raises(DivergedError, match=r"the ranks ended with different weights \(rank 0: [0-9a-f]{12}, rank 1: [0-9a-f]{12}\)"):
        on_two_ranks(client, plan("straying", network="networks:Straying", epochs=1))


def test_a_network_that_cannot_be_found_fails_the_training_by_name(client, plan):
    with pytest.raises(RankError, match="nowhere:Net: no module 'nowhere'"):
        on_two_ranks(client, plan("nowhere", network="nowhere:Net"))


def test_adam_steps_as_torchs_own():
    reached = []
    for kind in (Adam, torch.optim.AdamW):
        torch.manual_seed(0)
        layer, rows = torch.nn.Linear(5, 3), torch.randn(8, 5)
        optimizer = kind(layer.parameters(), lr=0.01, weight_decay=0.1, fused=True)
        for _ in range(10):
            optimizer.zero_grad()
            (layer(rows) ** 2).mean().backward()
            optimizer.step()
        reached.append(layer.weight.detach())
    assert torch.equal(*reached)
