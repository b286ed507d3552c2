"""One training loop, on one process and on real ranks."""

import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from configs.training import TrainingConfig
from infra.files import digest, read_json
from infra.ranks.messages import Committed
from infra.ranks.run import RankError
from tasks.training.distributed import DivergedError, run, train_on_ranks
from tasks.training.evaluate import validate
from tasks.training.loop import Fitting, fit
from tasks.training.messages import EpochEnded, Progress
from tasks.training.optimizer import Adam, rate
from tasks.training.report import describe
from tasks.training.strategy import Single
from tests.tasks.training.conftest import planned


def weights(plan):
    return load_file(plan.checkpoint / "model.safetensors")


def largest_difference(one, other):
    assert weights(one).keys() == weights(other).keys()
    return max(float((tensor - weights(other)[name]).abs().max()) for name, tensor in weights(one).items())


def epochs_of(messages):
    return [message for message in messages if isinstance(message, EpochEnded)]


def on_two_ranks(client, plan):
    messages = []
    return train_on_ranks(client, plan, messages.append), epochs_of(messages)


def on_one_process(plan):
    messages = []
    fit(plan, Single(), messages.append)
    return epochs_of(messages)


@pytest.fixture(scope="module")
def pair(client, dataset, tmp_path_factory):
    """The same training on one process and on two ranks: plans and the epochs' messages."""
    base = tmp_path_factory.mktemp("pair")
    one, two = planned(dataset, base / "one", epochs=3), planned(dataset, base / "two", epochs=3)
    before, (_, messages) = on_one_process(one), on_two_ranks(client, two)
    return one, before, two, messages


def test_two_ranks_reach_the_weights_of_one_process(pair):
    one, before, two, messages = pair
    assert largest_difference(one, two) < 1e-5
    assert [message.loss for message in messages] == pytest.approx(
        [message.loss for message in before], abs=1e-5
    )
    assert [message.metrics["accuracy"] for message in messages] == [
        message.metrics["accuracy"] for message in before
    ]


def test_a_last_batch_of_one_row_counts_the_same_on_two_ranks(client, plan, digits):
    rows = digits(65)
    one, two = plan("one", rows), plan("two", rows)
    on_one_process(one)
    on_two_ranks(client, two)
    assert largest_difference(one, two) < 1e-5


def test_the_same_training_twice_gives_the_same_bytes(client, plan, pair):
    again = plan("again", epochs=3)
    first, second = run(client, again, lambda _: None)
    assert first == second
    assert len(first.weights) == 64
    assert digest(again.checkpoint) == digest(pair[2].checkpoint)


def test_another_seed_gives_another_model(plan):
    one, other = plan("one", epochs=1), plan("other", epochs=1, seed=8)
    on_one_process(one)
    on_one_process(other)
    assert largest_difference(one, other) > 1e-3


def test_each_epoch_is_told_once(pair):
    messages = pair[3]
    assert [(message.epoch, message.epochs) for message in messages] == [(1, 3), (2, 3), (3, 3)]
    assert all(set(message.metrics) == {"accuracy"} for message in messages)


def test_without_a_validation_split_the_metric_is_left_out(plan, digits):
    messages = on_one_process(plan("bare", digits(64, validation=0), epochs=1))
    assert messages[0].metrics == {}


def test_a_killed_training_goes_on_from_its_last_commit_to_the_same_bytes(plan):
    undisturbed, killed = plan("undisturbed", epochs=3), plan("killed", epochs=3)
    on_one_process(undisturbed)

    def stop(message):
        if message == Committed(5):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(killed, Single(), stop)
    told = on_one_process(killed)
    assert [message.epoch for message in told] == [1, 2, 3]
    assert digest(killed.checkpoint) == digest(undisturbed.checkpoint)
    assert not (killed.folder / "commits").exists()


def test_a_training_goes_on_in_the_middle_of_an_epoch_on_another_number_of_ranks(client, plan):
    undisturbed, killed = plan("undisturbed", epochs=2), plan("killed", epochs=2, commit_seconds=1e-9)
    on_one_process(undisturbed)

    def stop(message):
        if message == Committed(8):  # of 5 steps an epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(killed, Single(), stop)
    on_two_ranks(client, killed)
    assert largest_difference(undisturbed, killed) < 1e-5


def test_a_share_computed_in_pieces_gives_the_same_weights(client, plan):
    whole, pieces, ranks = (
        plan("whole"),
        plan("pieces", accumulation_steps=3),
        plan("ranks", accumulation_steps=2),
    )
    on_one_process(whole)
    on_one_process(pieces)
    on_two_ranks(client, ranks)
    assert largest_difference(whole, pieces) < 1e-5
    assert largest_difference(whole, ranks) < 1e-5


def test_gradients_are_clipped_alike_on_one_process_and_on_two_ranks(client, plan):
    free, one, two = plan("free"), plan("one", max_grad_norm=0.1), plan("two", max_grad_norm=0.1)
    for each in (free, one):
        on_one_process(each)
    on_two_ranks(client, two)
    assert largest_difference(one, two) < 1e-5
    assert largest_difference(one, free) > 1e-4


