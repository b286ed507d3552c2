"""One partition of a source, scored on a Dask worker into a folder of its own: scores, the refused rows, and what was counted.

A folder with its note is finished and never made again; memory is bounded by a table of rows, however many there
are.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from infra.files import read_json, whole_folder, write_json
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.parsing.row_ids import as_text, join_escaped
from tasks.ingestion.partitions.join import Matches, Table, join_tables
from tasks.ingestion.partitions.sources import SourcePartition
from tasks.ingestion.readers.location import hide_values, location_of
from tasks.ingestion.readers.stream import read_ahead
from tasks.records import Stored
from tasks.rows.content_hash import COLUMN as CONTENT
from tasks.rows.parts import ROWS_A_GROUP, part_writer
from tasks.rows.raw import TEXT
from tasks.scoring.bundle import OpenBundle, open_bundle
from tasks.scoring.row_inputs import Refusals, RowReading, Values, absent_columns, read_inputs

NOTE, SCORES, REFUSED = "note.json", "scores.parquet", "refused.jsonl"
ROWS_A_CALL = 256
"""Of the graph: bounds the memory of one call."""
CHARACTERS_A_CALL = 4_000_000
"""Rows of a call times their longest text, since a graph pads every text to the longest."""
CELL = 1_000
"""Characters of a refused row's value that the side file keeps: what broke it may be an endless text."""
CELLS = 200
EXAMPLES = 3
LEFT_OUT = {
    "ragged_lines": "a line with another number of fields than there are columns",
    "unreadable_lines": "a line that is no JSON object",
    "unreadable_images": "no readable image",
    "unmatched_dropped": "no row of the joined source",
}
"""Reasons of rows that never became one."""
SAMPLE = 500
"""Values of a column that a table gives to tell whether it came in another unit."""
HOW = ("columns", "key", "limits", "csv", "images")
"""What of a source's section changes how its rows are read."""


