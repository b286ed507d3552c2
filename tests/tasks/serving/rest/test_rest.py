"""The protocol's REST face of a real server.

What Triton's own client asks, encodings, methods and hostile bodies.
"""

import gzip
import re

import httpx
import numpy as np
import orjson
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tasks.serving.rest.encodings import deflate
from tests.tasks.conftest import DEADLINE_S

MODEL = "/v2/models/spots"
ROWS = {"name": "image", "shape": [2, 2, 2, 1], "datatype": "UINT8", "data": [9, 0, 0, 0, 0, 0, 9, 0]}
IMAGES = np.array([9, 0, 0, 0, 0, 0, 9, 0], np.uint8).reshape(2, 2, 2, 1)


@pytest.fixture(scope="module")
def client(shared):
    """Triton's own, with the installation's credential."""
    with triton.InferenceServerClient(shared.url.removeprefix("http://"), network_timeout=DEADLINE_S) as made:
        yield Known(made, shared.settings.credential.headers)


class Known:
    """Sends the credential with every call."""

    def __init__(self, client, headers):
        self.client, self.headers = client, headers

    def __getattr__(self, name):
        return lambda *given, **more: getattr(self.client, name)(
            *given, **({"headers": dict(self.headers)} | more)
        )


def image_input(is_binary=True):
    made = triton.InferInput("image", [2, 2, 2, 1], "UINT8")
    made.set_data_from_numpy(IMAGES, binary_data=is_binary)
    return [made]


def word_inputs(is_binary=True):
    text, size = triton.InferInput("text", [3], "BYTES"), triton.InferInput("size", [3, 1], "FP32")
    text.set_data_from_numpy(np.array(["spam", "größer", ""], object), binary_data=is_binary)
    size.set_data_from_numpy(np.array([[1], [np.nan], [2]], np.float32))
    return [text, size]


def post(shared, path, content, **headers):
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    known = shared.settings.credential.headers | names
    return httpx.post(shared.url + path, content=content, headers=known, timeout=DEADLINE_S)


@pytest.mark.parametrize("is_binary", [True, False])
def test_tensors_go_and_come_as_bytes_or_as_json(client, is_binary):
    wanted = [triton.InferRequestedOutput(name, binary_data=is_binary) for name in ("class", "answer")]
    found = client.infer("spots", image_input(is_binary), outputs=wanted, request_id="mine")
    assert found.as_numpy("class").tolist() == [0, 2]
    texts = [text if isinstance(text, str) else text.decode() for text in found.as_numpy("answer")]
    assert texts == ["left", "right"]
    assert ("parameters" in found.get_output("class")) == is_binary
    assert found.get_response()["id"] == "mine"


def test_all_outputs_come_as_bytes_where_no_output_is_named(client):
    found = client.infer("words", word_inputs())
    assert [output["name"] for output in found.get_response()["outputs"]] == [
        "class",
        "probability",
        "missing",
        "answer",
    ]
    assert all("binary_data_size" in output["parameters"] for output in found.get_response()["outputs"])
    assert found.as_numpy("answer").tolist() == [b"spam", b"ham", b"ham"]
    assert found.as_numpy("probability").tolist() == [[0, 1], [1, 0], [1, 0]]
    assert found.as_numpy("missing").tolist() == [False, True, False]


def test_some_outputs_as_bytes_and_others_as_json(client):
    wanted = [
        triton.InferRequestedOutput("answer", binary_data=False),
        triton.InferRequestedOutput("class", binary_data=True),
    ]
    found = client.infer("spots", image_input(), outputs=wanted).get_response()["outputs"]
    assert found[0]["data"] == ["left", "right"]
    assert "data" not in found[1]


@pytest.mark.parametrize("is_binary", [True, False])
def test_class_count_gives_the_largest_values_with_their_classes(client, is_binary):
    wanted = [triton.InferRequestedOutput("probability", binary_data=is_binary, class_count=2)]
    found = client.infer("words", word_inputs(), outputs=wanted).as_numpy("probability").tolist()
    texts = [[text if isinstance(text, str) else text.decode() for text in row] for row in found]
    assert texts[:2] == [["1.000000:1:spam", "0.000000:0:ham"], ["1.000000:0:ham", "0.000000:1:spam"]]


