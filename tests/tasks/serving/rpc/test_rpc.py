"""The protocol's gRPC face of a real server.

What Triton's own client asks, the standard services, and hostile calls.
"""

import queue
import shutil
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import hypothesis
import numpy as np
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st
from tritonclient import grpc as triton
from tritonclient.utils import InferenceServerException

from infra.tls import own_server
from tasks.production.prediction_log import PredictionLog
from tasks.production.releases import rollback
from tasks.serving.rpc import open_inference_pb2 as pb
from tests.tasks.conftest import DEADLINE_S, Server

ROOT = Path(__file__).parents[4]
IMAGES = np.array([9, 0, 0, 0, 0, 0, 9, 0], np.uint8).reshape(2, 2, 2, 1)
INFER = "/inference.GRPCInferenceService/ModelInfer"


class Known:
    """Triton's client, which sends the credential with every call."""

    def __init__(self, client, headers):
        self.client, self.headers = client, headers

    def __getattr__(self, name):
        return lambda *given, **more: getattr(self.client, name)(*given, **({"headers": self.headers} | more))


def address(server):
    return f"127.0.0.1:{server.settings.grpc_port}"


@pytest.fixture(scope="module")
def client(shared):
    with triton.InferenceServerClient(address(shared)) as made:
        yield Known(made, shared.settings.credential.headers)


@pytest.fixture(scope="module")
def channel(shared):
    with grpc.insecure_channel(address(shared)) as made:
        yield made


def image_input():
    made = triton.InferInput("image", [2, 2, 2, 1], "UINT8")
    made.set_data_from_numpy(IMAGES)
    return [made]


def word_inputs():
    text, size = triton.InferInput("text", [3], "BYTES"), triton.InferInput("size", [3, 1], "FP32")
    text.set_data_from_numpy(np.array(["spam", "größer", ""], object))
    size.set_data_from_numpy(np.array([[1], [np.nan], [2]], np.float32))
    return [text, size]


def ask(channel, message, **metadata):
    """ModelInfer with a message of ours, which may say what no client would."""
    call = channel.unary_unary(
        INFER, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
    )
    return call(message, metadata=tuple(metadata.items()), timeout=DEADLINE_S)


def refusal(channel, message, **metadata):
    with pytest.raises(grpc.RpcError) as refused:
        ask(channel, message, **metadata)
    return refused.value.code().name, refused.value.details()


def test_tensors_go_and_come_as_bytes(client):
    found = client.infer("words", word_inputs(), request_id="mine")
    assert found.as_numpy("answer").tolist() == [b"spam", b"ham", b"ham"]
    assert found.as_numpy("probability").tolist() == [[0, 1], [1, 0], [1, 0]]
    assert found.as_numpy("missing").tolist() == [False, True, False]
    assert (found.get_response().id, found.get_response().model_version) == ("mine", "1")
    assert found.get_response().parameters["notices"].string_param.splitlines() == [
        "input 'text': row 2 has no value",
        "input 'size': row 1 has no value",
    ]


def test_both_faces_answer_the_same(client, shared):
    with shared.client() as rest:
        over_rest = rest.infer(IMAGES)["outputs"][1]["data"]
    over_grpc = client.infer("spots", image_input()).as_numpy("probability")
    assert np.float32(over_rest).tolist() == over_grpc.ravel().tolist()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_messages_are_read(client, algorithm):
    found = client.infer("spots", image_input(), compression_algorithm=algorithm)
    assert found.as_numpy("class").tolist() == [0, 2]


def test_typed_contents_are_answered_with_typed_contents(channel):
    message = pb.ModelInferRequest(model_name="words")
    text = message.inputs.add(name="text", datatype="BYTES", shape=[2])
    text.contents.bytes_contents.extend([b"spam", "größer".encode()])
    size = message.inputs.add(name="size", datatype="FP32", shape=[2])
    size.contents.fp32_contents.extend([1, float("nan")])
    found = ask(channel, message)
    assert not found.raw_output_contents
    by_name = {output.name: output.contents for output in found.outputs}
    assert list(by_name["class"].int64_contents) == [1, 0]
    assert list(by_name["missing"].bool_contents) == [False, True]
    assert list(by_name["answer"].bytes_contents) == [b"spam", b"ham"]


