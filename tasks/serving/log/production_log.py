"""What a model server puts on the disk.

Predictions, before or after they are answered, and late labels of rows that it knows.
"""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tasks.rows.raw import weight
from tasks.serving.log.journal import GroupCommit, Journal, Label
from tasks.serving.log.journal import Prediction as Logged
from tasks.serving.log.known import KnownRequests, NewestIds
from tasks.serving.metrics import Totals, Waiting
from tasks.serving.protocol.refusal import Refusal, refuse_for, shorten

log = logging.getLogger("gyre.serving")
TIME_LIMIT_S = 20.0
"""For what a client waits for to reach the disk."""
MEGABYTE = 2**20
LINE_BYTES = 200
"""What a prediction weighs beside its row, roughly."""


class ProductionLog:
    """The prediction logs of an installation, as its model server writes them."""

    def __init__(self, folder: Path, totals: Totals, newest: NewestIds) -> None:
        """`folder`: `<home>/predictions`; what is written and dropped is counted in `totals`."""
        self.totals = totals
        self._disk = ThreadPoolExecutor(1, "disk")
        self._lookups = ThreadPoolExecutor(1, "lookups")
        journal = Journal(folder)
        self._known = KnownRequests(folder, newest)
        self._predictions = GroupCommit(
            journal.write_predictions, self._disk, wait_s=0.5, full=4 * MEGABYTE, limit=64 * MEGABYTE
        )
        self._durable = GroupCommit(
            journal.write_predictions, self._disk, wait_s=0.005, full=MEGABYTE, limit=64 * MEGABYTE
        )
        """Predictions that their clients wait for."""
        self._labels = GroupCommit(
            journal.write_labels, self._disk, wait_s=0.05, full=MEGABYTE, limit=32 * MEGABYTE
        )
        self.waiting: Mapping[str, Waiting] = {
            "predictions": self._predictions,
            "durable predictions": self._durable,
            "labels": self._labels,
        }

    async def close(self) -> None:
        """Writes what waits."""
        await self._predictions.close()
        await self._durable.close()
        await self._labels.close()
        for pool in (self._disk, self._lookups):
            pool.shutdown()

    def remember(self, prediction: Logged) -> list[str]:
        """Queues a prediction for the log.

        Answering matters more: what a stuck disk cannot take is dropped, and that is the notice.
        """
        try:
            self._predictions.add([prediction], weight(prediction.rows) + LINE_BYTES * len(prediction.ids))
        except BufferError as error:
            log.error("%s: prediction %s is not logged: %s", prediction.project, prediction.ids[0], error)
            self.totals.dropped[prediction.project] += 1
            return [f"answered but not logged, so no label can follow: {error}"]
        self.totals.logged[prediction.project] += len(prediction.ids)
        self._known.add(prediction.project, prediction.ids)
        return []

    async def write(self, prediction: Logged) -> None:
        """Waits until a prediction is on the disk. Refuses (503) where the disk does not take it."""
        size = weight(prediction.rows) + LINE_BYTES * len(prediction.ids)
        reason = "deployment.log is durable, and the prediction cannot be written"
        try:
            async with asyncio.timeout(TIME_LIMIT_S):
                # Shielded: one client's time limit must not cancel the commit that others wait for too.
                await asyncio.shield(self._durable.add([prediction], size))
        except TimeoutError:
            refuse_for(1, f"{reason} within {TIME_LIMIT_S:.0f} s")
        except (BufferError, OSError) as error:
            refuse_for(1, f"{reason}: {error}")
        self.totals.logged[prediction.project] += len(prediction.ids)
        self._known.add(prediction.project, prediction.ids)

    async def label(self, project: str, pairs: list[tuple[str, str]], size: int) -> int:
        """Waits until late labels, each a request's id and a text, are on the disk.

        Returns how many ids could not be looked for in time. Refuses (404) ids of rows that were never
        logged, and (503, 504) what the disk does not take.
        """
        unchecked = await self._unchecked(project, [request_id for request_id, _ in pairs])
        now = utc_now()
        labels = [Label(project, request_id, now, label) for request_id, label in pairs]
        try:
            async with asyncio.timeout(TIME_LIMIT_S):
                # Shielded: one client's time limit must not cancel the commit that others wait for too.
                await asyncio.shield(self._labels.add(labels, size))
        except BufferError as error:
            raise Refusal(503, f"{error}; try again in a second") from None
        except TimeoutError:
            raise Refusal(504, f"not on the disk within {TIME_LIMIT_S:.0f} s; try again") from None
        self.totals.labels[project] += len(labels)
        return unchecked

    async def has(self, project: str, request_id: str) -> bool:
        """Whether the log's files hold a request, of one row or several; as far as it can be read soon."""
        ids = [request_id, f"{request_id}#0"]
        loop = asyncio.get_running_loop()
        return bool((await loop.run_in_executor(self._lookups, self._known.sought, project, ids)).found)

    async def _unchecked(self, project: str, ids: list[str]) -> int:
        """How many ids could not be looked for in time.

        Refuses (404) ids of rows that were never logged: their labels would be lost.
        """
        remembered = self._known.among(project, ids)
        left = [each for each in ids if each not in remembered]
        if not left:
            return 0
        parts = [f"{each}#0" for each in left]
        near = self._known.among(project, parts)
        sought = await asyncio.get_running_loop().run_in_executor(
            self._lookups, self._known.sought, project, [*left, *parts]
        )
        unknown = [each for each in left if each not in sought.found]
        if unknown and not sought.complete:
            log.warning(
                "%s: %d labels are taken without having found their rows: the log is too long to look through",
                project,
                len(unknown),
            )
            return len(unknown)
        if unknown:
            first, number = unknown[0], ids.index(unknown[0])
            several = f"{first}#0" in near | sought.found
            hint = (
                f"it had several rows, so name each, such as {first + '#0'!r}"
                if several
                else "want the id of an answer, sent with log: true"
            )
            raise Refusal(
                404,
                f"labels[{number}].request_id {shorten(first)} is of no logged row ({len(unknown)} of {len(ids)} are): {hint}",
            )
        return 0


def utc_now() -> datetime:
    """Now, naive UTC: as the prediction log has it."""
    return datetime.now(UTC).replace(tzinfo=None)