def test_more_classes_than_there_are_are_those_that_there_are(client):
    wanted = [triton.InferRequestedOutput("probability", class_count=99)]
    assert client.infer("words", word_inputs(), outputs=wanted).as_numpy("probability").shape == (3, 2)


def test_a_class_count_of_an_output_without_classes_is_refused(client):
    wanted = [triton.InferRequestedOutput("class", class_count=2)]
    with pytest.raises(InferenceServerException, match=r"'class' has no value for each class.*probability"):
        client.infer("words", word_inputs(), outputs=wanted)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_bodies_are_compressed_both_ways(client, encoding):
    many = triton.InferInput("image", [500, 2, 2, 1], "UINT8")
    many.set_data_from_numpy(np.repeat(IMAGES, 250, axis=0))
    found = client.infer(
        "spots",
        [many],
        request_compression_algorithm=encoding,
        response_compression_algorithm=encoding,
    )
    assert found.as_numpy("class").tolist() == [0] * 250 + [2] * 250


def test_zstd_is_understood_and_given(shared):
    many = ROWS | {"shape": [500, 2, 2, 1], "data": [9, 0, 0, 0] * 500}
    body = deflate(orjson.dumps({"inputs": [many]}), "zstd")
    response = post(shared, f"{MODEL}/infer", body, content_encoding="zstd", accept_encoding="zstd")
    assert response.headers["content-encoding"] == "zstd"
    import pyarrow as pa

    with pa.CompressedInputStream(pa.BufferReader(response.content), "zstd") as stream:
        told = orjson.loads(stream.read())
    assert told["outputs"][0]["data"] == [0] * 500


def test_a_bomb_is_refused_and_the_next_request_is_answered(shared):
    bomb = gzip.compress(bytes(100 * 2**20))
    response = post(shared, f"{MODEL}/infer", bomb, content_encoding="gzip")
    assert (response.status_code, response.json()["error"]) == (
        413,
        "the body inflates to more than 16777216 bytes; send fewer rows a request",
    )
    assert post(shared, f"{MODEL}/infer", orjson.dumps({"inputs": [ROWS]})).status_code == 200


def test_an_encoding_that_is_not_understood_is_named(shared):
    response = post(shared, f"{MODEL}/infer", b"?", content_encoding="br")
    assert response.status_code == 415
    assert response.headers["accept-encoding"] == "gzip, deflate, zstd"


def test_a_request_that_has_no_more_time_is_given_up(client):
    with pytest.raises(
        InferenceServerException, match=r"not answered within the 1 us of parameters\.timeout"
    ):
        client.infer("spots", image_input(), timeout=1)
    before = counts(client)
    assert client.infer("spots", image_input(), timeout=60_000_000, priority=1).as_numpy("class").size == 2
    assert counts(client) == (before[0] + 1, before[1])


def counts(client):
    stats = client.get_inference_statistics("spots")["model_stats"][0]["inference_stats"]
    return stats["success"]["count"], stats["fail"]["count"]