def test_compressed_gradients_train_nearly_alike(client, plan, pair):
    compressed = plan("compressed", epochs=3, compression="fp16")
    _, after = on_two_ranks(client, compressed)
    assert 0 < largest_difference(compressed, pair[2]) < 0.1
    assert after[-1].loss == pytest.approx(pair[3][-1].loss, rel=0.02)


def test_bfloat16_trains(plan):
    assert (
        on_one_process(plan("bf16", epochs=8, learning_rate=0.004, precision="bfloat16"))[-1].metrics[
            "accuracy"
        ]
        > 0.7
    )


def test_the_weights_of_the_epoch_that_did_best_on_the_validation_split_are_kept(plan):
    made = plan("wild", epochs=12, learning_rate=0.1, schedule="constant")
    scores = [message.metrics["accuracy"] for message in on_one_process(made)]
    assert max(scores) > scores[-1]
    assert evaluate_validation(made) == pytest.approx(max(scores))


def test_training_stops_when_nothing_gets_better(plan):
    scores = [
        message.metrics["accuracy"]
        for message in on_one_process(plan("patient", epochs=40, learning_rate=0.004, patience=2))
    ]
    assert len(scores) < 40
    assert max(scores) == scores[-3]


def test_a_training_stops_by_itself_where_a_third_of_it_brings_nothing_better(plan):
    scores = [
        message.metrics["accuracy"]
        for message in on_one_process(plan("still", epochs=60, learning_rate=1e-12))
    ]
    assert len(scores) == 1 + 60 // 3


def test_a_budget_of_minutes_is_kept_and_the_learning_rate_falls_within_it(plan):
    made = plan("budget", epochs=5000, learning_rate=0.004, minutes=0.02)
    fitting = Fitting(made, Single(), lambda _: None)
    while not fitting.over:
        fitting.epoch()
    assert fitting.step == fitting.steps < 5000 * fitting.loader.steps
    assert fitting.optimizer.param_groups[0]["lr"] < 0.0004
    resumed = Fitting(made, Single(), lambda _: None)
    resumed.resume()
    assert (resumed.step, resumed.steps, resumed.over) == (fitting.step, fitting.steps, True)


def evaluate_validation(plan):
    fitting = Fitting(plan, Single(), lambda _: None)
    fitting.model.load_state_dict(weights(plan))
    return validate(fitting.model, fitting.result, fitting.batches.held_out, Single())["accuracy"]


def test_the_learning_rate_rises_and_falls_as_its_schedule_says():
    warm = TrainingConfig(learning_rate=0.1, warmup=0.5)
    assert [round(rate(warm, step, 8), 4) for step in (0, 4, 6, 8)] == [0.004, 0.1, 0.05, 0.0]
    linear = TrainingConfig(learning_rate=0.1, warmup=0, schedule="linear")
    assert [round(rate(linear, step, 8), 4) for step in (0, 4, 8)] == [0.1, 0.05, 0.0]
    assert rate(TrainingConfig(learning_rate=0.1, warmup=0, schedule="constant"), 7, 8) == 0.1


def test_the_checkpoint_says_what_it_was_made_from(plan, dataset):
    made = plan("facts", epochs=1)
    on_one_process(made)
    facts = read_json(made.checkpoint / "checkpoint.json")
    assert facts["dataset"] == dataset.digest
    assert facts["training"]["seed"] == 7
    assert set(facts) == {"project", "dataset", "weights", "intake", "result", "training"}


def test_a_network_of_the_users_own_with_running_statistics_trains_alike_on_both_ranks(
    client, plan, own_networks
):
    checkpoint, messages = on_two_ranks(
        client, plan("own", network="networks:WithStatistics", learning_rate=0.01, epochs=5)
    )
    assert checkpoint.digest
    assert messages[-1].metrics["accuracy"] > 0.7


def test_ranks_that_end_with_different_weights_give_no_model(client, plan, own_networks):
    with pytest.raises(
        DivergedError,
        match=r"the ranks ended with different weights \(rank 0: [0-9a-f]{12}, rank 1: [0-9a-f]{12}\)",
    ):
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


COMPILER = """
import sys
from infra.ranks.messages import Committed
from tasks.training import loop, plan, strategy
for step in (5, None):
    def stop(message):
        if step and message == Committed(step):
            raise KeyboardInterrupt
    try:
        loop.fit(plan.Plan.model_validate_json(sys.argv[1]), strategy.Single(), stop)
    except KeyboardInterrupt:
        pass
print("torch._dynamo" in sys.modules)
"""


def test_a_training_its_commits_and_going_on_from_one_do_without_the_import_of_torchs_compiler(plan):
    command = [sys.executable, "-c", COMPILER, plan("apart").model_dump_json()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_within_an_epoch_it_says_how_far_it_is_and_how_it_goes(plan, monkeypatch):
    monkeypatch.setattr("tasks.training.loop.PROGRESS_S", 0)
    found = []
    fit(plan("told", epochs=2), Single(), found.append)
    told = [message for message in found if isinstance(message, Progress)]
    assert [message.share for message in told] == pytest.approx(
        [(step + 1) / len(told) for step in range(len(told))]
    )
    assert told[-1].loss < told[0].loss
    assert told[-1].seconds_left == 0 < told[0].seconds_left
    assert re.fullmatch(r"loss \d\S+, [\d,]+ samples/s, 0:00:00 left", describe(told[-1]))
