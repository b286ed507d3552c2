"""The OpenAPI document says what is there, and whatever is made up from it meets no error of the server."""

import json

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from infra.home import Home
from tasks.serving.model_server import ModelServer
from tasks.serving.protocol.refusal import Refusal
from tasks.serving.rest.application import Application
from tasks.serving.rest.openapi import document, paths
from tests.tasks.conftest import DEADLINE_S

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
schema = schemathesis.openapi.from_dict(document())


@schemathesis.serializer("application/x-ndjson", "image/png", "image/jpeg")
def as_bytes(context, value):
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def test_the_document_is_served_to_anybody(shared):
    response = httpx.get(f"{shared.url}/openapi.json", timeout=DEADLINE_S)
    assert response.json() == document()


@pytest.mark.parametrize("path", paths())
def test_each_path_of_the_document_has_the_methods_that_it_says(path, tmp_path):
    application = Application(ModelServer(Home(tmp_path)))
    filled = path.replace("{model}", "spots").replace("{version}", "1").replace("{job}", "1")
    methods = [method.upper() for method in paths()[path]]
    assert all(application._handler(method, filled) for method in methods)
    with pytest.raises(Refusal) as refused:
        application._handler("BREW", filled)
    told = set(refused.value.headers["allow"].split(", "))
    assert told - {"HEAD", "OPTIONS"} == set(methods)


@schema.parametrize()
@settings(
    max_examples=30, deadline=None, suppress_health_check=[*HealthCheck], derandomize=True, database=None
)
def test_what_is_made_up_from_the_document_meets_no_error_of_the_server(case, shared):
    if "model" in case.path_parameters and len(str(case.body)) % 4:
        # Mostly a model that there is: otherwise all that is tried is that there is none.
        case.path_parameters["model"] = ("spots", "words")[len(str(case.body)) % 2]
    if "version" in case.path_parameters and len(str(case.body)) % 3:
        case.path_parameters["version"] = "1"
    case.call_and_validate(
        base_url=shared.url, headers=shared.settings.credential.headers, checks=CHECKS, timeout=DEADLINE_S
    )
