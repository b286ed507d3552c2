"""Which run holds which Dask worker, kept on the scheduler.

Two runs on one cluster never wait for each other's ranks.

Without it, two runs that start at the same time can each get half of the workers and wait for the other half
for ever. A claim ends with its run, and at the latest with the driver's connection to the scheduler.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SILENT_S = 60.0
"""A worker that the scheduler has not heard for so long counts as gone; Dask itself gives it five minutes."""


@dataclass(frozen=True)
class Workers:
    """The cluster's workers as one run sees them."""

    live: frozenset[str]
    free: frozenset[str]
    """Those that no other run holds."""


class Claims:
    """The claims of one run. Each method is one call to the scheduler, which handles one at a time."""

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name

    def look(self) -> Workers:
        """The workers now."""
        live, free, _ = self.call(None)
        return Workers(frozenset(live), frozenset(free))

    def take(self, workers: Sequence[str]) -> bool:
        """Holds these workers and no others; False, with nothing changed, where one is not free any more."""
        return bool(self.call(list(workers))[2])

    def release(self) -> None:
        """Holds none."""
        self.call([])

    def call(self, wanted: list[str] | None) -> Any:
        """Live workers, free workers and whether `wanted` is held now."""

        # A function inside a function travels as its code, so the scheduler's machine need not have this
        # package.
        def claim(
            name: str, owner: str, wanted: list[str] | None, silent_s: float, dask_scheduler: Any
        ) -> Any:
            import time

            held = dask_scheduler.__dict__.setdefault("gyre_claims", {})
            for gone in [
                other for other, (client, _) in held.items() if client not in dask_scheduler.clients
            ]:
                del held[gone]
            now = time.time()
            live = [
                address
                for address, state in dask_scheduler.workers.items()
                if now - state.last_seen < silent_s
            ]
            others = {
                address for other, (_, addresses) in held.items() if other != name for address in addresses
            }
            free = [address for address in live if address not in others]
            taken = wanted is not None and set(wanted) <= set(free)
            if taken:
                held.pop(name, None)
                held.update({name: (owner, wanted)} if wanted else {})
            return live, free, taken

        return self.client.run_on_scheduler(claim, self.name, self.client.id, wanted, SILENT_S)
