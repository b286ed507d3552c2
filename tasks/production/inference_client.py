"""Asks the model server: the one client, used by deployments, the command line and the demo."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
import numpy as np
import numpy.typing as npt
import orjson

from infra.settings import Settings
from infra.tls import own_server
from tasks.production.protocol_dtypes import DATATYPES
from tasks.rows.raw import TEXT, feed

TIMEOUT_S = 30.0
"""Of one request."""
PATIENCE_S = 5.0
"""How long an unreachable or busy server is asked again; a restarted one is back by then."""
PAUSE_S = 0.1


class InferenceError(httpx.HTTPError, ConnectionError):
    """The model server did not answer, or refused; the message says where and why."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """HTTP status of a refusal; None where nobody answered."""


class InferenceClient:
    """Speaks the Open Inference Protocol v2 about one model.

    Use it as a context manager; one thread a client.
    """

    def __init__(
        self, url: str, project: str, patience_s: float = PATIENCE_S, timeout_s: float = TIMEOUT_S
    ) -> None:
        """patience_s: how long an unreachable or busy server is asked again; timeout_s: of one request."""
        self.url, self.project, self.patience_s = url, project, patience_s
        settings = Settings()
        # Another server than this installation's must not learn the credential.
        own = url.rstrip("/") == settings.server_url
        self._http = httpx.Client(
            base_url=url,
            timeout=timeout_s,
            trust_env=False,
            # On one machine, compressing answers costs more than it saves.
            headers={"accept-encoding": "identity"} | (settings.credential.headers if own else {}),
            verify=own_server(settings.server_certificate) if own and settings.server_certificate else True,
        )
        self._names: dict[int | None, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def infer(
        self,
        rows: npt.NDArray[Any],
        request_id: str | None = None,
        version: int | None = None,
        log: bool = True,
    ) -> dict[str, Any]:
        """The server's response about raw rows, `answer` last among its outputs. Raises InferenceError.

        rows: a field an input (tasks/rows/raw.py), or the plain array [rows, ...] of a model with one input
        version: which one must answer; None leaves it to the server, by the request's id
        log: False keeps the rows out of the prediction log
        """
        columns = feed(rows) or {self._input_name(version): np.ascontiguousarray(rows)}
        given = [tensor(name, values) for name, values in columns.items()]
        body = {"id": request_id or uuid4().hex, "inputs": given, "parameters": {"log": log}}
        return self._ask("POST", f"{self._path(version)}/infer", body)

    def answers(
        self,
        rows: npt.NDArray[Any],
        request_id: str | None = None,
        version: int | None = None,
        log: bool = True,
    ) -> list[str]:
        """One readable answer a row. Raises InferenceError."""
        response = self.infer(rows, request_id, version, log)
        return next(output["data"] for output in response["outputs"] if output["name"] == "answer")

    def label(self, labels: Mapping[str, str | float]) -> None:
        """Sends the truth of requests by id; it is on the server's disk when this returns.

        Raises InferenceError.
        """
        told = [{"request_id": request_id, "label": label} for request_id, label in labels.items()]
        self._ask("POST", f"{self._path()}/labels", {"labels": told})

    def explain(self, content: bytes, content_type: str) -> dict[str, Any]:
        """Why the rows of a file are answered so.

        Each row's `answer`, `score` and `weights`, the heaviest first.

        Raises InferenceError.
        """
        return self._ask("POST", f"/explain/{self.project}", content, content_type=content_type)

    def metadata(self, version: int | None = None) -> dict[str, Any]:
        """Name, versions, inputs and outputs of the model. Raises InferenceError."""
        return self._ask("GET", self._path(version))

    def columns(self, version: int | None = None) -> dict[str, Any]:
        """`version`, and `columns`: each input with what training rows had in it. Raises InferenceError."""
        return self._ask("GET", f"{self._path(version)}/columns")

    def server(self) -> dict[str, Any]:
        """Name, version and extensions of the server. Raises InferenceError."""
        return self._ask("GET", "/v2", patience_s=0)

    def degraded(self) -> dict[str, str]:
        """What does not serve as it was released, and what answers instead, by project.

        Raises InferenceError.
        """
        found: dict[str, str] = self._ask("GET", "/v2/health/ready", patience_s=0).get("degraded", {})
        return found

    def refused(self) -> dict[str, str]:
        """Which version was deployed last and may not serve, and why, by project. Raises InferenceError."""
        found: dict[str, str] = self._ask("GET", "/v2/health/ready", patience_s=0).get("refused", {})
        return found

    def counts(self, version: int) -> tuple[int, int]:
        """Requests that a version answered and failed to answer since it was loaded.

        Raises InferenceError.
        """
        stats = self._ask("GET", f"{self._path(version)}/stats")["model_stats"][0]["inference_stats"]
        return stats["success"]["count"], stats["fail"]["count"]

    def comparison(self, version: int) -> dict[str, Any]:
        """What a challenger answered beside the champion to the same live rows.

        Empty where it was not asked any.

        Raises InferenceError.
        """
        return self._ask("GET", f"{self._path(version)}/comparison")

    def ready(self, version: int | None = None) -> bool:
        """Whether the model (in that version) can answer now.

        Raises InferenceError where the server is away or refuses the version.
        """
        try:
            self._ask("GET", f"{self._path(version)}/ready", patience_s=0)
        except InferenceError as error:
            if error.status == httpx.codes.NOT_FOUND:
                return False
            raise
        return True

    def _path(self, version: int | None = None) -> str:
        return f"/v2/models/{self.project}" + (f"/versions/{version}" if version is not None else "")

    def _input_name(self, version: int | None) -> str:
        """Of the graph; versions of one model may differ in it, so it is asked for each."""
        if version not in self._names:
            self._names[version] = self.metadata(version)["inputs"][0]["name"]
        return self._names[version]

    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | bytes | None = None,
        patience_s: float | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """The JSON answer.

        An unreachable or busy server is asked again for a while; the same id twice counts once.
        """
        content = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY) if isinstance(body, dict) else body
        headers = {"content-type": content_type} if content is not None else {}
        deadline = time.monotonic() + (self.patience_s if patience_s is None else patience_s)
        while True:
            try:
                return value_of(self._http.request(method, path, content=content, headers=headers))
            except httpx.TransportError as error:
                reason = f"{self.url}{path}: no answer ({error or type(error).__name__}); start the model server with `gyre up`"
                failure, again = InferenceError(reason), not isinstance(error, httpx.TimeoutException)
            except InferenceError as refusal:
                failure, again = refusal, refusal.status == httpx.codes.SERVICE_UNAVAILABLE
            if not again or time.monotonic() > deadline:
                raise failure
            time.sleep(PAUSE_S)


def tensor(name: str, values: npt.NDArray[Any]) -> dict[str, Any]:
    """An input as the protocol writes it."""
    text = values.dtype == object
    datatype, data = DATATYPES[TEXT if text else values.dtype.name], values.ravel()
    return {
        "name": name,
        "shape": list(values.shape),
        "datatype": datatype,
        "data": data.tolist() if text else data,
    }


def value_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON of a good response. Raises InferenceError with the server's own reason."""
    try:
        value: dict[str, Any] = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        value = {"error": response.text[:200]}
    if response.is_success:
        return value
    raise InferenceError(
        f"{response.url}: {response.status_code}: {value.get('error', value)}", response.status_code
    )
