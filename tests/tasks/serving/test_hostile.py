"""Whatever a client sends, the parser answers exactly what was sent, or refuses with a text.

Never another error, never another value.
"""

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.rows.raw import TensorSpec
from tasks.serving.protocol.refusal import Refusal
from tasks.serving.protocol.tensors import rows_of
from tasks.serving.rest.messages import json_object, parse

SPECS = (
    TensorSpec("size", "float32", ()),
    TensorSpec("day", "float64", ()),
    TensorSpec("kind", "str", ()),
    TensorSpec("pixels", "uint8", (2, 2)),
)
TYPES = {"size": "FP32", "day": "FP64", "kind": "BYTES", "pixels": "UINT8"}
NUMBERS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([255, 256, 1e39])
)
LEAVES = NUMBERS | st.text(max_size=5)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "shape", "data"]) | st.text(max_size=3), inner, max_size=3)
    ),
)


RIGHT = {
    "f": st.none() | st.floats(-1e38, 1e38),
    "U": st.none() | st.text(max_size=4),
    "u": st.integers(0, 255),
}


@st.composite
def inputs(draw):
    """A good request's inputs, flat and nested."""
    rows, made = draw(st.integers(1, 3)), []
    for spec in SPECS:
        shape = [rows, *spec.shape]
        count = int(np.prod(shape))
        flat = draw(st.lists(RIGHT[np.dtype(spec.dtype).kind], min_size=count, max_size=count))
        nested = np.array([None, *flat], dtype=object)[1:].reshape(shape).tolist()
        made.append(
            {
                "name": spec.name,
                "shape": shape,
                "datatype": TYPES[spec.name],
                "data": draw(st.sampled_from([flat, nested])),
            }
        )
    return draw(st.permutations(made))


@st.composite
def spoiled(draw):
    """A request's inputs with one thing changed.

    A part, a value, or a value that moved from one list to its neighbour.
    """
    given_inputs = draw(inputs())
    tensor = draw(st.sampled_from(given_inputs))
    if draw(st.booleans()):
        tensor[draw(st.sampled_from(sorted(tensor)))] = draw(JSON)
        return given_inputs
    data = tensor["data"]
    while isinstance(data[0], list) and draw(st.booleans()):
        if len(data) > 1 and draw(st.booleans()):
            data[0].append(data[1].pop())
            return given_inputs
        data = data[-1]
    data[draw(st.integers(0, len(data) - 1))] = draw(JSON | st.sampled_from([1e39, 256, -1, 0.5, True]))
    return given_inputs


def leaves(value):
    """The values of nested lists, in order."""
    return [leaf for each in value for leaf in leaves(each)] if isinstance(value, list) else [value]


def rows_sent(tensor):
    """The values of each row, as a reader of the request would take them."""
    data, rows = tensor["data"], tensor["shape"][0]
    if isinstance(data[0], list):
        return [leaves(row) for row in data]
    width = len(data) // rows
    return [data[row * width : (row + 1) * width] for row in range(rows)]


def is_what_was_sent(found, sent, dtype):
    """Whether a parsed value is the one in the request, but for the type's own precision."""
    if dtype == "str":
        return found == (sent or "")
    if sent is None:
        return bool(np.isnan(found))
    return bool(np.isfinite(found)) and found == np.dtype(dtype).type(sent)


def checked(body):
    """Parses a body; what is not refused must be what was sent."""
    try:
        request = parse(body)
        rows = rows_of(request.inputs, SPECS)
    except Refusal as refusal:
        assert refusal.status == 400
        assert 0 < len(str(refusal)) < 2000
        return None
    for tensor in json.loads(body)["inputs"]:
        spec = next(each for each in SPECS if each.name == tensor["name"])
        found, sent = rows[spec.name], rows_sent(tensor)
        assert len(found) == len(sent)
        for row, values in zip(found, sent, strict=True):
            # numpy's own texts lose a NUL at their end.
            flat = [row] if isinstance(row, str) else np.ravel(row)
            assert len(flat) == len(values)
            assert all(
                is_what_was_sent(value, original, spec.dtype)
                for value, original in zip(flat, values, strict=True)
            )
    return rows


@settings(max_examples=100, deadline=None)
@given(inputs())
def test_good_inputs_are_taken_as_sent(good):
    assert checked(json.dumps({"inputs": good}).encode()) is not None