def test_outputs_are_chosen_and_classified(client):
    wanted = [triton.InferRequestedOutput("probability", class_count=1), triton.InferRequestedOutput("class")]
    found = client.infer("words", word_inputs(), outputs=wanted)
    assert found.as_numpy("probability").tolist() == [
        [b"1.000000:1:spam"],
        [b"1.000000:0:ham"],
        [b"1.000000:0:ham"],
    ]
    assert [output.name for output in found.get_response().outputs] == ["probability", "class"]


def test_asynchronous_calls_and_streams_answer_each_request(client):
    answers = queue.Queue()
    client.async_infer("spots", image_input(), lambda result, error: answers.put((result, error)))
    result, error = answers.get(timeout=DEADLINE_S)
    assert (error, result.as_numpy("class").tolist()) == (None, [0, 2])
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(3):
        client.client.async_stream_infer("spots", image_input(), request_id=str(number))
    client.client.async_stream_infer("dots", image_input(), request_id="wrong")
    client.client.async_stream_infer("spots", image_input(), request_id="last")
    found = [answers.get(timeout=DEADLINE_S) for _ in range(5)]
    client.client.stop_stream()
    assert [result.get_response().id for result, _ in found if result] == ["0", "1", "2", "last"]
    assert "no model 'dots'; there are: " in str(found[3][1])


