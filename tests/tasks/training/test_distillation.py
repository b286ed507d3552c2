"""A student learns from another network's answers."""

import numpy as np
import pytest
from safetensors.torch import load_file

from configs.training import TrainingConfig
from tasks.intake import build_intake
from tasks.model.model import load
from tasks.records import Stored
from tasks.result import build_result
from tasks.rows.parts import read, record_of, write
from tasks.training.distributed import train_on_ranks
from tasks.training.evaluate import evaluate
from tasks.training.loop import fit
from tasks.training.plan import Teacher
from tasks.training.strategy import Single


@pytest.fixture(scope="module")
def teacher(digits, tmp_path_factory):
    from tests.tasks.training.conftest import planned

    plan = planned(digits(900), tmp_path_factory.mktemp("teacher"), epochs=12, learning_rate=0.005)
    fit(plan, Single(), lambda _: None)
    return Teacher(
        checkpoint=Stored(**dict(record_of(plan.checkpoint))),
        training=plan.training,
        weight=1.0,
        temperature=2.0,
    ), plan


def shuffled(dataset, folder):
    """The same images with labels that say nothing."""
    frame = read(dataset)
    frame["label"] = np.random.default_rng(0).permutation(frame["label"])
    folder.mkdir()
    write([frame], folder)
    return dataset.model_copy(update=dict(record_of(folder)))


def test_a_student_learns_what_its_teacher_knows_though_its_labels_say_nothing(teacher, plan, tmp_path):
    knows, main = teacher
    rows = shuffled(main.dataset, tmp_path / "shuffled")
    half = {"epochs": 20, "learning_rate": 0.005, "network_options": {"width": 0.5}}
    alone, taught = plan("alone", rows, **half), plan("taught", rows, **half)
    taught = taught.model_copy(update={"teacher": knows, "student": "half"})
    accuracies = []
    for each in (alone, taught):
        fit(each, Single(), lambda _: None)
        asked = each.model_copy(update={"dataset": main.dataset})
        accuracies.append(evaluate(asked, record_of(each.checkpoint))[0]["accuracy"])
    assert accuracies[0] < 0.3
    assert accuracies[1] > 0.85


def test_a_student_is_smaller_and_reads_rows_as_its_teacher(teacher, plan):
    knows, main = teacher
    student = plan("student", main.dataset, epochs=1, network_options={"width": 0.5})
    student = student.model_copy(update={"teacher": knows})
    fit(student, Single(), lambda _: None)
    sizes = [
        sum(tensor.numel() for tensor in load_file(each.checkpoint / "model.safetensors").values())
        for each in (main, student)
    ]
    assert sizes[1] < 0.4 * sizes[0]
    assert (student.checkpoint / "encoder.json").read_bytes() == (
        main.checkpoint / "encoder.json"
    ).read_bytes()


def test_two_ranks_with_a_teacher_reach_the_weights_of_one_process(client, teacher, plan):
    knows, main = teacher
    blended = knows.model_copy(update={"weight": 0.5})
    one, two = (
        plan(name, main.dataset, epochs=1, ranks=ranks).model_copy(update={"teacher": blended})
        for name, ranks in (("one", 1), ("two", 2))
    )
    fit(one, Single(), lambda _: None)
    train_on_ranks(client, two, lambda _: None)
    mine, theirs = (load_file(each.checkpoint / "model.safetensors") for each in (one, two))
    assert max(float((mine[name] - theirs[name]).abs().max()) for name in mine) < 1e-5


def test_default_networks_take_no_other_option_than_a_width(teacher):
    knows, main = teacher
    section = TrainingConfig(network_options={"depth": 3})
    with pytest.raises(ValueError, match=r"network_options \{'depth': 3\}: .* takes a width at most"):
        load(knows.checkpoint, build_intake(main.intake), build_result(main.result), section)
