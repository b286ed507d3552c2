"""The OpenAPI document of the REST face, for tools that make clients, pages or tests of it."""

from importlib.metadata import version as installed
from typing import Any

from tasks.production.protocol_dtypes import DATATYPES
from tasks.serving.jobs.jobs import MAX_KEEP_S, MAX_KEY
from tasks.serving.jobs.store import FINISHED, WAITING
from tasks.serving.model_server import BODY_LIMIT
from tasks.serving.models.model import LAST
from tasks.serving.protocol.inference import MAX_ID, MAX_TIMEOUT_US
from tasks.serving.protocol.tensors import CONTENT_TYPES, MAX_ROWS

JSON = "application/json"
BINARY = "application/octet-stream"
Schema = dict[str, Any]
REFUSALS = {
    "400": "Cannot be read, or is not what the model takes; the text names field, value and fix.",
    "401": "Needs a token or the installation's credential.",
    "403": "The token, or the page that asks, may not.",
    "404": "There is no such model or version.",
    "405": "The path has no such method; Allow has those that it has.",
    "408": "The body did not arrive in time.",
    "413": f"The body has more than {BODY_LIMIT} bytes, or inflates to more.",
    "415": "The content type or encoding is not understood.",
    "421": "The Host is no name of this server.",
    "429": "The token is for fewer requests; Retry-After says when to try again.",
    "431": "The headers are too long.",
    "503": "Too much waits, or what was released cannot be loaded; Retry-After says when to try again.",
    "504": "Not answered within the client's time or the server's.",
}
"""Answers that any path may have."""


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Gyre model server",
            "version": installed("gyre"),
            "description": "Open Inference Protocol v2 with Triton's extensions; /predict is for people.",
        },
        "paths": paths(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "credential": {"type": "http", "scheme": "basic"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{"credential": []}, {"token": []}, {}],
    }


def paths() -> dict[str, Any]:
    """Every path with its methods."""
    found = {
        "/openapi.json": {"get": reading("This document.")},
        "/v2": {"get": reading("The server's name, version and extensions.", "Server")},
        "/v2/health/live": {"get": reading("Whether the server answers.")},
        "/v2/health/ready": {"get": reading("Whether every released model answers, and what is degraded.")},
        "/v2/models/stats": {"get": reading("Statistics of all models.", "Statistics")},
        "/v2/models/{model}/labels": {
            "post": writing("Late labels of rows that were logged.", "Labels", None)
        },
        "/v2/repository/index": {
            "post": writing("Every released version with its state.", "Index", "Versions", needs_body=False)
        },
        "/v2/repository/models/{model}/load": {
            "post": writing("Looks at the releases now.", "Load", None, needs_body=False)
        },
        "/v2/repository/models/{model}/unload": {
            "post": writing("Refused: releases decide what serves.", "Anything", None, needs_body=False)
            | {"responses": {"409": answered("Releases decide.", "Error")} | refusals()}
        },
        "/predict/{model}": {"post": predicting()},
        "/explain/{model}": {"post": explaining()},
        "/metrics": {"get": scraping()},
        **job_paths(),
    }
    for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}"):
        found |= {
            prefix: {"get": reading("What the model takes and gives.", "Model")},
            f"{prefix}/ready": {"get": reading("Whether it answers.")},
            f"{prefix}/config": {"get": reading("Its configuration, by Triton's names.")},
            f"{prefix}/columns": {"get": reading("What training rows had in each input.")},
            f"{prefix}/stats": {"get": reading("Its statistics.", "Statistics")},
            f"{prefix}/infer": {"post": inferring()},
        }
    for path, methods in found.items():
        names = [name for name in ("model", "version", "job") if "{" + name + "}" in path]
        for method in methods.values():
            method["parameters"] = [path_parameter(name) for name in names] + method.get("parameters", [])
    return found