def test_server_and_models_are_described(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("spots")
    assert client.is_model_ready("spots", "1")
    assert not client.is_model_ready("spots", "9")
    assert not client.is_model_ready("dots")
    assert client.get_server_metadata().name == "gyre"
    metadata = client.get_model_metadata("words")
    assert [(each.name, each.datatype, list(each.shape)) for each in metadata.inputs] == [
        ("text", "BYTES", [-1]),
        ("size", "FP32", [-1]),
    ]
    config = client.get_model_config("spots").config
    assert (config.max_batch_size, config.input[0].data_type, list(config.input[0].dims)) == (
        1024,
        2,
        [2, 2, 1],
    )
    assert config.dynamic_batching.priority_levels == 3


def test_statistics_count_what_both_faces_answered(client, shared):
    def rows():
        return client.get_inference_statistics("spots", "1").model_stats[0].inference_count

    before = rows()
    client.infer("spots", image_input())
    with shared.client() as rest:
        rest.infer(IMAGES)
    assert rows() == before + 4
    assert {each.name for each in client.get_inference_statistics().model_stats} == {
        "spots",
        "words",
        "notes",
    }


def test_the_repository_tells_what_is_released_and_releases_decide(client):
    index = client.get_model_repository_index().models
    assert {(each.name, each.version, each.state) for each in index} == {
        ("spots", "1", "READY"),
        ("words", "1", "READY"),
        ("notes", "1", "READY"),
    }
    client.load_model("spots")
    with pytest.raises(InferenceServerException, match=r"FAILED_PRECONDITION.*releases decide what serves"):
        client.unload_model("spots")
    with pytest.raises(InferenceServerException, match=r"NOT_FOUND.*no model 'dots'"):
        client.load_model("dots")
    with pytest.raises(InferenceServerException, match=r"INVALID_ARGUMENT.*only what was released is loaded"):
        client.load_model("spots", config="{}")


@pytest.mark.parametrize(
    ("call", "given"),
    [
        ("get_system_shared_memory_status", ()),
        ("register_system_shared_memory", ("region", "/key", 8)),
        ("unregister_system_shared_memory", ()),
        ("get_cuda_shared_memory_status", ()),
        ("unregister_cuda_shared_memory", ()),
        ("get_trace_settings", ()),
        ("update_trace_settings", ()),
        ("get_log_settings", ()),
        ("update_log_settings", ({},)),
    ],
)
def test_what_is_not_there_is_unimplemented(client, call, given):
    with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
        getattr(client, call)(*given)


def test_a_request_without_more_time_is_given_up(client):
    with pytest.raises(InferenceServerException, match="within the 1 us of parameters"):
        client.infer("spots", image_input(), timeout=1)
    assert client.infer("spots", image_input(), timeout=60_000_000, priority=3).as_numpy("class").size == 2


def test_a_trace_is_echoed(channel, shared):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    call = channel.unary_unary("/inference.GRPCInferenceService/ServerLive", lambda _: b"", lambda data: data)
    for sent, echoed in ((trace, {"traceparent": trace}), ("00-1", {})):
        _, made = call.with_call(None, metadata=(("traceparent", sent),), timeout=DEADLINE_S)
        assert dict(made.trailing_metadata()) == echoed


def tensor(message, name="image", datatype="UINT8", shape=(2, 2, 2, 1)):
    return message.inputs.add(name=name, datatype=datatype, shape=shape)


def hostile_messages():
    """Code, text and message of each."""
    short = pb.ModelInferRequest(model_name="spots", raw_input_contents=[b"1234567"])
    tensor(short)
    yield "input 'image': has 7 bytes; shape [2, 2, 2, 1] wants 8", short
    two = pb.ModelInferRequest(model_name="spots", raw_input_contents=[b"12345678", b""])
    tensor(two)
    yield "raw_input_contents has 2 tensors and inputs 1; want as many", two
    both = pb.ModelInferRequest(model_name="spots", raw_input_contents=[b"12345678"])
    tensor(both).contents.uint_contents.extend([1] * 8)
    yield "inputs[0] has contents and raw_input_contents; want one of them", both
    other = pb.ModelInferRequest(model_name="spots")
    tensor(other).contents.int_contents.extend([1] * 8)
    yield "inputs[0].contents has int_contents; datatype 'UINT8' wants uint_contents", other
    large = pb.ModelInferRequest(model_name="spots")
    tensor(large).contents.uint_contents.extend([256] * 8)
    yield "input 'image': data[0] (row 0) is 256; want whole numbers from 0 to 255 (UINT8)", large
    many = pb.ModelInferRequest(model_name="spots")
    tensor(many).contents.uint_contents.extend([1] * 1_000_000)
    yield "input 'image': contents have 1000000 values; its shape wants 8", many
    for shape in ((2**62, 2, 2, 1), (-1, 2, 2, 1), (0, 2, 2, 1), ()):
        huge = pb.ModelInferRequest(model_name="spots", raw_input_contents=[b"12345678"])
        tensor(huge, shape=shape)
        yield "want [1 to 1024, 2, 2, 1]", huge
    unknown = pb.ModelInferRequest(model_name="spots", raw_input_contents=[b"12345678"])
    tensor(unknown, datatype="BF16")
    yield "datatype is 'BF16'; want 'UINT8'", unknown
    no_text = pb.ModelInferRequest(model_name="words")
    tensor(no_text, "text", "BYTES", (1,)).contents.bytes_contents.append(b"\xff")
    tensor(no_text, "size", "FP32", (1,)).contents.fp32_contents.append(float("inf"))
    yield "input 'text': text 0 is not UTF-8", no_text
    endless = pb.ModelInferRequest(model_name="words")
    tensor(endless, "text", "BYTES", (1,)).contents.bytes_contents.append(b"ham")
    tensor(endless, "size", "FP32", (1,)).contents.fp32_contents.append(float("inf"))
    yield "input 'size': data[0] (row 0) is inf; want numbers", endless
    yield "the request names no model; want the name of one", pb.ModelInferRequest()
    empty = pb.ModelInferRequest(model_name="spots")
    yield "inputs is []; want a list with one tensor", empty
    nothing = pb.ModelInferRequest(model_name="spots")
    tensor(nothing)
    yield "input 'image': data is missing", nothing
    parameter = pb.ModelInferRequest(model_name="spots")
    parameter.parameters["sequence_id"].int64_param = 7
    yield "parameters: 'sequence_id' is not understood", parameter


@pytest.mark.parametrize("number", range(17))
def test_hostile_messages_are_refused_with_their_place(channel, number):
    text, message = list(hostile_messages())[number]
    code, told = refusal(channel, message)
    assert code == "INVALID_ARGUMENT"
    assert text in told


def test_bytes_that_are_no_message_and_messages_that_are_too_large_are_refused(channel, shared):
    raw = channel.unary_unary(INFER, lambda data: data, lambda data: data)
    with pytest.raises(grpc.RpcError) as refused:
        raw(b"\xff\xff\xff", timeout=DEADLINE_S)
    assert refused.value.code().name == "INVALID_ARGUMENT"
    assert refused.value.details().startswith("the message is no inference.ModelInferRequest: ")
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with pytest.raises(grpc.RpcError) as refused:
            raw(bytes(20 * 2**20), timeout=DEADLINE_S, compression=compression)
        assert refused.value.code().name == "RESOURCE_EXHAUSTED"
    message = pb.ModelInferRequest(model_name="spots", raw_input_contents=[IMAGES.tobytes()])
    tensor(message)
    assert ask(channel, message).outputs[0].name == "class"


GOOD = pb.ModelInferRequest(model_name="words", raw_input_contents=[b"\4\0\0\0spam", b"\0\0\0\0"], id="mine")
tensor(GOOD, "text", "BYTES", (1,))
tensor(GOOD, "size", "FP32", (1, 1))


@hypothesis.settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_message_with_any_bytes_changed_is_answered_or_refused(channel, data):
    message = bytearray(GOOD.SerializeToString())
    for _ in range(data.draw(st.integers(0, 4))):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(message)) | st.just(len(message)))
    raw = channel.unary_unary(INFER, lambda sent: sent, pb.ModelInferResponse.FromString)
    try:
        assert raw(bytes(message[:length]), timeout=DEADLINE_S).outputs
    except grpc.RpcError as error:
        assert error.code().name in ("INVALID_ARGUMENT", "NOT_FOUND"), error.details()
        assert error.details()


