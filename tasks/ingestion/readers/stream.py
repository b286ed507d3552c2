"""Streams of tables: of even size, read ahead by a thread, and never waited for without end."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import pyarrow as pa

from tasks.rows.parts import BYTES_A_GROUP, ROWS_A_GROUP

T = TypeVar("T")
AHEAD = 2
"""Tables that wait to be written; they bound the memory beside the one that is read and the one that is
written."""
END = object()


def rebatch(tables: Iterable[pa.Table], rows: int = ROWS_A_GROUP) -> Iterator[pa.Table]:
    """The same rows in tables of `rows` rows (the last may have fewer; rows of many bytes: fewer rows), whatever the tables' sizes were."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        size = max(
            1,
            min(rows, BYTES_A_GROUP * sum(map(len, waiting)) // max(1, sum(each.nbytes for each in waiting))),
        )
        if sum(map(len, waiting)) >= size:
            whole = pa.concat_tables(waiting, promote_options="permissive")
            full = len(whole) - len(whole) % size
            yield from (whole.slice(start, size) for start in range(0, full, size))
            waiting = [whole.slice(full)] if full < len(whole) else []
    if waiting:
        yield pa.concat_tables(waiting, promote_options="permissive")


def read_ahead(items: Callable[[], Iterable[T]], seconds: float, name: str) -> Iterator[T]:
    """The items, made by a thread of their own.

    Raises ValueError where the next takes longer than `seconds`: the server hangs.
    """
    made: queue.Queue[object] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def put(item: object) -> None:
        while not stopped.is_set():
            try:
                made.put(item, timeout=0.1)
                break
            except queue.Full:
                continue

    def make() -> None:
        try:
            for item in items():
                put(item)
                if stopped.is_set():
                    return
            put(END)
        except BaseException as error:  # raised again where the items are taken
            put(error)

    threading.Thread(target=make, daemon=True).start()
    try:
        while (item := next_within(made, seconds, name)) is not END:
            if isinstance(item, BaseException):
                raise item
            yield item  # type: ignore[misc]
    finally:
        stopped.set()


def next_within(made: "queue.Queue[object]", seconds: float, name: str) -> object:
    """The next item. Raises ValueError after `seconds`."""
    try:
        return made.get(timeout=seconds)
    except queue.Empty:
        raise ValueError(
            f"{name}: did not answer within {seconds:g} s; raise source.limits.seconds, or look at the server"
        ) from None
