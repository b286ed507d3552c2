"""A new bundle before it may see traffic.

Loaded and asked by a model server of its own, which it may crash, hang or fill.

The server is the real one, so whatever would fail there fails here: a signature that is not the graph's,
operators that this runtime lacks, outputs that cannot be sent. It is asked the rows that the bundle brings
with the answers it was judged by, real rows of the data set, and rows that no client should send.
"""

import logging
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from configs.deployment import DeploymentConfig
from infra.confinement import cause_of_end
from infra.files import read_json
from infra.home import Home
from tasks.intake import Rows
from tasks.production import probe
from tasks.production.inference_client import InferenceClient, InferenceError
from tasks.production.protocol_dtypes import DATATYPES
from tasks.production.releases import Releases, Served, promote, stage_canary
from tasks.rows.hostile import hostile_rows
from tasks.rows.raw import TEXT, TensorSpec, blank, rows_from

log = logging.getLogger("gyre.deployment")

ROWS_A_REQUEST = 64
SERVER_ERRORS = 500
"""HTTP statuses from here on say that the server failed, not the client."""
DTYPES = {datatype: dtype for dtype, datatype in DATATYPES.items()}
MAX_DIFFERENCE = 0.05
"""Between the answers to a row alone and among others: of a probability, or relative to a number's size."""
LOOK_S = 0.02
"""How often the process's memory is looked at."""
ROOT = Path(__file__).parents[2]
"""Where the process finds the model server."""

Outputs = dict[str, npt.NDArray[Any]]
"""By name, [rows, ...]; `answer` holds the texts."""


class SandboxError(RuntimeError):
    """The sandbox itself does not run, which says nothing about the bundle."""


class Objection(Exception):  # noqa: N818 - it is a verdict on the bundle, not a failure of the sandbox
    """Why a bundle may not see traffic."""


@dataclass
class SandboxReport:
    """What a bundle did in a server of its own, as far as it came."""

    refusal: str = ""
    """Why it may not see traffic; empty where it may."""
    answers: Outputs = field(default_factory=dict)
    """What it answered to the real rows."""
    real: int = 0
    """Rows of the data set that it answered."""
    known: int = 0
    """Rows that the bundle brings, whose answers were compared with those that it was judged by."""
    hostile: int = 0
    """Rows that no client should send: answered, or refused with a reason."""
    difference: float = 0.0
    """The largest one from the answers that it was judged by."""
    seconds: float = 0.0
    megabytes: float = 0.0
    """Most memory that the process took."""

    def figures(self) -> dict[str, Any]:
        """For people, and for the history of releases."""
        names = ("real", "known", "hostile", "difference", "seconds", "megabytes")
        return {name: round(getattr(self, name), 6) for name in names}


@dataclass
class Confined:
    """The server's process, watched: it is killed where it takes too much memory or time."""

    process: subprocess.Popen[bytes]
    errors: Path
    """What it writes to standard error."""
    megabytes: int
    seconds: float
    most: float = 0.0
    """Megabytes that it took at most."""
    killed: str = ""
    """Why it was killed; empty while it was not."""

    def watch(self) -> None:
        """Until the process ends."""
        deadline = time.monotonic() + self.seconds
        looked = psutil.Process(self.process.pid)
        while self.process.poll() is None:
            try:
                self.most = max(self.most, looked.memory_info().rss / 2**20)
            except psutil.NoSuchProcess:
                return
            if self.most > self.megabytes:
                self.kill(f"took more than {self.megabytes:,} MB of memory (deployment.sandbox_megabytes)")
            elif time.monotonic() > deadline:
                self.kill(f"did not load and answer within {self.seconds:g} s (deployment.sandbox_seconds)")
            time.sleep(LOOK_S)

    def kill(self, reason: str) -> None:
        """Ends it, for a reason that is kept."""
        self.killed = self.killed or reason
        self.process.kill()

    def cause(self, error: InferenceError) -> str:
        """Why a request got no good answer. Raises SandboxError where that is no fault of the bundle."""
        if error.status is not None:
            return reason_of(error)
        # The connection broke: by now the process has ended, or is about to.
        self.process.wait()
        if self.killed:
            return self.killed
        told = cause_of_end(self.process.returncode, self.errors.read_text(errors="replace"))
        if self.process.returncode >= 0:
            raise SandboxError(f"the sandbox of a new version {told}")
        return told