def test_without_the_credential_a_model_answers_and_nothing_changes(client, channel):
    message = pb.ModelInferRequest(model_name="spots", raw_input_contents=[IMAGES.tobytes()])
    tensor(message)
    assert "answered but not logged" in ask(channel, message).parameters["notices"].string_param
    assert client.is_server_live(headers={})
    for call, about in (
        ("get_model_repository_index", ()),
        ("get_inference_statistics", ()),
        ("load_model", ("spots",)),
    ):
        with pytest.raises(InferenceServerException, match=r"UNAUTHENTICATED.*this needs a token"):
            getattr(client, call)(*about, headers={})
    assert refusal(channel, message, authorization="Bearer nobody's")[0] == "UNAUTHENTICATED"


def test_a_call_that_would_change_something_is_in_the_audit(client, shared):
    with pytest.raises(InferenceServerException):
        client.unload_model("words")
    line = (shared.settings.home.logs / "audit.log").read_text().splitlines()[-1]
    assert '"caller":"gyre","address":"127.0.0.1","method":"POST"' in line
    assert '"path":"/v2/repository/models/words/unload","status":409' in line


def test_a_name_with_a_slash_is_no_model_s(client, channel):
    assert refusal(channel, pb.ModelInferRequest(model_name="w/rds")) == (
        "NOT_FOUND",
        "no model 'w/rds': names have no slash",
    )
    with pytest.raises(InferenceServerException, match="no version '1/ready': want a number"):
        client.get_model_metadata("spots", "1/ready")


def test_the_standard_health_service_tells_of_the_models(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", "inference.GRPCInferenceService"):
        found = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=DEADLINE_S)
        assert health_pb2.HealthCheckResponse.ServingStatus.Name(found.status) == "SERVING"
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        stub.Check(health_pb2.HealthCheckRequest(service="other"), timeout=DEADLINE_S)