@settings(max_examples=500, deadline=None)
@given(spoiled())
def test_spoiled_inputs_are_taken_as_sent_or_refused(bad):
    checked(json.dumps({"inputs": bad}).encode())


@settings(max_examples=200, deadline=None)
@given(
    JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "parameters", "inputs", "outputs"), JSON))
)
def test_any_json_is_refused_with_a_text(value):
    assert checked(json.dumps(value).encode()) is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_refused_with_a_text(body):
    assert checked(body) is None


@pytest.mark.parametrize("depth", [10, 1000, 1023, 100_000])
@pytest.mark.parametrize(
    "start",
    [
        "",
        '{"inputs": ',
        '{"id": ',
        '{"outputs": ',
        '{"parameters": ',
        '{"inputs": [{"name": "size", "datatype": "FP32", "shape": [1], "data": ',
    ],
)
def test_json_of_any_depth_is_refused_with_a_text(start, depth):
    ends = {"": "", "{": "}", "[": "}]}"}
    end = ends["[" if "[" in start else start[:1]]
    with pytest.raises(Refusal) as refused:
        rows_of(parse((start + "[" * depth + "]" * depth + end).encode()).inputs, SPECS[:1])
    assert refused.value.status == 400
    assert len(str(refused.value)) < 400


def test_what_no_json_may_hold_is_named_with_its_place():
    with pytest.raises(
        Refusal, match=r"the body is not JSON: unexpected character.*char 7.*there stands 'NaN"
    ):
        json_object(b'{"a": [NaN]}')
    with pytest.raises(Refusal, match="the body is not JSON: number is infinity"):
        json_object(b'{"a": 1e400}')
    with pytest.raises(Refusal, match="the body is not JSON: str is not valid UTF-8"):
        json_object(b'{"a": "\xff"}')


@pytest.mark.parametrize("value", ["0", "false", "[]", "{}"])
def test_an_id_that_is_no_text_gets_no_other_in_its_place(value):
    with pytest.raises(Refusal, match=r"id is .*; want a text"):
        parse(b'{"id": %s}' % value.encode())


@pytest.mark.parametrize("value", ["0", "false", "[]", '""'])
def test_parameters_that_are_none_are_refused(value):
    with pytest.raises(Refusal, match=r"parameters is .*; want an object"):
        parse(b'{"parameters": %s}' % value.encode())


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ('{"log": 0}', "parameters.log is 0; want true or false"),
        (
            '{"logs": false}',
            "parameters: 'logs' is not understood (did you mean 'log'?); known: log, priority",
        ),
        ('{"sequence_id": 3}', "parameters: 'sequence_id' is not understood; known: log, priority"),
        ('{"priority": 4}', "parameters.priority is 4; want a whole number from 0 to 3: the first is 1"),
        ('{"priority": true}', "parameters.priority is True; want a whole number"),
        ('{"timeout": -1}', "parameters.timeout is -1; want a whole number from 0 to"),
        ('{"timeout": 1.5}', "parameters.timeout is 1.5; want a whole number from 0 to"),
    ],
)
def test_a_parameter_that_is_not_understood_is_refused_by_name(parameters, text):
    with pytest.raises(Refusal, match=re.escape(text)):
        parse(b'{"parameters": %s}' % parameters.encode())


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        (
            '[{"name": "a", "parameters": {"binary": true}}]',
            "outputs[0].parameters: 'binary' is not understood",
        ),
        (
            '[{"name": "a", "parameters": {"classification": -1}}]',
            "outputs[0].parameters.classification is -1",
        ),
        ('[{"name": "a", "parameters": {"binary_data": 1}}]', "outputs[0].parameters.binary_data is 1"),
        ('[{"name": "answer"}, {"name": "answer"}]', "outputs: 'answer' is asked for twice"),
    ],
)
def test_an_output_that_cannot_be_given_as_asked_is_refused(outputs, text):
    with pytest.raises(Refusal, match=re.escape(text)):
        parse(b'{"outputs": %s}' % outputs.encode())


def test_a_misspelled_key_is_noticed():
    request = parse(b'{"input": 1, "parameters": {"log": true, "binary_data_output": true}}')
    assert [notice.partition(" has")[0] for notice in request.notices] == [
        "the request's key 'input' (did you mean 'inputs'?)"
    ]
