"""JSON with binary tensors behind it: sizes that do not add up are refused."""

import re

import orjson
import pytest

from tasks.serving.protocol.refusal import Refusal
from tasks.serving.rest.messages import parse


def sent(*sizes, behind=b"", **more):
    """A body of inputs with those sizes and its header."""
    inputs = [{"name": str(size), "parameters": {"binary_data_size": size}, **more} for size in sizes]
    header = orjson.dumps({"inputs": inputs})
    return header + behind, str(len(header)).encode()


def test_inputs_have_their_bytes_in_their_order():
    request = parse(*sent(3, 0, 2, behind=b"abcde"))
    assert [bytes(tensor["data"]) for tensor in request.inputs] == [b"abc", b"", b"de"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (sent(-1, behind=b"ab"), "inputs[0].parameters.binary_data_size is -1; want at most the 2 bytes"),
        (sent(2, 2, behind=b"abc"), "inputs[1].parameters.binary_data_size is 2; want at most the 1 bytes"),
        (sent(2**60, behind=b"ab"), "inputs[0].parameters.binary_data_size is 1152921504606846976"),
        (sent(1.0, behind=b"ab"), "inputs[0].parameters.binary_data_size is 1.0"),
        (sent(True, behind=b"a"), "inputs[0].parameters.binary_data_size is True"),
        (sent(1, behind=b"abc"), "2 bytes follow the JSON and the inputs' binary_data_size"),
        (sent(behind=b"abc"), "3 bytes follow the JSON"),
        (sent(1, behind=b"a", data=[1]), "inputs[0] has data and parameters.binary_data_size"),
        (
            (b"{}", b"3"),
            "Inference-Header-Content-Length is '3'; want how many of the body's 2 bytes are JSON",
        ),
        ((b"{}", b"0"), "Inference-Header-Content-Length is '0'"),
        ((b"{}", b"-1"), "Inference-Header-Content-Length is '-1'"),
        ((b"{}", b"\xb2"), "Inference-Header-Content-Length is"),
        ((b"{}", b"9" * 5000), "Inference-Header-Content-Length is '999"),
        ((b"{}x", b"3"), "the body is not JSON"),
    ],
)
def test_sizes_that_do_not_add_up_are_refused(body, text):
    with pytest.raises(Refusal, match=re.escape(text)) as refused:
        parse(*body)
    assert refused.value.status == 400