def try_in_sandbox(
    project: str, challenger: Served, rows: Rows, deployment: DeploymentConfig
) -> SandboxReport:
    """What a bundle does when it is loaded and asked by a server of its own.

    rows: real ones, whose answers are in the report
    Raises SandboxError where no server can be started.
    """
    started, report = time.monotonic(), SandboxReport()
    with confined_server(project, challenger, deployment) as (confined, url):
        with InferenceClient(url, project, patience_s=0, timeout_s=2 * deployment.sandbox_seconds) as client:
            try:
                ask(client, challenger, rows, report)
            except Objection as objection:
                report.refusal = str(objection)
            except InferenceError as error:
                report.refusal = confined.cause(error).removeprefix(
                    f"version {challenger.version} is refused: "
                )
        report.seconds, report.megabytes = time.monotonic() - started, confined.most
    log.info("%s: version %d in its sandbox: %s", project, challenger.version, report.refusal or "answers")
    return report


@contextmanager
def confined_server(
    project: str, challenger: Served, deployment: DeploymentConfig
) -> Iterator[tuple[Confined, str]]:
    """A model server with one version in a home of its own, and its URL; it is killed at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="gyre-sandbox-") as folder,
        socket.create_server(("127.0.0.1", 0)) as listening,
    ):
        home, errors = Home(Path(folder)), Path(folder) / "stderr"
        releases = Releases(home.releases)
        releases.change(project, lambda manifest: stage_canary(manifest, challenger, 0.0))
        releases.change(project, lambda manifest: promote(manifest, challenger.version))
        limits = [listening.fileno(), deployment.sandbox_megabytes, os.getpid()]
        with errors.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "tasks.serving.sandbox", *map(str, limits)],
                env=os.environ | {"GYRE_HOME": folder, "GYRE_ANONYMOUS": "answer"},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                pass_fds=[listening.fileno()],
                cwd=ROOT,
            )
        confined = Confined(process, errors, deployment.sandbox_megabytes, deployment.sandbox_seconds)
        watching = threading.Thread(target=confined.watch, name="sandbox", daemon=True)
        watching.start()
        port = listening.getsockname()[1]
        # Only the process may answer from now on: where it dies, connections must break.
        listening.close()
        try:
            yield confined, f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()
            watching.join()


def ask(client: InferenceClient, challenger: Served, rows: Rows, report: SandboxReport) -> None:
    """Asks a version everything, and writes what it did into the report.

    Raises Objection where that is not as it should be, InferenceError where the server refuses the version or
    dies.
    """
    client.ready(challenger.version)
    folder = Path(challenger.uri)
    facts = read_json(folder / "signature.json")
    inputs = tuple(TensorSpec(each["name"], each["dtype"], tuple(each["shape"])) for each in facts["inputs"])
    known = known_rows(folder, inputs)
    first = known if len(known) else rows[: probe.ROWS]
    together = answers_to(client, first, "rows that it brings" if len(known) else "real rows")
    if len(known):
        report.difference = difference_from_judged(folder, together)
        report.known = len(known)
        check_as_judged(report)
    alone = join([answers_to(client, first[at : at + 1], "a row alone") for at in range(len(first))])
    check_unmoved(together, alone, "answers a row otherwise among others than alone")
    report.answers = answers_to(client, rows, "real rows")
    report.real = len(rows)
    check_classes(report.answers, facts["outputs"][0], facts["classes"])
    strange = hostile_rows(inputs)
    for at in range(len(strange)):
        check_survives(client, strange[at : at + 1], f"row {at} of those")
    check_survives(client, strange, "rows")
    report.hostile = len(strange)
    after = answers_to(client, first, "rows that it answered before")
    check_unmoved(after, together, "answers otherwise after rows that no client should send")


def answers_to(client: InferenceClient, rows: Rows, which: str) -> Outputs:
    """Answers to rows that must be answered, asked in requests of a batch's size.

    Raises Objection where they are refused, InferenceError where the server dies.
    """
    parts = [rows[at : at + ROWS_A_REQUEST] for at in range(0, len(rows), ROWS_A_REQUEST)]
    try:
        return join([infer(client, part) for part in parts])
    except InferenceError as error:
        if error.status is None:
            raise
        raise Objection(f"cannot answer {which}: {reason_of(error)}") from None


def check_survives(client: InferenceClient, rows: Rows, which: str) -> None:
    """Raises Objection where the server fails on rows that no client should send.

    To refuse them with a reason is a good answer.
    """
    try:
        infer(client, rows)
    except InferenceError as error:
        if error.status is None:
            raise
        if error.status >= SERVER_ERRORS:
            raise Objection(f"fails on {which} that no client should send: {reason_of(error)}") from None


def check_as_judged(report: SandboxReport) -> None:
    """Raises Objection where the answers are not those that the bundle was judged by."""
    if report.difference > probe.TOLERANCE:
        told = f"its answers to {report.known} rows that it brings differ by {report.difference:.2g}"
        raise Objection(f"{told} from those that it was judged by")


def check_unmoved(found: Outputs, expected: Outputs, told: str) -> None:
    """Raises Objection where an output of floats moved by more than rounding does."""
    for name, values in expected.items():
        if values.dtype.kind != "f":
            continue
        moved = probe.largest_difference(found[name], values)
        if moved > MAX_DIFFERENCE:
            raise Objection(f"{told}: {name} moves by {moved:.2g}")


def check_classes(answers: Outputs, name: str, classes: list[str] | None) -> None:
    """Raises Objection where the answer is no class that the signature names.

    Python takes -1 for the last one.
    """
    if classes is None:
        return
    outside = [number for number in answers[name] if not 0 <= number < len(classes)]
    if outside:
        raise Objection(
            f"answers class {outside[0]} to {len(outside)} of {len(answers[name])} real rows; "
            f"signature.json has {len(classes)} classes"
        )


def infer(client: InferenceClient, rows: Rows) -> Outputs:
    """The answers to rows in one request, which is not logged. Raises InferenceError."""
    outputs = client.infer(rows, log=False)["outputs"]
    return {output["name"]: array_of(output) for output in outputs}


def array_of(output: dict[str, Any]) -> npt.NDArray[Any]:
    """An output of the protocol as an array; null is NaN."""
    dtype = DTYPES[output["datatype"]]
    return np.array(output["data"], object if dtype == TEXT else dtype).reshape(output["shape"])


def join(parts: list[Outputs]) -> Outputs:
    """Answers of several requests one behind the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def difference_from_judged(bundle: Path, found: Outputs) -> float:
    """How far answers lie from those that the bundle's graph gave where it was judged, or that its portable graph gave."""
    known = [bundle / probe.FOLDER / f"{name}.npz" for name in (probe.GRAPH, probe.PORTABLE)]
    return min(probe.difference_from(path, found) for path in known if path.is_file())


def known_rows(bundle: Path, inputs: tuple[TensorSpec, ...]) -> Rows:
    """The rows that a bundle brings; none where it was made before there were any."""
    if not (bundle / probe.FOLDER).is_dir():
        return blank(inputs, 0)
    return rows_from(inputs, probe.read_rows(bundle / probe.FOLDER))


def reason_of(error: InferenceError) -> str:
    """The server's own words, without the address of a server that is gone."""
    return str(error).partition(f": {error.status}: ")[2] or str(error)