def test_reflection_tells_every_call_and_message(channel):
    def ask_reflection(**asked):
        request = reflection_pb2.ServerReflectionRequest(**asked)
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        return next(stub.ServerReflectionInfo(iter([request]), timeout=DEADLINE_S))

    services = ask_reflection(list_services="").list_services_response.service
    assert {each.name for each in services} == {
        "inference.GRPCInferenceService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    told = ask_reflection(file_containing_symbol="inference.GRPCInferenceService").file_descriptor_response
    file = FileDescriptorProto.FromString(told.file_descriptor_proto[0])
    assert "ModelInfer" in [method.name for method in file.service[0].method]


def test_messages_are_those_of_triton_s_client():
    from tritonclient.grpc import model_config_pb2, service_pb2

    theirs = {
        **service_pb2.DESCRIPTOR.message_types_by_name,
        **model_config_pb2.DESCRIPTOR.message_types_by_name,
    }
    compared = 0
    waiting = [(ours, theirs[name]) for name, ours in pb.DESCRIPTOR.message_types_by_name.items()]
    while waiting:
        ours, other = waiting.pop()
        for field in ours.fields:
            same = other.fields_by_name[field.name]
            assert (field.number, field.type, field.is_repeated) == (same.number, same.type, same.is_repeated)
            compared += 1
        waiting += [(nested, other.nested_types_by_name[nested.name]) for nested in ours.nested_types]
    assert compared > 100
    methods = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name
    for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
        same = methods[method.name]
        assert (method.input_type.name, method.output_type.name) == (
            same.input_type.name,
            same.output_type.name,
        )


def test_the_python_modules_are_what_the_proto_gives(tmp_path):
    subprocess.run(["make", "--silent", "grpc", f"OUT={tmp_path}"], cwd=ROOT, check=True, capture_output=True)
    for name in ("open_inference_pb2.py", "open_inference_pb2.pyi"):
        assert (tmp_path / name).read_text() == (ROOT / "tasks" / "serving" / "rpc" / name).read_text()


def test_predictions_over_grpc_are_logged_and_take_labels_over_rest(server, served):
    server.release(served(1, turn=0))
    headers = server.settings.credential.headers
    with triton.InferenceServerClient(address(server)) as client:
        client.infer("spots", image_input(), request_id="mine", headers=headers)
        client.infer(
            "spots", image_input(), request_id="unlogged", headers=headers, parameters={"log": False}
        )
        client.infer("spots", image_input(), request_id="anybody's")
    with server.client() as over_rest:
        over_rest.label({"mine#0": "left"})
    server.stop()
    log = PredictionLog(server.settings.home / "predictions" / "spots")
    assert log.latest(10)["request_id"].tolist() == ["mine#0", "mine#1"]


def test_swaps_under_load_lose_no_call_over_either_face(server, served):
    one, two = served(1, turn=0), served(2, turn=1)
    server.release(one)
    ended, answered, failures = threading.Event(), Counter(), []
    expected = {"1": ["left", "right"], "2": ["middle", "left"]}

    def check(face, version, texts):
        answered[face, version] += 1
        if texts != expected[version]:
            failures.append((face, version, texts))

    def ask_over_grpc():
        with triton.InferenceServerClient(address(server)) as client:
            while not ended.is_set():
                found = client.infer("spots", image_input())
                texts = [text.decode() for text in found.as_numpy("answer")]
                check("grpc", found.get_response().model_version, texts)

    def ask_over_rest():
        with server.client(patience_s=0) as client:
            while not ended.is_set():
                found = client.infer(IMAGES)
                check("rest", found["model_version"], found["outputs"][-1]["data"])

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for ask in (ask_over_grpc, ask_over_rest) * 2]
        try:
            server.release(two)
            for champion in "1212121212":
                server.releases.change("spots", rollback)
                server.wait(lambda champion=champion: server.roles().get("champion") == champion)
                before = answered.copy()
                server.wait(lambda before=before: len(answered - before) >= 2)
        finally:
            ended.set()
    assert [each.exception() for each in asking] == [None] * 4
    assert failures == []
    assert set(answered) == {(face, version) for face in ("grpc", "rest") for version in "12"}


def test_rest_and_grpc_speak_tls_with_the_certificate_that_the_files_hold_now(settings, tmp_path):
    certificate, key = make_certificate(tmp_path)
    update = {"server_certificate": str(certificate), "server_key": str(key)}
    server = Server(settings.model_copy(update=update))

    def rest_answers():
        url = f"{server.url}/v2/health/ready"
        return httpx.get(url, verify=own_server(certificate), timeout=DEADLINE_S).is_success

    def grpc_answers():
        trusted = grpc.ssl_channel_credentials(certificate.read_bytes())
        with grpc.secure_channel(f"localhost:{server.settings.grpc_port}", trusted) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            return stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S).status

    server.start(rest_answers)
    try:
        assert grpc_answers()
        # Of another key, as one that was renewed may be; the files change one after the other.
        make_certificate(tmp_path)
        server.wait(rest_answers, httpx.TransportError)
        assert grpc_answers()
    finally:
        server.stop()


def make_certificate(folder):
    """A certificate of localhost, signed by itself, and its key."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    openssl = shutil.which("openssl")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext {names}"
    subprocess.run([*command.split(), "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key