def test_the_first_priority_needs_the_credential(client):
    with pytest.raises(InferenceServerException, match="want the installation's credential with it"):
        client.infer("spots", image_input(), priority=1, headers={})


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ({"sequence_id": 7}, "parameters: 'sequence_id' is not understood"),
        ({"parameters": {"colour": "red"}}, "parameters: 'colour' is not understood"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(client, call, text):
    with pytest.raises(InferenceServerException, match=text):
        client.infer("spots", image_input(), **call)


def test_shared_memory_is_refused_by_name(client):
    asked = triton.InferInput("image", [2, 2, 2, 1], "UINT8")
    asked.set_shared_memory("region", 8)
    with pytest.raises(InferenceServerException, match="'shared_memory_region' is not understood"):
        client.infer("spots", [asked])


def test_server_and_models_are_described_as_triton_s_client_reads_them(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("spots")
    assert client.is_model_ready("spots", "1")
    assert not client.is_model_ready("spots", "9")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("words", "1")["inputs"][0]["datatype"] == "BYTES"
    config = client.get_model_config("spots")
    assert (config["max_batch_size"], config["input"]) == (
        1024,
        [{"name": "image", "data_type": "TYPE_UINT8", "dims": [2, 2, 1]}],
    )


def test_statistics_tell_requests_rows_and_where_their_time_went(client):
    def stats():
        found = client.get_inference_statistics()["model_stats"]
        return next(each for each in found if each["name"] == "words")

    before = stats()
    client.infer("words", word_inputs())
    after = stats()
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["execution_count"] - before["execution_count"] == 1
    for name in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        then, now = before["inference_stats"][name], after["inference_stats"][name]
        assert now["count"] == then["count"] + 1
        assert now["ns"] > then["ns"]
    assert next(each for each in after["batch_stats"] if each["batch_size"] == 3)["compute_infer"]["count"]


def test_the_repository_tells_what_is_released_and_releases_decide(client):
    index = client.get_model_repository_index()
    assert {(each["name"], each["version"], each["state"]) for each in index} == {
        ("spots", "1", "READY"),
        ("words", "1", "READY"),
        ("notes", "1", "READY"),
    }
    client.load_model("spots")
    with pytest.raises(InferenceServerException, match="no model 'dots'"):
        client.load_model("dots")
    with pytest.raises(InferenceServerException, match="releases decide what serves; `gyre rollback spots`"):
        client.unload_model("spots")
    with pytest.raises(InferenceServerException, match="only what was released is loaded"):
        client.load_model("spots", config="{}")
    assert client.is_model_ready("spots")


def test_nobody_without_the_credential_sees_or_changes_the_repository(client):
    for call in (client.get_model_repository_index, client.get_inference_statistics):
        with pytest.raises(InferenceServerException, match="this needs a token"):
            call(headers={})
    for change in (client.load_model, client.unload_model):
        with pytest.raises(InferenceServerException, match="this needs a token"):
            change("spots", headers={})


def test_a_method_that_a_path_has_not_is_answered_with_those_that_it_has(shared):
    known = shared.settings.credential.headers
    for method, path, allowed in (
        ("PUT", f"{MODEL}/infer", "POST, OPTIONS"),
        ("GET", f"{MODEL}/infer", "POST, OPTIONS"),
        ("POST", MODEL, "GET, HEAD, OPTIONS"),
        ("DELETE", "/v2/health/live", "GET, HEAD, OPTIONS"),
    ):
        response = httpx.request(method, shared.url + path, headers=known, timeout=DEADLINE_S)
        assert (response.status_code, response.headers["allow"]) == (405, allowed)
        assert response.json()["error"] == f"{path} has no {method}; want {allowed}"
    options = httpx.options(shared.url + MODEL, timeout=DEADLINE_S)
    assert (options.status_code, options.headers["allow"], options.content) == (
        204,
        "GET, HEAD, OPTIONS",
        b"",
    )
    head = httpx.head(shared.url + MODEL, timeout=DEADLINE_S)
    whole = httpx.get(shared.url + MODEL, timeout=DEADLINE_S)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


def test_a_trace_is_echoed_and_what_is_none_is_not(shared):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    body = orjson.dumps({"inputs": [ROWS]})
    assert post(shared, f"{MODEL}/infer", body, traceparent=trace).headers["traceparent"] == trace
    assert post(shared, f"{MODEL}/infer", b"?", traceparent=trace).headers["traceparent"] == trace
    assert "traceparent" not in post(shared, f"{MODEL}/infer", body, traceparent="00-1-2-3").headers


@pytest.mark.parametrize(
    ("tensor", "data", "text"),
    [
        ({"shape": [2**40, 2, 2, 1]}, b"", r"shape is \[1099511627776, 2, 2, 1\]; want \[1 to 1024"),
        ({"shape": [-1, 2, 2, 1]}, b"", r"shape is \[-1, 2, 2, 1\]; want \[1 to 1024"),
        ({"shape": [2**70, 2, 2, 1]}, b"", "shape is"),
        ({"datatype": "BF16"}, b"\0" * 8, "datatype is 'BF16'; want 'UINT8'"),
        ({"datatype": ["UINT8"]}, b"\0" * 8, "datatype is"),
        ({}, b"\0" * 7, "has 7 bytes; shape .* wants 8"),
        ({}, b"", "has 0 bytes; shape .* wants 8"),
        ({"parameters": []}, b"", "parameters|data is missing"),
        ({"parameters": {"binary_data_size": "8"}}, b"", "binary_data_size is '8'"),
    ],
)
def test_hostile_binary_tensors_are_refused_with_their_place(shared, tensor, data, text):
    asked = {"name": "image", "shape": [2, 2, 2, 1], "datatype": "UINT8"}
    asked |= {"parameters": {"binary_data_size": len(data)}} | tensor
    header = orjson.dumps({"inputs": [asked]}) if 2**70 not in asked["shape"] else huge(asked)
    length = {"inference_header_content_length": str(len(header))}
    response = post(shared, f"{MODEL}/infer", header + data, **length)
    assert response.status_code == 400
    assert re.search(text, response.json()["error"])


def huge(asked):
    """JSON with a number that orjson does not write."""
    import json

    return json.dumps({"inputs": [asked]}).encode()


def test_bytes_without_the_header_are_refused_with_what_is_missing(shared):
    asked = {key: value for key, value in ROWS.items() if key != "data"}
    body = orjson.dumps({"inputs": [asked | {"parameters": {"binary_data_size": 8}}]})
    response = post(shared, f"{MODEL}/infer", body)
    assert response.status_code == 400
    assert "the request has no header Inference-Header-Content-Length" in response.json()["error"]


def test_an_answer_s_texts_are_those_of_the_rows_that_were_sent_as_mlserver_s_clients_send_them(shared):
    inputs = [
        {
            "name": "text",
            "shape": [2, 1],
            "datatype": "BYTES",
            "data": ["spam", "ham"],
            "parameters": {"content_type": "str"},
        },
        {
            "name": "size",
            "shape": [2, 1],
            "datatype": "FP32",
            "data": [1, 2],
            "parameters": {"content_type": "np"},
        },
    ]
    body = orjson.dumps({"inputs": inputs, "parameters": {"content_type": "pd"}})
    assert post(shared, "/v2/models/words/infer", body).json()["outputs"][-1]["data"] == ["spam", "ham"]
    inputs[0]["parameters"]["content_type"] = "base64"
    response = post(shared, "/v2/models/words/infer", orjson.dumps({"inputs": inputs}))
    assert "content_type is 'base64'; want np or pd or str" in response.json()["error"]


def test_a_request_as_kserve_s_clients_send_it_is_answered_without_a_notice(shared):
    body = {"id": "k", "model_name": "spots", "inputs": [ROWS | {"parameters": {}}]}
    response = post(shared, f"{MODEL}/infer", orjson.dumps(body))
    assert response.json()["outputs"][-1]["data"] == ["left", "right"]
    assert "parameters" not in response.json()
    body["model_name"] = "dots"
    response = post(shared, f"{MODEL}/infer", orjson.dumps(body))
    assert response.json() == {"error": "model_name is 'dots'; the request is about 'spots'"}


def test_fields_that_nobody_set_are_null_in_some_clients_requests(shared):
    unset = {"content_type": "np", "headers": None}
    body = {
        "id": None,
        "parameters": {"content_type": None, "headers": None},
        "inputs": [ROWS | {"parameters": unset}],
        "outputs": [{"name": "answer", "parameters": {"content_type": None}}],
    }
    response = post(shared, f"{MODEL}/infer", orjson.dumps(body))
    assert response.json()["outputs"][0]["data"] == ["left", "right"]


@pytest.mark.parametrize("parameters", [3e255, [], "config", {"config": "{}"}, True])
def test_a_load_that_brings_something_is_refused(shared, parameters):
    body = orjson.dumps({"parameters": parameters})
    response = post(shared, "/v2/repository/models/spots/load", body)
    assert response.status_code == 400
    assert "a load takes none: only what was released is loaded" in response.json()["error"]
