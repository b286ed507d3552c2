"""Exported folders: whole, tried, and answering as ONNX Runtime and the model server do, in Node.js and from C."""

import json
import shutil
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from infra.files import digest, read_json, write_json
from tasks.export.c_source import c_lines, literal
from tasks.export.model_facts import model_facts
from tasks.export.portable_graph import portable
from tasks.export.targets import export_browser, export_c
from tasks.export.trial import TrialError, compare, graph_answers
from tasks.export.trial_rows import known_words, probe_rows, raw_rows, trial_rows
from tasks.production import probe
from tasks.rows.raw import MAX_TEXT, TensorSpec
from tasks.serving.protocol.notices import notices, training_values
from tasks.serving.protocol.refusal import Refusal
from tasks.serving.protocol.tensors import values_of

KINDS = ("texts", "images", "table")
CLOSE = 1e-5
NODE = ("node", "--liftoff-only")
"""Compiles the runtime three times as fast, into slower code."""
needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None or shutil.which("make") is None,
    reason="no cc or make on PATH; apt-get install gcc make",
)


def ask(command, lines):
    """A program's answers, and how it ended."""
    done = subprocess.run(
        command,
        input="".join(f"{line}\n" for line in lines),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    return [json.loads(line) for line in done.stdout.split("\n") if line], done


def ask_node(exported, rows):
    return ask([*NODE, str(exported.folder / "answer.mjs")], [json.dumps(row) for row in rows])


def hostile_rows(folder, bundle):
    """An exported folder's facts, the rows that it was tried with, and what the bundle's own graph says of them."""
    facts = read_json(folder / "model.json")
    rows = trial_rows(facts, known_words(onnx.load(bundle / "model.onnx")))
    return facts, rows, graph_answers(bundle / "model.onnx", rows, facts)


@pytest.mark.parametrize("kind", KINDS)
def test_node_answers_hostile_rows_as_onnx_runtime_does(request, pages, kind):
    facts, rows, expected = hostile_rows(pages[kind].folder, request.getfixturevalue(kind))
    found, done = ask_node(pages[kind], rows)
    assert done.returncode == 0
    for name in facts["outputs"]:
        given = np.array([each[name] for each in found], np.float64)
        assert np.abs(given - expected[name]).max() < CLOSE
    if facts["classes"]:
        assert [each["answer"] for each in found] == [facts["classes"][index] for index in expected["class"]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_trial_has_measured_what_is_told(request, pages, kind):
    assert pages[kind].untried == ""
    facts, rows, _ = hostile_rows(pages[kind].folder, request.getfixturevalue(kind))
    real = probe_rows(request.getfixturevalue(kind), facts)
    assert len(real) == probe.ROWS
    assert pages[kind].trial.rows == len(real) + len(rows)
    assert pages[kind].trial.difference < CLOSE
    assert pages[kind].sizes == {path.name: path.stat().st_size for path in pages[kind].folder.iterdir()}


def test_capitals_of_every_script_are_the_tokens_that_training_had(pages, texts):
    facts = read_json(pages["texts"].folder / "model.json")
    words = [
        "Überraschung",
        "überraschung",
        "ÜBERRASCHUNG",
        "FREE",
        "Καλημέρα",
        "ΚΑΛΗΜΈΡΑ",
        "καλημέρα",
        "Ça va",
    ]
    rows = [{"message": word} for word in words]
    found, _ = ask_node(pages["texts"], rows)
    expected = graph_answers(texts / "model.onnx", rows, facts)["probability"]
    assert np.abs(np.array([each["probability"] for each in found]) - expected).max() < CLOSE
    # Else nothing was compared: the vocabulary has the first of each.
    assert np.abs(expected[0] - expected[1]).max() > 0.001
    assert np.abs(expected[4] - expected[6]).max() > 0.001


def test_random_texts_of_all_scripts_are_answered_alike(pages, texts):
    draw = np.random.default_rng(0)
    highest = (128, 0x250, 0x600, 0x2000, 0x3100, 0x10FFFF)
    codes = [draw.integers(1, high, 30) for high in highest for _ in range(40)]
    rows = [{"message": "".join(chr(code) for code in each if not 0xD800 <= code < 0xE000)} for each in codes]
    facts = read_json(pages["texts"].folder / "model.json")
    found, _ = ask_node(pages["texts"], rows)
    expected = graph_answers(texts / "model.onnx", rows, facts)
    assert np.abs(np.array([each["probability"] for each in found]) - expected["probability"]).max() < CLOSE


def test_node_tells_of_missing_and_unseen_values_what_the_server_tells(pages, table):
    facts = read_json(pages["table"].folder / "model.json")
    rows = [
        {"age": 30, "hours per week": 5, "work": work, "born": 1e9}
        for work in [
            "privat",
            " STATE-gov ",
            "Selfemp not inc",
            "nobody knows",
            "日本",
            "it's",
            "a\"b'c",
            "a\tb\u202e",
            "a\u2028b",
            "x" * 90,
            "Private",
        ]
    ]
    rows += [dict.fromkeys(rows[0]), rows[0] | {"age": None}, rows[0] | {"work": None}]
    trained = training_values(read_json(table / "signature.json")["training_values"])
    specs = [TensorSpec(each["name"], each["dtype"], ()) for each in facts["inputs"]]
    found, _ = ask_node(pages["table"], rows)
    for row, each in zip(rows, found, strict=True):
        expected = notices(raw_rows([row], facts), specs, trained)
        assert each["notices"] == [told.replace("row 0 has", "the row has") for told in expected]
    assert "did you mean 'Private'?" in found[0]["notices"][0]


REFUSED = [
    ("float32", (), "abc"),
    ("float32", (), 1e39),
    ("float64", (), [1]),
    ("str", (), 7),
    ("str", (), "x" * (MAX_TEXT + 1)),
    ("str", (), "😀" * (MAX_TEXT + 1)),
    ("uint8", (2,), [1, 256]),
    ("uint8", (2,), [1, None]),
    ("uint8", (2,), [1, 1.5]),
    ("bool", (), 1),
]


@pytest.mark.parametrize(("dtype", "shape", "value"), REFUSED, ids=range(len(REFUSED)))
def test_a_value_that_the_server_refuses_is_refused_for_the_same_reason(pages, tmp_path, dtype, shape, value):
    facts = read_json(pages["texts"].folder / "model.json")
    facts["inputs"] = [{**facts["inputs"][0], "name": "given", "dtype": dtype, "shape": list(shape)}]
    script = "const [model, facts, row] = process.argv.slice(1); const { readRow } = await import(model); \
        try { readRow(JSON.parse(row), JSON.parse(facts)); } catch (error) { console.log(error.message); }"
    # The row comes in a file's place of its own, since it may be longer than an argument may be.
    row = tmp_path / "row.json"
    row.write_text(json.dumps({"given": value}))
    script = script.replace(
        "JSON.parse(row)", "JSON.parse((await import('node:fs')).readFileSync(row, 'utf8'))"
    )
    command = [
        "node",
        "--input-type=module",
        "-e",
        script,
        str(pages["texts"].folder / "model.js"),
        json.dumps(facts),
        str(row),
    ]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    spec = TensorSpec("given", dtype, shape)
    datatype = {"float32": "FP32", "float64": "FP64", "str": "BYTES", "uint8": "UINT8", "bool": "BOOL"}[dtype]
    data = value if shape else [value]
    with pytest.raises(Refusal) as refusal:
        values_of({"datatype": datatype, "shape": [1, *shape], "data": data}, spec)
    place = str(refusal.value).partition("data[")[2].partition(") ")[0]
    assert found == str(refusal.value).replace(f"data[{place}) ", "")


def test_node_refuses_rows_by_name_and_goes_on(pages):
    good = {"age": 30, "hours per week": 5, "work": "Private", "born": 1e9}
    found, done = ask_node(pages["table"], [good | {"hours": 3}, {"age": 1}, 7, good])
    assert done.returncode == 1
    wanted = "'age' or 'hours per week' or 'born' or 'work'"
    assert found[0]["error"] == f"'hours' is no input; want {wanted}"
    assert found[1]["error"] == (
        "has no 'hours per week'; want age, hours per week, born, work (null stands for a missing value)"
    )
    assert found[2]["error"] == "is 7; want an object with age, hours per week, born, work"
    assert found[3]["notices"] == []


def test_texts_that_the_runtime_would_cut_off_are_refused(pages):
    found, _ = ask(
        [*NODE, str(pages["texts"].folder / "answer.mjs")], ['"free\\u0000prize"', '"free \\ud800"', "{"]
    )
    assert "holds the character NUL" in found[0]["error"]
    assert "holds half of a character" in found[1]["error"]
    assert found[2]["error"].startswith("the line is not JSON")


def test_another_graph_than_the_signatures_is_refused_on_the_device(pages, tmp_path):
    folder = tmp_path / "page"
    shutil.copytree(pages["texts"].folder, folder)
    with (folder / "model.onnx").open("ab") as graph:
        graph.write(b"\0")
    done = subprocess.run(
        ["node", str(folder / "answer.mjs")], input='"a"\n', capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("answer.mjs: model.onnx: digest ")


@needs_compiler
@pytest.mark.parametrize("kind", KINDS)
def test_the_c_program_answers_hostile_rows_as_onnx_runtime_does(request, tmp_path, kind):
    made = export_c(request.getfixturevalue(kind), kind, tmp_path / "c")
    assert made.trial.difference < CLOSE
    # Handed on without its binary, it is built again where it lies.
    (made.folder / "answer").unlink()
    subprocess.run(
        ["make", "-C", str(made.folder), "CFLAGS=-Wall -Wextra -Werror"], check=True, capture_output=True
    )
    facts, rows, expected = hostile_rows(made.folder, request.getfixturevalue(kind))
    found, done = ask([str(made.folder / "answer"), str(made.folder / "model.onnx")], c_lines(rows, facts))
    assert done.returncode == 0, done.stderr
    for name in facts["outputs"]:
        assert np.abs(np.array([each[name] for each in found], np.float64) - expected[name]).max() < CLOSE


@pytest.fixture
def sensors(tmp_path):
    """A bundle of an intake of somebody's own: arrays, whole numbers, switches."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    types = {"float64": TensorProto.DOUBLE, "int64": TensorProto.INT64, "bool": TensorProto.BOOL}
    inputs = {
        "wave": ("float64", [2, 3]),
        "count": ("int64", []),
        "steps": ("int64", [4]),
        "on": ("bool", []),
    }
    nodes, terms = [], []
    for name, (_, shape) in inputs.items():
        nodes.append(helper.make_node("Cast", [name], [f"{name}.number"], to=TensorProto.DOUBLE))
        nodes.append(helper.make_node("Sigmoid", [f"{name}.number"], [f"{name}.bounded"]))
        terms.append(f"{name}.bounded")
        if shape:
            nodes.append(
                helper.make_node("ReduceMax", [terms.pop(), f"{name}.axes"], [f"{name}.most"], keepdims=0)
            )
            terms.append(f"{name}.most")
    nodes.append(helper.make_node("Sum", terms, ["prediction"]))
    graph = helper.make_graph(
        nodes,
        "sensors",
        [
            helper.make_tensor_value_info(name, types[dtype], ["batch", *shape])
            for name, (dtype, shape) in inputs.items()
        ],
        [helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, ["batch"])],
        [
            numpy_helper.from_array(np.arange(1, len(shape) + 1), f"{name}.axes")
            for name, (_, shape) in inputs.items()
            if shape
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    facts = {
        "inputs": [{"name": name, "dtype": dtype, "shape": shape} for name, (dtype, shape) in inputs.items()]
    }
    facts |= {"outputs": ["prediction"], "classes": None, "graph_digest": digest(folder / "model.onnx")}
    write_json(folder / "signature.json", facts)
    write_json(folder / "lineage.json", {})
    return folder


def test_arrays_whole_numbers_and_switches_are_answered_in_node(sensors, runtimes, tmp_path):
    made = export_browser(sensors, "sensors", tmp_path / "page", runtimes)
    assert made.trial.difference < CLOSE
    row = {"wave": [[1, 2, 3], [4, 5, 6]], "count": 2, "steps": [1, 2, 3, 4], "on": True}
    found, _ = ask_node(made, [row, row | {"wave": [1, 2, 3, 4, 5, 6]}, row | {"wave": [[1, 2], [3, 4]]}])
    assert found[0] == found[1]
    assert found[2]["error"] == "input 'wave': has 2 values; shape [2, 3] wants 3 there"


@needs_compiler
def test_arrays_whole_numbers_and_switches_are_answered_in_c(sensors, tmp_path):
    assert export_c(sensors, "sensors", tmp_path / "c").trial.difference < CLOSE


@needs_compiler
def test_the_c_program_refuses_and_tells_by_input(table, tmp_path):
    made = export_c(table, "table", tmp_path / "c")
    lines = [
        "abc\t1\t0\tPrivate",
        "1\t2",
        "1\t2\t0\tPrivate\t4",
        "1e39\t1\t0\tPrivate",
        "nan\t1\t0\tPrivate",
        "\t1\t0\tprivat",
    ]
    found, done = ask([str(made.folder / "answer"), str(made.folder / "model.onnx")], lines)
    assert done.returncode == 1
    assert found[0]["error"] == "input 'age': is 'abc'; want a number, or nothing"
    assert found[1]["error"] == "has 2 values; want 4, separated by tabs: no 'born'"
    assert found[2]["error"].startswith("has more than 4 values")
    assert found[3]["error"] == "input 'age': is '1e39'; want a number, or nothing"
    assert found[4]["error"] == "input 'age': is 'nan'; want a number, or nothing"
    assert found[5]["notices"][0].startswith("input 'age': the row has no value; the training rows' median ")
    assert found[5]["notices"][1] == "input 'work': the row has a category that counts as missing: 'privat'"


@needs_compiler
def test_the_c_program_refuses_bytes_that_are_no_text_and_takes_escapes_for_what_they_say(texts, tmp_path):
    made = export_c(texts, "texts", tmp_path / "c")
    lines = [
        b"free \xff",
        b"free \xed\xa0\x80",
        b"free\0prize",
        b"x" * 20_001,
        b"free\\tprize\\\\n",
        b"a\tb",
        b"",
    ]
    command = [str(made.folder / "answer"), str(made.folder / "model.onnx")]
    done = subprocess.run(command, input=b"\n".join(lines) + b"\n", capture_output=True, check=False)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found[0]["error"] == "input 'message': is no UTF-8; it holds the byte ff"
    assert found[1]["error"] == "input 'message': is no UTF-8; it holds the byte ed"
    assert found[2]["error"] == "holds the character NUL; remove it"
    assert found[3]["error"] == "input 'message': has 20001 characters; want at most 20000"
    facts = read_json(made.folder / "model.json")
    expected = graph_answers(texts / "model.onnx", [{"message": "free\tprize\\n"}], facts)
    assert np.abs(np.array(found[4]["probability"]) - expected["probability"][0]).max() < CLOSE
    assert found[5]["error"].startswith("has more than 1 values")
    assert found[6]["notices"] == ["input 'message': the row has no value"]


def test_texts_are_written_into_c_whatever_they_hold():
    assert literal('a"b\\c?\n7ü') == '"a\\042b\\134c\\077\\0127\\303\\274"'


def test_a_program_that_answers_otherwise_is_refused(pages, images):
    facts = model_facts(images, "scans")
    rows = trial_rows(facts, [])
    other = onnx.load(images / "model.onnx")
    for weights in other.graph.initializer:
        if weights.data_type == onnx.TensorProto.FLOAT:
            values = onnx.numpy_helper.to_array(weights) * 1.5
            weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    lines = [json.dumps(row) for row in rows]
    command = [*NODE, str(pages["images"].folder / "answer.mjs")]
    changed = images.parent / "changed.onnx"
    onnx.save(other, changed)
    with pytest.raises(
        TrialError, match=r"answer.mjs: row \d+: output 'probability' is .*, ONNX Runtime says"
    ):
        compare(command, lines, rows, facts, changed)


def test_an_answer_with_a_line_separator_in_it_is_one_answer(images):
    facts = model_facts(images, "scans")
    rows = trial_rows(facts, [])[:1]
    expected = graph_answers(images / "model.onnx", rows, facts)
    answer = {name: values[0].tolist() for name, values in expected.items()} | {"notices": ["a\u2028b"]}
    command = ["printf", "%s\n", json.dumps(answer, ensure_ascii=False)]
    assert compare(command, ["{}"], rows, facts, images / "model.onnx").difference == 0
    wrong = {name: values[0].tolist() for name, values in expected.items()} | {"class": 11}
    alone = facts | {"outputs": ["class"]}
    with pytest.raises(TrialError, match="output 'class' is 11, ONNX Runtime says"):
        compare(["printf", "%s\n", json.dumps(wrong)], ["{}"], rows, alone, images / "model.onnx")


def test_a_graph_that_changes_letters_where_no_program_can_is_refused(texts):
    graph = onnx.load(texts / "model.onnx")
    case = next(node for node in graph.graph.node if node.op_type == "StringNormalizer")
    next(each for each in case.attribute if each.name == "case_change_action").s = b"UPPER"
    with pytest.raises(
        ValueError, match=r"StringNormalizer '\S+' \(case_change_action UPPER\) cannot be exported"
    ):
        portable(graph)


def test_a_graph_that_the_runtime_cannot_run_leaves_no_folder_behind(texts, runtimes, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.copytree(texts, bundle)
    graph = onnx.load(bundle / "model.onnx")
    graph.graph.node[0].op_type = "NoSuchOperator"
    onnx.save(graph, bundle / "model.onnx")
    facts = read_json(bundle / "signature.json")
    write_json(bundle / "signature.json", facts | {"graph_digest": digest(bundle / "model.onnx")})
    with pytest.raises(TrialError, match="NoSuchOperator"):
        export_browser(bundle, "odd", tmp_path / "page", runtimes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle"]


def test_what_a_person_has_there_is_never_replaced(texts, runtimes, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(
        ValueError, match="is there already and is no export; give another folder, or remove it"
    ):
        export_browser(texts, "texts", tmp_path, runtimes)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_bundle_that_is_not_whole_is_refused_by_name(texts, tmp_path):
    shutil.copytree(texts, tmp_path / "bundle")
    (tmp_path / "bundle" / "lineage.json").unlink()
    with pytest.raises(ValueError, match=r"has no lineage.json; want a bundle"):
        model_facts(tmp_path / "bundle", "texts")
    write_json(tmp_path / "bundle" / "lineage.json", {})
    (tmp_path / "bundle" / "model.onnx").write_bytes(b"other")
    with pytest.raises(ValueError, match=r"model.onnx has the digest \w+, signature.json says"):
        model_facts(tmp_path / "bundle", "texts")
