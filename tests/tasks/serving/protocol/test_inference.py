"""Open Inference Protocol v2 over real HTTP: what is answered, and how what is wrong is named."""

import httpx
import numpy as np
import pytest

MODEL = "/v2/models/spots"
ROWS = {"name": "image", "shape": [2, 2, 2, 1], "datatype": "UINT8", "data": [9, 0, 0, 0, 0, 0, 9, 0]}


@pytest.fixture
def serving(server, served):
    server.release(served(1, turn=0))
    return server


def test_a_request_is_answered_with_outputs_and_readable_answers(serving):
    response = serving.post(f"{MODEL}/infer", {"id": "mine", "inputs": [ROWS]})
    assert response.status_code == 200
    value = response.json()
    assert (value["model_name"], value["model_version"], value["id"]) == ("spots", "1", "mine")
    kind, probability, answer = value["outputs"]
    assert kind == {"name": "class", "shape": [2], "datatype": "INT64", "data": [0, 2]}
    assert (probability["name"], probability["shape"], probability["datatype"]) == (
        "probability",
        [2, 3],
        "FP32",
    )
    assert np.allclose(np.reshape(probability["data"], (2, 3)).sum(axis=1), 1)
    assert answer == {"name": "answer", "shape": [2], "datatype": "BYTES", "data": ["left", "right"]}


def test_nested_data_and_chosen_outputs(serving):
    nested = ROWS | {"data": [[[[9], [0]], [[0], [0]]], [[[0], [0]], [[9], [0]]]]}
    value = serving.post(
        f"{MODEL}/versions/1/infer", {"inputs": [nested], "outputs": [{"name": "answer"}]}
    ).json()
    assert [output["data"] for output in value["outputs"]] == [["left", "right"]]
    assert value["id"]


def test_server_and_model_describe_themselves(serving):
    assert serving.get("/v2").json()["name"] == "gyre"
    assert serving.get("/v2/health/live").json() == {"live": True}
    assert serving.get("/v2/health/ready").json() == {"ready": True}
    assert serving.get(f"{MODEL}/ready").json() == {"name": "spots", "ready": True}
    about = serving.get(f"{MODEL}/versions/1").json()
    assert about["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 2, 2, 1]}]
    assert [output["name"] for output in about["outputs"]] == ["class", "probability"]
    assert about["versions"] == ["1"]


def test_a_server_without_models_is_ready_and_says_that_there_are_none(server):
    assert server.get("/v2/health/ready").status_code == 200
    response = server.get(f"{MODEL}/ready")
    assert (response.status_code, response.json()) == (
        404,
        {"error": "no model 'spots'; there are: none yet"},
    )


def test_what_is_wrong_is_named_with_its_value_and_what_is_wanted(serving):
    wrong = {
        "inputs is missing; want a list with one tensor": {},
        "inputs is 7; want a list with one tensor": {"inputs": 7},
        "inputs[0].name is 'picture'; want 'image'": {"inputs": [ROWS | {"name": "picture"}]},
        "inputs[1].name is 'image' for the second time; want one tensor": {"inputs": [ROWS, ROWS]},
        "input 'image': datatype is 'FP32'; want 'UINT8'": {"inputs": [ROWS | {"datatype": "FP32"}]},
        "input 'image': shape is [2, 4]; want [1 to 1024, 2, 2, 1]": {"inputs": [ROWS | {"shape": [2, 4]}]},
        "input 'image': shape is [0, 2, 2, 1]; want [1 to 1024, 2, 2, 1]": {
            "inputs": [ROWS | {"shape": [0, 2, 2, 1]}]
        },
        "input 'image': data has 8 values; shape [1, 2, 2, 1] wants 4": {
            "inputs": [ROWS | {"shape": [1, 2, 2, 1]}]
        },
        "input 'image': data[1] (row 0) is 256; want whole numbers from 0 to 255 (UINT8)": {
            "inputs": [ROWS | {"data": [0, 256] * 4}]
        },
        "input 'image': data[1] (row 0) is 0.5; want whole numbers from 0 to 255 (UINT8)": {
            "inputs": [ROWS | {"data": [0, 0.5] * 4}]
        },
        "input 'image': data[7] (row 1) is 'x'; want whole numbers from 0 to 255 (UINT8)": {
            "inputs": [ROWS | {"data": [0] * 7 + ["x"]}]
        },
        "input 'image': data[0] (row 0) is missing; want whole numbers from 0 to 255 (UINT8)": {
            "inputs": [ROWS | {"data": [None] * 8}]
        },
        "input 'image': data is missing; want a list of whole numbers from 0 to 255 (UINT8)": {
            "inputs": [ROWS | {"data": None}]
        },
        "outputs: no output 'colour'; there are class, probability, answer": {
            "inputs": [ROWS],
            "outputs": [{"name": "colour"}],
        },
        "id is 7; want a text of at most 256 characters": {"inputs": [ROWS], "id": 7},
        "parameters.log is 'no'; want true or false": {
            "inputs": [ROWS],
            "parameters": {"log": "no"},
        },
    }
    responses = {text: serving.post(f"{MODEL}/infer", body) for text, body in wrong.items()}
    assert {response.status_code for response in responses.values()} == {400}
    assert [response.json()["error"] for response in responses.values()] == list(wrong)


def test_what_is_not_there_is_404_and_says_what_is(serving):
    texts = {
        "/v2/models/dots/infer": "no model 'dots'; there are: spots",
        f"{MODEL}/versions/7/infer": "model 'spots' has no version '7' loaded; loaded: 1",
        "/v3": "there is no POST /v3; want such as POST /v2/models/<model>/infer",
    }
    responses = [serving.post(path, {"inputs": [ROWS]}) for path in texts]
    assert [(response.status_code, response.json()["error"]) for response in responses] == [
        (404, text) for text in texts.values()
    ]


def test_a_body_that_is_too_large_or_no_json_is_refused(serving):
    response = serving.post(f"{MODEL}/infer", {"inputs": ["x" * 17 * 2**20]})
    assert response.status_code == 413
    assert "want at most 16777216" in response.json()["error"]
    assert serving.post(f"{MODEL}/infer", [1]).json() == {"error": "the body is [1]; want a JSON object"}


def test_the_next_request_is_answered_after_a_refused_one(serving):
    serving.post(f"{MODEL}/infer", {"inputs": ["x" * 17 * 2**20]})
    assert serving.post(f"{MODEL}/infer", {"inputs": [ROWS]}).status_code == 200


def test_json_of_a_thousand_levels_is_a_bad_request(serving):
    deep = b'{"inputs": ' + b"[" * 1000 + b"]" * 1000 + b"}"
    response = httpx.post(f"{serving.url}{MODEL}/infer", content=deep, timeout=30)
    assert (response.status_code, response.json()["error"][:34]) == (
        400,
        "inputs[0].name is [[[[...]]]]; wan",
    )
