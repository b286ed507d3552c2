"""Texts and tables through training, export, quantization and the gate's measurements.

Strings in, answers out, one graph.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from configs.training import TrainingConfig
from tasks.compilation.graph_export import export
from tasks.compilation.measurement import HeldOut, held_out, measure
from tasks.compilation.signature import signature
from tasks.intake import build_intake
from tasks.model.model import load
from tasks.model.onnx_export import eager
from tasks.model.onnx_session import answers, session
from tasks.optimization.formats import FORMATS
from tasks.optimization.variants import variant
from tasks.records import DatasetVersion, TrainedModel
from tasks.result import build_result
from tasks.rows.parts import record_of, write
from tasks.rows.raw import blank
from tasks.training.evaluate import evaluate
from tasks.training.loop import fit
from tasks.training.plan import Plan
from tasks.training.strategy import Single

sys.path.append(str(Path(__file__).parent))
from kinds import KINDS

ROWS = 500
# torch 2.13, at export: its own deprecated check.
pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")


def version(frame, folder, project):
    splits = {"train": 347, "validation": 53, "test": 100}
    split = [name for name, count in splits.items() for _ in range(count)]
    folder.mkdir(parents=True)
    write([frame.assign(id=[str(number) for number in range(ROWS)], split=split)], folder)
    facts = {
        "project": project,
        "version": 1,
        "tag": f"{project}/v1",
        "commit": "c",
        "rows": ROWS,
        "splits": splits,
    }
    return DatasetVersion(**record_of(folder).model_dump(), **facts)


@pytest.fixture(scope="module", params=list(KINDS))
def plan(request, tmp_path_factory):
    """Makes plans on the same rows, each in a folder of its own."""
    frame, intake, result = KINDS[request.param](ROWS)
    base = tmp_path_factory.mktemp(request.param)
    built = build_intake(intake)
    dataset = version(
        built.frame(built.rows(frame)).assign(**{result.label: frame[result.label]}),
        base / "rows",
        request.param,
    )

    def make(name, **training):
        section = TrainingConfig(**{"epochs": 8, "learning_rate": 0.005} | training)
        return Plan(dataset=dataset, intake=intake, result=result, training=section, folder=base / name)

    return make


@pytest.fixture(scope="module")
def trained(plan):
    made = plan("trained")
    fit(made, Single(), lambda _: None)
    metrics, _ = evaluate(made, record_of(made.checkpoint))
    model = TrainedModel(
        **record_of(made.checkpoint).model_dump(), dataset=made.dataset, run_id="0", ranks=1, metrics=metrics
    )
    return made, model, build_intake(made.intake), build_result(made.result)


@pytest.fixture(scope="module")
def graph(trained, tmp_path_factory):
    plan, model, intake, result = trained
    return export(model, intake, result, plan.training, tmp_path_factory.mktemp("graph"))


def test_what_can_be_learned_is_learned(trained):
    assert next(iter(trained[1].metrics.values())) > 0.85


def test_the_checkpoint_has_its_encoder_as_json(trained):
    assert sorted(path.name for path in trained[0].checkpoint.iterdir()) == [
        "checkpoint.json",
        "encoder.json",
        "model.safetensors",
    ]


def test_the_graph_takes_raw_rows_and_answers_as_the_model(trained, graph):
    plan, model, intake, result = trained
    opened = session(Path(graph.uri))
    assert [value.name for value in opened.get_inputs()] == [
        spec["name"] for spec in signature(intake, result)["inputs"]
    ]
    assert all(len(value.shape) == 1 for value in opened.get_inputs())
    rows = np.concatenate(
        [held_out(model.dataset, intake, result)[0], blank(intake.inputs, 2), hostile(intake)]
    )
    module = load(model, intake, result, plan.training)
    assert graph.parity < 1e-5
    assert result.parity(eager(module, rows, result.names), answers(opened, rows)) < 1e-5
    alone = np.concatenate([answers(opened, rows[at : at + 1])[result.names[-1]] for at in range(len(rows))])
    assert np.allclose(alone, answers(opened, rows)[result.names[-1]], rtol=1e-5, atol=1e-5)


def hostile(intake):
    """Rows that no client should send and some will."""
    texts = ["", "\0", "日本 😀\n\r\t", "x" * 20_000, "a " * 10_000, "\u202eabc", "null"]
    rows = blank(intake.inputs, len(texts))
    for spec in intake.inputs:
        rows[spec.name] = texts if spec.dtype == "str" else [np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-40, 0]
    return rows


def test_equal_weights_give_equal_bytes(trained, graph, tmp_path):
    plan, model, intake, result = trained
    assert export(model, intake, result, plan.training, tmp_path).digest == graph.digest


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_takes_the_same_rows_and_is_as_good(trained, graph, tmp_path, kind):
    _, model, intake, result = trained
    rows, targets = held_out(model.dataset, intake, result)
    small = variant(graph, kind, model.dataset, intake, result, 64, 0.02, tmp_path)
    exact, rounded = measure([graph, small], HeldOut("test", rows, targets, {}), result)
    assert abs(exact.score - rounded.score) < 0.02
    # Dynamic INT8 leaves convolutions as they are.
    assert rounded.megabytes < (1 if kind == "int8-dynamic" else 0.6) * exact.megabytes
    assert small.parity < 0.5
    assert small.steps == (kind,)
    stored = {weight.data_type for weight in onnx.load(small.uri).graph.initializer}
    assert onnx.TensorProto.INT8 in stored
    assert all(
        np.isfinite(values).all() for values in answers(session(Path(small.uri)), hostile(intake)).values()
    )
    again = variant(graph, kind, model.dataset, intake, result, 64, 0.02, tmp_path / "again")
    assert again.digest == small.digest


def test_a_column_with_the_name_of_an_output_is_refused_before_training(plan):
    made = plan("clash")
    text = "TextIntake" in type(made.intake).__name__
    intake = made.intake.model_copy(update={"column": "class"} if text else {"numeric": ("prediction",)})
    name = "class" if text else "prediction"
    with pytest.raises(
        ValueError,
        match=f"column '{name}' has the name of one of the graph's outputs; rename it in the source",
    ):
        from tasks.model.model import check_names

        check_names(build_intake(intake), build_result(made.result))