@dataclass(frozen=True)
class ScoringJob:
    """A partition and what answers its rows."""

    entry: SourcePartition
    again: int
    """How many partitions before it hold the very same: a file may lie there twice, and its rows count twice."""
    reading: RowReading
    joins: tuple[Table, ...]
    bundle: Stored
    project: str
    version: int | None
    allow_missing: bool

    @property
    def key(self) -> str:
        """Name of the partition: a digest of its rows, of how they are read, and of what answers."""
        facts = [
            self.entry.partition.id,
            self.again,
            self.entry.source.model_dump(include=set(HOW), mode="json"),
            self.reading.intake.model_dump(mode="json"),
            [join.key for join in self.joins],
            self.bundle.digest,
            self.version,
            self.allow_missing,
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


@dataclass
class Counts:
    """What was counted on the way."""

    rows: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    """Refused rows by reason, values left out."""
    answers: Counter[str] = field(default_factory=Counter)
    """Rows by class."""
    moments: list[float] = field(default_factory=list)
    """Of numbers as answers: count, sum, least, greatest."""
    missing: Counter[str] = field(default_factory=Counter)
    """Rows without a value, by input."""
    unseen: Counter[str] = field(default_factory=Counter)
    """Rows with a category that training rows did not have, by input."""
    examples: dict[str, list[str]] = field(default_factory=dict)
    """Of unseen categories."""
    unnamed: int = 0
    """Rows without a key, which are named by their place."""
    absent: tuple[str, ...] = ()
    samples: dict[str, list[float]] = field(default_factory=dict)
    """Some values of columns whose usual ones the contract knows."""


class KeptRows(Conversions):
    """Counts of what reading changed, and the rows that the reader itself left out."""

    keeps_rows = True

    def __init__(self) -> None:
        super().__init__()
        self.left_out: list[dict[str, Any]] = []

    def leave_out(self, check: str, origin: str, line: int | None, reason: str, text: str) -> None:
        """See Conversions."""
        self.left_out.append(
            {"origin": origin, LINE: line, "reason": reason, "row": text[:CELL], "check": check}
        )


def score_partition(job: ScoringJob, folder: Path) -> str:
    """Scores a partition into `folder`/<key>, whole or not at all; returns the key.

    Raises ValueError naming what is wrong, and where.
    """
    if is_scored(folder / job.key):
        return job.key
    bundle, source, name = open_bundle(job.bundle), job.entry.source, job.entry.name
    counts, kept = Counts(), KeptRows()
    began = time.monotonic()
    with whole_folder(folder / job.key) as made:
        try:
            score_tables(job, bundle, counts, kept, made, folder / progress_name(job.key))
        except Exception as error:
            text = str(error)
            if hide_values(text, location_of(source)) == text:
                raise
            raise ValueError(hide_values(text, location_of(source))) from None
        note = {
            "key": job.key,
            "origin": job.entry.partition.origin,
            "name": name,
            "seconds": time.monotonic() - began,
            "counts": vars(counts),
            "conversions": kept.as_json(),
            "portable": bundle.portable,
        }
        pa.default_memory_pool().release_unused()  # or a worker keeps what its largest partition took
        write_json(made / NOTE, note)
    (folder / progress_name(job.key)).unlink(missing_ok=True)
    return job.key


def is_scored(folder: Path) -> bool:
    """Whether a partition's folder is finished: it is renamed into its place with all that is in it."""
    return (folder / NOTE).is_file()


def progress_name(key: str) -> str:
    """The file that says how many rows of a partition are scored while it is not finished."""
    return f"{key}.rows"


def score_tables(
    job: ScoringJob, bundle: OpenBundle, counts: Counts, kept: KeptRows, made: Path, progress: Path
) -> None:
    """The scores and refused rows of all tables of a partition, as files in `made`."""
    with ExitStack() as stack:
        side = stack.enter_context((made / REFUSED).open("w", encoding="utf-8"))
        add = None
        for table in tables_of(job, kept):
            scored = score_table(table, job, bundle, counts, side)
            write_left_out(kept, counts, side)
            if scored is None:
                continue
            add = add or stack.enter_context(part_writer(made / SCORES))
            add(scored)
            # Not worth a wait for the disk: who reads half a number takes it for none.
            progress.write_text(str(counts.rows + counts.refused))
        write_left_out(kept, counts, side)


def tables_of(job: ScoringJob, kept: KeptRows) -> Iterator[pa.Table]:
    """A partition's rows as the source has them, beside joined ones, read ahead by a thread.

    Tables are not put together: of a column without a contract one may have numbers and another texts.
    """
    read = read_ahead(lambda: job.entry.partition.read(kept), job.entry.source.limits.seconds, job.entry.name)
    for table in read:
        for start in range(0, len(table), ROWS_A_GROUP):
            piece = table.slice(start, ROWS_A_GROUP)
            yield from joined(piece, job, kept) if job.joins else [piece]


def joined(table: pa.Table, job: ScoringJob, kept: KeptRows) -> Iterator[pa.Table]:
    """A table with the joined columns. A row without a match is refused where training rows without one were left out."""
    found = list(join_tables([table], job.joins, job.entry.name, kept, Matches()))
    there = pa.chunked_array([chunk for each in found for chunk in each[LINE].chunks], pa.int64())
    alone = table.filter(pc.invert(pc.is_in(table[LINE], there.combine_chunks())))
    names = [name for name in alone.column_names if name not in (LINE, CONTENT)][:CELLS]
    for line, row in zip(alone[LINE].to_pylist(), alone.select(names).to_pylist(), strict=True):
        kept.leave_out(
            "unmatched_dropped",
            job.entry.partition.origin,
            line,
            "no row of the joined source belongs to it",
            json.dumps(row, ensure_ascii=False, default=str),
        )
    yield from (each for each in found if len(each))


def score_table(
    table: pa.Table, job: ScoringJob, bundle: OpenBundle, counts: Counts, side: IO[str]
) -> pa.Table | None:
    """The scores of a table's rows; None where none could be read."""
    names = [name for name in table.column_names if name not in (LINE, CONTENT)]
    absent = absent_columns(names, job.reading, job.entry.name, job.allow_missing)
    reading = RowReading(job.reading.intake, job.reading.contract, job.reading.inputs, absent)
    counts.absent = absent
    refusals = Refusals()
    inputs = read_inputs(table, reading, job.entry.name, refusals)
    note_samples(inputs, reading, counts)
    refused = refusals.mask(len(table))
    ids, unnamed = row_names(table, job)
    first = counts.rows + counts.refused
    places = np.flatnonzero(~refused)
    scored = None
    if len(places):
        outputs = answers(bundle, inputs, len(places))
        unanswered = not_finite(outputs, bundle)
        if unanswered.any():
            for place in places[unanswered]:
                refusals.reasons[int(place)] = ["the model's answer is no finite number"]
            places = places[~unanswered]
            outputs = {name: values[~unanswered] for name, values in outputs.items()}
        note_inputs(inputs, bundle, counts)
        note_answers(outputs, bundle, counts)
        where = pa.array(places)
        scored = pa.table(
            {
                "id": ids.take(where),
                **answer_columns(outputs, bundle),
                "model": repeated(job.project, len(places)),
                "version": pa.array(np.full(len(places), job.version or 0, np.int64)),
                "request_id": request_ids(job.key, first, places),
                "origin": repeated(job.entry.partition.origin, len(places)),
                LINE: table[LINE].combine_chunks().take(where),
            }
        )
    counts.rows += len(places)
    counts.refused += len(refusals.reasons)
    counts.unnamed += unnamed
    write_refused(table, ids, refusals, job, counts, side)
    return scored if len(places) else None


def repeated(text: str, rows: int) -> pa.Array:
    """The same text for every row."""
    return pa.repeat(pa.scalar(text, pa.string()), rows)


def request_ids(key: str, first: int, places: npt.NDArray[np.intp]) -> pa.Array:
    """A name of each row that no other row in any target has: the partition's key, and the row's number in it."""
    numbers = pc.cast(pa.array(places + first), pa.string())
    return pc.binary_join_element_wise(pa.scalar(key), numbers, "#")


def row_names(table: pa.Table, job: ScoringJob) -> tuple[pa.Array, int]:
    """The text of each row's key as in training, or its place where the source has no key or the row none; and how many have none."""
    key = job.entry.source.key
    columns = job.reading.contract
    names = (key,) if isinstance(key, str) else key
    sources = [(spec.source or name) if (spec := columns.get(name)) else name for name in names]
    lines = table[LINE].combine_chunks().cast(pa.string())
    places = pc.binary_join_element_wise(pa.scalar(job.entry.partition.origin), lines, ":")
    if not set(sources) <= set(table.column_names):
        return places, 0
    texts = [as_text(table[name]) for name in sources]
    found = texts[0] if len(texts) == 1 else join_escaped(texts)
    empty = pc.fill_null(pc.equal(found, ""), True)
    count = pc.sum(empty).as_py() or 0
    return (pc.if_else(empty, places, found) if count else found), count


def answers(bundle: OpenBundle, inputs: Values, rows: int) -> Values:
    """The graph's outputs by name [rows, ...], a bounded call at a time."""
    texts = [spec.name for spec in bundle.inputs if spec.dtype == TEXT and not spec.shape]
    names = [spec.name for spec in bundle.inputs]
    calls = []
    start = 0
    longest = longest_text(inputs, texts, 0, rows)
    while start < rows:
        stop = min(rows, start + ROWS_A_CALL)
        if longest * ROWS_A_CALL > CHARACTERS_A_CALL:
            longest_here = longest_text(inputs, texts, start, stop)
            stop = min(stop, start + max(1, CHARACTERS_A_CALL // max(1, longest_here)))
        feeds = {name: inputs[name][start:stop] for name in names}
        calls.append(bundle.session.run(list(bundle.outputs), feeds))
        start = stop
    return {
        name: np.concatenate(parts)
        for name, parts in zip(bundle.outputs, zip(*calls, strict=True), strict=True)
    }


def longest_text(inputs: Values, names: list[str], start: int, stop: int) -> int:
    """Characters of the longest text of some rows; 0 where no input is text."""
    return max((max(map(len, inputs[name][start:stop]), default=0) for name in names), default=0)


def not_finite(outputs: Values, bundle: OpenBundle) -> npt.NDArray[np.bool_]:
    """Which rows have an output that is no finite number [rows]."""
    bad = np.zeros(len(outputs[bundle.outputs[0]]), np.bool_)
    for values in outputs.values():
        if values.dtype.kind == "f":
            bad |= ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    return bad


def answer_columns(outputs: Values, bundle: OpenBundle) -> dict[str, pa.Array]:
    """Columns of the target: the answer in words, then the other outputs.

    Where an output has a number a class, the answer's own is a column of the output's name, and all are in
    <output>_by_class.
    """
    first, *others = bundle.outputs
    chosen = outputs[first]
    classes = bundle.classes
    columns = {
        "answer": pa.array(chosen)
        if classes is None
        else pa.array(classes, pa.string()).take(pa.array(chosen))
    }
    for name in others:
        values = outputs[name]
        if values.ndim == 1:
            columns[name] = pa.array(values)
            continue
        flat = values.reshape(len(values), -1)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
        if classes is not None and flat.shape[1] == len(classes):
            columns[name] = pa.array(flat[np.arange(len(flat)), chosen])
            columns[f"{name}_by_class"] = lists
        else:
            columns[name] = lists
    return columns


def note_answers(outputs: Values, bundle: OpenBundle, counts: Counts) -> None:
    """Counts classes, or sums numbers up."""
    values = outputs[bundle.outputs[0]]
    if not len(values):
        return
    if bundle.classes is not None:
        for index, count in zip(*np.unique(values, return_counts=True), strict=True):
            counts.answers[bundle.classes[index]] += int(count)
    elif values.dtype.kind in "iuf":
        count, total, least, greatest = counts.moments or [0, 0.0, float("inf"), float("-inf")]
        counts.moments = [
            count + len(values),
            total + float(values.sum(dtype=np.float64)),
            min(least, float(values.min())),
            max(greatest, float(values.max())),
        ]


def note_inputs(inputs: Values, bundle: OpenBundle, counts: Counts) -> None:
    """Counts rows without a value, and with a category that training rows did not have, by input."""
    for spec in bundle.inputs:
        if spec.shape:
            continue
        values, name = inputs[spec.name], spec.name
        if values.dtype.kind == "f":
            counts.missing[name] += int(np.isnan(values).sum())
        elif spec.dtype == TEXT:
            known = bundle.categories.get(name)
            distinct = pc.value_counts(pa.array(values, pa.string())) if known is not None else None
            if known is None or distinct is None:
                counts.missing[name] += int((values == "").sum())
                continue
            for text, times in zip(
                distinct.field("values").to_pylist(), distinct.field("counts").to_pylist(), strict=True
            ):
                if text == "":
                    counts.missing[name] += times
                elif text not in known:
                    counts.unseen[name] += times
                    examples = counts.examples.setdefault(name, [])
                    if len(examples) < EXAMPLES and (shown := text[:40]) not in examples:
                        examples.append(shown)


def note_samples(inputs: Values, reading: RowReading, counts: Counts) -> None:
    """Keeps some numbers of the columns whose usual quantiles the contract has."""
    for name, spec in reading.contract.items():
        if spec.usual and name in inputs and inputs[name].dtype == np.float32:
            values = inputs[name][np.isfinite(inputs[name])]
            step = max(1, len(values) // SAMPLE)
            counts.samples.setdefault(name, []).extend(map(float, values[::step][:SAMPLE]))


def write_refused(
    table: pa.Table, ids: pa.Array, refusals: Refusals, job: ScoringJob, counts: Counts, side: IO[str]
) -> None:
    """The refused rows of a table in the side file: origin, line, id, reason and the row as the source has it."""
    if not refusals.reasons:
        return
    places = sorted(refusals.reasons)
    rows = table.take(pa.array(places))
    shown = [name for name in rows.column_names if name not in (LINE, CONTENT)][:CELLS]
    lines, names = rows[LINE].to_pylist(), ids.take(pa.array(places)).to_pylist()
    values = rows.select(shown).to_pylist()
    for place, line, name, row in zip(places, lines, names, values, strict=True):
        reasons = refusals.reasons[place]
        for reason in reasons:
            counts.reasons[reason_kind(reason)] += 1
        told = {
            "origin": job.entry.partition.origin,
            LINE: line,
            "id": name,
            "reason": "; ".join(reasons),
            "row": {key: cell(value) for key, value in row.items()},
        }
        side.write(json.dumps(told, ensure_ascii=False, default=str) + "\n")


def write_left_out(kept: KeptRows, counts: Counts, side: IO[str]) -> None:
    """The rows that the reader left out, in the side file."""
    waiting, kept.left_out = kept.left_out, []
    for each in waiting:
        counts.reasons[LEFT_OUT[each.pop("check")]] += 1
        counts.refused += 1
        side.write(json.dumps({**each, "id": None}, ensure_ascii=False) + "\n")


def reason_kind(reason: str) -> str:
    """A reason without the row's own value, to count by."""
    column, _, told = reason.partition(": ")
    _, said, wanted = told.rpartition(" is ")
    # A value that is shown stands in quotes, or is a number.
    return f"{column}: a value is {wanted}" if said else reason


def cell(value: Any) -> Any:
    """A value for the side file, cut where it is long."""
    if isinstance(value, str):
        return value[:CELL]
    if isinstance(value, (list, bytes)):
        return str(value)[:CELL]
    return value


def read_note(folder: Path) -> dict[str, Any]:
    """What is known of a scored partition."""
    note: dict[str, Any] = read_json(folder / NOTE)
    return note
