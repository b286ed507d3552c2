"""The queue in front of a graph, without HTTP."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.files import DigestError, digest, read_json, write_json
from tasks.rows.raw import blank
from tasks.serving.models.model import load
from tasks.serving.protocol.refusal import Refusal


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def test_a_full_queue_sends_requests_back_and_answers_those_that_wait(served, executor):
    model = load("spots", served(1), executor)
    rows = blank(model.signature.inputs, 1024)

    async def ask_all():
        return await asyncio.gather(*(model.answer(rows) for _ in range(10)), return_exceptions=True)

    given = asyncio.run(ask_all())
    assert [len(outputs["class"]) for outputs in given[:8]] == [1024] * 8
    told = "8192 rows of requests of more than 64 rows wait already; try again in 1 s"
    assert {str(refusal) for refusal in given[8:]} == {told}
    assert all(isinstance(refusal, Refusal) and refusal.status == 503 for refusal in given[8:])
    assert (model.counts.statistics.success.count, model.counts.statistics.fail.count) == (8, 0)


def test_a_bundle_that_is_not_what_its_signature_says_is_not_loaded(served, executor):
    version = served(1)
    with pytest.raises(ValueError, match=r"signature.json is of another graph \(project 'spots'\)"):
        load("dots", version, executor)
    with pytest.raises(DigestError):
        load("spots", version.model_copy(update={"digest": "0" * 64}), executor)


def test_a_signature_with_another_input_is_refused(served, executor):
    version = served(1)
    path = Path(version.uri, "signature.json")
    facts = read_json(path)
    write_json(path, facts | {"inputs": [facts["inputs"][0] | {"name": "picture"}]})
    with pytest.raises(ValueError, match=r"signature.json says .TensorSpec\(name='picture'"):
        load("spots", version.model_copy(update={"digest": digest(Path(version.uri))}), executor)