def job_paths() -> dict[str, Any]:
    """Async requests: left here, and answered later."""
    submitting = predicting()
    submitting["summary"] = "Leaves rows to be answered later: as /predict takes them, or a file by its URL."
    submitting["requestBody"]["required"] = False
    submitting["responses"] = {"202": answered("The job, which is on the disk.", "Job")} | refusals()
    texts = {
        "url": "A file's URL, in the place of a body; its origin is one that the installation names.",
        "webhook": "Called, signed by standardwebhooks.com, when the job is finished; its origin likewise.",
    }
    for name, told in texts.items():
        submitting["parameters"].append(
            {"name": name, "in": "query", "description": told, "schema": {"type": "string", "format": "uri"}}
        )
    keep = {"name": "keep", "in": "query", "description": "Seconds for which it is kept when finished."}
    key = {"name": "Idempotency-Key", "in": "header", "description": "Sent again, it is the same job."}
    submitting["parameters"] += [
        keep | {"schema": {"type": "integer", "minimum": 1, "maximum": int(MAX_KEEP_S)}},
        key | {"schema": {"type": "string", "maxLength": MAX_KEY}},
    ]
    unfinished = {"409": answered("It has no answers, or none yet.", "Error")}
    unread = {"422": answered("The file of its URL could not be read.", "Error")}
    result = reading("A finished job's answers, as /predict gives them.", "Prediction")
    failed = {"500": answered("It failed.", "Error")}
    result["responses"] |= unfinished | unread | failed
    events = reading("Its state whenever that changes, as server-sent events, until it is finished.")
    events["responses"]["200"] = {"description": "Events.", "content": {"text/event-stream": {}}}
    job = "/jobs/{model}/{job}"
    return {
        "/jobs/{model}": {"post": submitting},
        job: {
            "get": reading("A job's state.", "Job"),
            "delete": reading("Cancels a job; one that is finished is forgotten.", "Job"),
        },
        f"{job}/result": {"get": result},
        f"{job}/events": {"get": events},
    }


def path_parameter(name: str) -> Schema:
    """A part of a path."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def reading(summary: str, schema: str | None = None) -> dict[str, Any]:
    """A GET."""
    return {"summary": summary, "responses": {"200": answered(summary, schema)} | refusals()}


def scraping() -> dict[str, Any]:
    """A GET of metrics, in the format that the scraper accepts."""
    found = {"description": "Metrics.", "content": {"text/plain": {}, "application/openmetrics-text": {}}}
    return {"summary": "What Prometheus reads.", "responses": {"200": found} | refusals()}


def writing(summary: str, taken: str, given: str | None, needs_body: bool = True) -> dict[str, Any]:
    """A POST of JSON."""
    body = {"required": needs_body, "content": {JSON: {"schema": reference(taken)}}}
    return {
        "summary": summary,
        "requestBody": body,
        "responses": {"200": answered(summary, given)} | refusals(),
    }


def inferring() -> dict[str, Any]:
    """An inference, as JSON or with binary tensors behind it."""
    made = writing("The answers to rows.", "Inference", "Answer")
    made["requestBody"]["content"][BINARY] = {"schema": {"type": "string", "format": "binary"}}
    made["responses"]["200"]["content"][BINARY] = {"schema": {"type": "string", "format": "binary"}}
    length = {"name": "Inference-Header-Content-Length", "in": "header", "required": False}
    told = "How many bytes of the body are JSON, where tensors follow as bytes."
    made["parameters"] = [length | {"description": told, "schema": {"type": "integer", "minimum": 1}}]
    return made


def predicting() -> dict[str, Any]:
    """A person's rows."""
    kinds = [
        "text/plain",
        "text/csv",
        JSON,
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "image/png",
        "image/jpeg",
    ]
    switches = {
        "allow-missing": "Answers rows that lack a whole column.",
        "log": "Whether the rows count as production traffic.",
    }
    made = writing(
        "The answers to an image, a text, CSV, JSON or a form, in words.", "Anything", "Prediction"
    )
    made["requestBody"]["content"] = {kind: {"schema": {}} for kind in kinds}
    made["requestBody"]["content"]["multipart/form-data"] = {
        "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
    }
    made["parameters"] = [
        {"name": name, "in": "query", "description": told, "schema": {"type": "boolean"}}
        for name, told in switches.items()
    ]
    return made


def explaining() -> dict[str, Any]:
    """Why a person's rows are answered so."""
    made = predicting()
    made["summary"] = "What each word, column or patch of an image weighs in the answers."
    made["responses"]["200"] = answered(made["summary"], "Explanation")
    made["parameters"] = [each for each in made["parameters"] if each["name"] != "log"]
    return made


def answered(summary: str, schema: str | None) -> dict[str, Any]:
    """An answer in JSON."""
    return {
        "description": summary,
        "content": {JSON: {"schema": reference(schema) if schema else {"type": "object"}}},
    }


def refusals() -> dict[str, Any]:
    """What any path may refuse with."""
    return {status: answered(told, "Error") for status, told in REFUSALS.items()}


