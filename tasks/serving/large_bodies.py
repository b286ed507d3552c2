"""Large JSON bodies, read in a process apart.

Reading one holds Python's lock for up to half a second, and nobody else would be answered.
"""

import asyncio
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

from infra.confinement import limit_address_space
from infra.shutdown import killed_with_parent
from tasks.rows.raw import Rows, TensorSpec
from tasks.serving.protocol.inference import Request
from tasks.serving.protocol.refusal import Refusal, refuse_for
from tasks.serving.protocol.tensors import rows_of

LARGE_JSON = 2**18
"""Bytes of JSON from which a body is read apart; one of this size takes 6 ms."""
MOST = 4
"""Bodies that are read or wait for it; one more is told to come back."""
MEMORY_BYTES = 8 * 2**30
"""Of address space: JSON of 16 MB becomes a gigabyte of Python's objects at worst."""
Inputs = tuple[TensorSpec, ...]
Told = tuple[int, str]
"""Status and text of a refusal.

An exception with more than one argument does not travel between processes.
"""


@dataclass(frozen=True)
class ReadInputs:
    """A large request's rows as each of a model's versions takes them, or why one does not."""

    found: dict[Inputs, Rows | Told]

    def rows(self, wanted: Inputs) -> Rows:
        """The rows for a version. Raises Refusal."""
        found = self.found.get(wanted)
        if found is None:
            raise Refusal(503, "the model's inputs changed while the request was read; try again")
        if isinstance(found, tuple):
            raise Refusal(*found)
        return found


@dataclass
class LargeBodies:
    """The process that reads large bodies, started for the first one."""

    _pool: ProcessPoolExecutor | None = None
    _waiting: int = 0

    async def read(self, body: bytes, json_length: bytes | None, inputs: frozenset[Inputs]) -> Request:
        """A request whose inputs are ReadInputs; `inputs`: of the versions that may answer.

        Raises Refusal.
        """
        self.refuse_if_full()
        self._waiting += 1
        try:
            found = await asyncio.wrap_future(self._started().submit(read_body, body, json_length, inputs))
        except BrokenProcessPool:
            self.close()
            reason = f"reading the body's {len(body)} bytes ended the process that does it"
            raise Refusal(413, f"{reason}; send fewer rows a request") from None
        finally:
            self._waiting -= 1
        if not isinstance(found, Request):
            raise Refusal(*found)
        return found

    def refuse_if_full(self) -> None:
        """Refuses (503) one more, best before its body is taken."""
        if self._waiting >= MOST:
            refuse_for(1, f"{self._waiting} large requests are being read already")

    def close(self) -> None:
        """Ends the process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(1, context, begin_process, (os.getpid(),))
        return self._pool


def begin_process(parent: int) -> None:
    """Binds the process to its server's life, and limits its memory."""
    killed_with_parent(parent)
    limit_address_space(MEMORY_BYTES)


def read_body(body: bytes, json_length: bytes | None, inputs: frozenset[Inputs]) -> Request | Told:
    """What the process does."""
    from tasks.serving.rest.messages import parse

    try:
        request = parse(body, json_length)
        return request._replace(inputs=ReadInputs({each: rows_or_refusal(request, each) for each in inputs}))
    except Refusal as refusal:
        return refusal.status, str(refusal)
    except MemoryError:
        return (
            413,
            f"the body's {len(body)} bytes hold more than {MEMORY_BYTES} bytes of values; send fewer rows a request",
        )


def rows_or_refusal(request: Request, wanted: Inputs) -> Rows | Told:
    """A request's rows for one version, or why there are none."""
    try:
        return rows_of(request.inputs, wanted)
    except Refusal as refusal:
        return refusal.status, str(refusal)
