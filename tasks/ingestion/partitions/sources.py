"""What a source is: partitions of files, databases or made-up rows by built-in readers, or of a user's own reader.

A user's reader is a function `package.module:function`, called with the YAML's `source.options`. It returns a
list of partitions; each is a function without arguments that returns a pandas DataFrame or an Arrow table (it
is pickled and called on a Dask worker, so it should hold a path or a range, not the data), or such a table.
Their order is the order of the rows; the newest should come last. All have the same columns. A reader whose
data can change has an attribute `fingerprint`, a function of the same options whose text changes with the
data; without it only changed code or options count as a changed source.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.intake import IntakeConfig
from configs.source import SourceConfig
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.partitions import watermarks
from tasks.ingestion.readers import Partition, csv, functions, images, jsonl, parquet, sql, synthetic
from tasks.ingestion.readers.location import name_of
from tasks.ingestion.readers.stream import read_ahead

INHERITED = ("columns", "extra", "key", "limits")
"""What an appended source takes from the one that it is appended to, where it does not say its own."""


READERS: dict[str, Callable[[SourceConfig], list[Partition]]] = {
    "csv": csv.partitions,
    "jsonl": jsonl.partitions,
    "parquet": parquet.partitions,
    "delta": parquet.delta_partitions,
    "synthetic": synthetic.partitions,
}


@dataclass(frozen=True)
class SourcePartition:
    """A partition and the section of the YAML that says how its rows are to be read."""

    source: SourceConfig
    partition: Partition

    @property
    def name(self) -> str:
        """How errors call its rows."""
        whole = name_of(self.source)
        return (
            whole
            if not self.source.path or whole.endswith(self.partition.origin)
            else f"{whole}, {self.partition.origin}"
        )


def list_partitions(
    source: SourceConfig, intake: IntakeConfig, label: str, kept: Path, conversions: Conversions | None = None
) -> list[SourcePartition]:
    """The partitions of a source and of those appended to it, in order.

    Raises ValueError naming the source where there are none.

    kept: folder where the ranges of a watermark are noted
    conversions: where what is in none of these ranges is noted
    """
    noted = Conversions() if conversions is None else conversions
    looked = read_ahead(
        lambda: partitions_of_one(source, intake, label, kept, noted), source.limits.seconds, name_of(source)
    )
    found = [SourcePartition(source, each) for each in looked]
    for more in source.append:
        own = inherit(more, source)
        added = list_partitions(own, intake, label, kept, noted)
        if (
            both := {each.partition.origin for each in found} & {each.partition.origin for each in added}
            if own.key == LINE
            else ()
        ):
            raise ValueError(
                f"{name_of(own)}: {min(both)} is the name of a file of {name_of(source)} too, so key: origin_line cannot tell "
                "their rows apart; rename one of them, or name other columns in source.key"
            )
        found += added
    return found


def inherit(appended: SourceConfig, source: SourceConfig) -> SourceConfig:
    """An appended source with what it takes from the one that it is appended to."""
    return appended.model_copy(
        update={name: getattr(source, name) for name in INHERITED if name not in appended.model_fields_set}
    )


def partitions_of_one(
    source: SourceConfig, intake: IntakeConfig, label: str, kept: Path, conversions: Conversions
) -> list[Partition]:
    """The partitions of one source."""
    match source.reader:
        case "images":
            return images.partitions(source, intake, label)
        case "sql":
            return sql.partitions(source, kept, conversions)
        case reader:
            found = READERS.get(reader, functions.partitions)(source)
            return watermarks.ranges(found, source, kept, conversions) if source.watermark else found


def checked_range(name: str, value: Sequence[int], rows: int) -> tuple[int, int]:
    """`value` as [start, stop] within a number of rows. Raises ValueError naming it."""
    if len(value) != 2 or not 0 <= value[0] < value[1] <= rows:
        raise ValueError(f"{name} {list(value)}: want [start, stop] with 0 <= start < stop <= {rows}")
    return value[0], value[1]