def reference(name: str) -> Schema:
    """A schema by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas() -> dict[str, Schema]:
    """What is sent and answered."""
    text, count = {"type": "string"}, {"type": "integer", "minimum": 0}
    switch = {"type": "boolean"}
    described = record(
        {"name": text, "datatype": text, "shape": {"type": "array", "items": {"type": "integer"}}}, "all"
    )
    return {
        "Anything": {},
        "Error": record({"error": text}, "all"),
        "Server": record({"name": text, "version": text, "extensions": listing(text)}, "all"),
        "Model": record(
            {
                "name": text,
                "versions": listing(text),
                "platform": text,
                "inputs": listing(described),
                "outputs": listing(described),
            },
            "all",
        ),
        "Statistics": record({"model_stats": listing({"type": "object"})}, "all"),
        "Index": record({"ready": switch}),
        "Versions": listing(record({"name": text, "version": text, "state": text, "reason": text}, "all")),
        "Load": record({"parameters": {"type": "object", "maxProperties": 0}}),
        "Labels": {
            "anyOf": [
                reference("Label"),
                record({"labels": listing(reference("Label")) | {"minItems": 1}}, "all"),
            ]
        },
        "Label": record(
            {
                "request_id": {"type": "string", "minLength": 1},
                "label": {"type": ["string", "number"]},
            },
            "all",
        ),
        "Inference": record(
            {
                "id": {"type": "string", "maxLength": MAX_ID},
                "parameters": closed(
                    {
                        "log": switch,
                        "priority": count | {"maximum": LAST},
                        "timeout": count | {"maximum": MAX_TIMEOUT_US},
                        "key": {"type": "string", "maxLength": MAX_ID},
                        "binary_data_output": switch,
                        "content_type": text,
                    }
                ),
                "inputs": listing(reference("Tensor")) | {"minItems": 1},
                "outputs": listing(reference("WantedOutput")),
            },
            "inputs",
        ),
        "Tensor": record(
            {
                "name": text,
                "datatype": {"enum": sorted(DATATYPES.values())},
                "shape": listing({"type": "integer", "minimum": 1}) | {"minItems": 1},
                "data": {"type": "array", "description": f"Flat or nested; at most {MAX_ROWS} rows."},
                "parameters": closed({"binary_data_size": count, "content_type": {"enum": [*CONTENT_TYPES]}}),
            },
            "name",
            "datatype",
            "shape",
        ),
        "WantedOutput": record(
            {
                "name": text,
                "parameters": closed({"binary_data": switch, "classification": count, "content_type": text}),
            },
            "name",
        ),
        "Answer": record(
            {
                "model_name": text,
                "model_version": text,
                "id": text,
                "outputs": listing(described),
                "parameters": {"type": "object"},
            },
            "model_name",
            "model_version",
            "id",
            "outputs",
        ),
        "Explanation": record(
            {
                "model": text,
                "version": text,
                "method": text,
                "rows": listing(
                    record(
                        {
                            "row": count,
                            "answer": text,
                            "score": {"type": "number"},
                            "weights": listing(record({"part": text, "weight": {"type": "number"}}, "all")),
                            "picture": text,
                        },
                        "row",
                        "answer",
                        "score",
                        "weights",
                    )
                ),
                "notices": listing(text),
            },
            "all",
        ),
        "Job": record(
            {
                "id": text,
                "model": text,
                "state": {"enum": [*WAITING, *FINISHED]},
                "submitted": text,
                "rows": {"type": ["integer", "null"]},
                "rows_done": count,
            },
            "all",
        ),
        "Prediction": record(
            {
                "model": text,
                "version": text,
                "rows": listing(
                    record(
                        {
                            "row": count,
                            "answer": text,
                            "probability": {"type": "number"},
                            "probabilities": {"type": "object"},
                            "id": text,
                        },
                        "row",
                        "answer",
                        "id",
                    )
                ),
                "notices": listing(text),
            },
            "all",
        ),
    }


def record(properties: dict[str, Schema], *required: str) -> Schema:
    """An object with at least the properties that are required, or `all` of them."""
    names = [*properties] if required == ("all",) else [*required]
    return {"type": "object", "properties": properties, "required": names}


def closed(properties: dict[str, Schema]) -> Schema:
    """An object without other properties than these: another one is refused by name."""
    return {"type": "object", "properties": properties, "additionalProperties": False}


def listing(items: Schema) -> Schema:
    """A list."""
    return {"type": "array", "items": items}
