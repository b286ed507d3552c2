"""Rows of a source as the graph takes them. What cannot be read is refused row by row, with the reason.

Nothing is guessed.

Values are typed by the contract and read by the intake, as those of training rows are. Where ingestion counts
a value that it cannot read as missing, for validation to judge, a row is refused here, as the model server
refuses it: an answer about a value that nobody read would look like any other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from configs.intake import IntakeConfig, TabularIntakeConfig, TextIntakeConfig
from configs.source import ColumnConfig
from tasks.ingestion.parsing.contract import having, plain_values, typed_column, wanted_format
from tasks.ingestion.parsing.conversions import present
from tasks.ingestion.parsing.layout import arrow_columns, build_here, fitting_rows, intake_columns, is_string
from tasks.ingestion.parsing.values import WANTED
from tasks.rows.lookalike import lookalike
from tasks.rows.raw import MAX_TEXT, TEXT, TensorSpec, feed

Mask = npt.NDArray[np.bool_]
Values = dict[str, npt.NDArray[Any]]
SHOWN = 80
"""Characters of a value that a reason shows."""
EPOCH_US = 1e6


@dataclass(frozen=True)
class RowReading:
    """How rows become inputs."""

    intake: IntakeConfig
    contract: Mapping[str, ColumnConfig]
    inputs: tuple[TensorSpec, ...]
    absent: tuple[str, ...] = ()
    """Columns that the source does not have, which count as missing in every row because a person said so."""


@dataclass
class Refusals:
    """Why rows of a table are refused, by their place."""

    reasons: dict[int, list[str]] = field(default_factory=dict)

    def add(self, mask: Mask, told: str, values: Any = None) -> None:
        """Refuses the rows where the mask holds; `{}` in what is told is the row's value."""
        for place in np.flatnonzero(mask):
            value = values[int(place)].as_py() if values is not None else None
            self.reasons.setdefault(int(place), []).append(told.format(f"{value!r:.{SHOWN}}"))

    def mask(self, rows: int) -> Mask:
        """Which rows are refused [rows]."""
        found = np.zeros(rows, np.bool_)
        found[list(self.reasons)] = True
        return found


def absent_columns(names: list[str], reading: RowReading, name: str, allow_missing: bool) -> tuple[str, ...]:
    """The intake's columns that a source does not have.

    Raises ValueError naming them, unless they may be missing in every row.
    """
    absent = [
        column for column in intake_columns(reading.intake) if source_name(column, reading) not in names
    ]
    if absent and not allow_missing:
        told = []
        for column in absent:
            near = lookalike(column, names)
            told.append(f"{source_name(column, reading)!r}" + (f" ({near!r} looks like it)" if near else ""))
        raise ValueError(
            f"{name}: no column {', '.join(told)}, which the model takes{having(names)}; rename the source's columns, or "
            "have them count as missing in every row: --allow-missing"
        )
    return tuple(absent)


def source_name(column: str, reading: RowReading) -> str:
    """What the source calls a column of the intake."""
    spec = reading.contract.get(column)
    return (spec.source or column) if spec else column


def read_inputs(table: pa.Table, reading: RowReading, name: str, refusals: Refusals) -> Values:
    """The graph's inputs [rows that are not refused, ...] of a table; the others are noted in `refusals`.

    Raises ValueError where a whole column cannot be read.
    """
    typed = typed_columns(table, reading, name, refusals)
    made = plain_inputs(typed, reading) or built_inputs(typed, reading, refusals)
    for spec in reading.inputs:
        if spec.name in typed.column_names and not spec.shape:
            refuse_lost(typed[spec.name], made[spec.name], spec, refusals)
    refuse_empty(made, reading.inputs, refusals)
    kept = ~refusals.mask(len(table))
    return made if kept.all() else {name: values[kept] for name, values in made.items()}


def typed_columns(table: pa.Table, reading: RowReading, name: str, refusals: Refusals) -> pa.Table:
    """The intake's columns by the contract; rows with a value against it are refused."""
    columns = {}
    for column in intake_columns(reading.intake):
        if column in reading.absent:
            columns[column] = pa.chunked_array([pa.nulls(len(table), pa.string())])
            continue
        values = plain_values(table[source_name(column, reading)])
        spec = reading.contract.get(column)
        made = values
        if spec is not None:
            given, made = typed_column(values, column, spec, name)
            if made.null_count > given.null_count:
                unfit = pc.and_(pc.is_valid(given), pc.is_null(made)).to_numpy()
                wanted = f"{WANTED[spec.type]}{wanted_format(spec)}"
                refusals.add(unfit, f"{column}: {{}} is no {wanted}", values)
            if spec.required and given.null_count:
                told = f"{column}: a value is missing, which the contract says is required"
                refusals.add(pc.is_null(given).to_numpy(), told)
        columns[column] = made.cast(pa.string()) if pa.types.is_null(made.type) else made
    return pa.table(columns)


def plain_inputs(typed: pa.Table, reading: RowReading) -> Values | None:
    """The inputs of plain columns, without pandas and torch; None where only the intake can read them."""
    section = reading.intake
    if isinstance(section, TextIntakeConfig) and is_string(typed[section.column].type):
        return {section.column: texts_of(typed[section.column])}
    if not isinstance(section, TabularIntakeConfig):
        return None
    found = arrow_columns(typed, section)
    if found is None:
        return None
    made: Values = {}
    for name in section.numeric:
        made[name] = found[name].to_numpy()
    for name in section.dates:
        micro = found[name].cast(pa.int64()).cast(pa.float64()).to_numpy()
        made[name] = micro / EPOCH_US
    for name in section.categorical:
        made[name] = texts_of(found[name])
    return made


def texts_of(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """Texts as ONNX Runtime takes them; a missing one is empty."""
    found: npt.NDArray[Any] = pc.fill_null(column.cast(pa.string()), "").to_numpy()
    return found


def built_inputs(typed: pa.Table, reading: RowReading, refusals: Refusals) -> Values:
    """The inputs of rows that only the intake can read, such as images.

    A row that it cannot read is refused.
    """
    intake, frame = build_here(reading.intake), typed.to_pandas()
    try:
        return feed(fitting_rows(frame, intake))
    except ValueError:
        pass
    found: list[Any] = []
    blank: Any = None
    for place in range(len(frame)):
        try:
            found.append(fitting_rows(frame.iloc[[place]], intake))
            blank = found[-1]
        except ValueError as error:
            refusals.reasons.setdefault(place, []).append(str(error))
            found.append(None)
    if blank is None:
        return {spec.name: empty_input(spec, len(frame)) for spec in reading.inputs}
    return feed(np.concatenate([blank if each is None else each for each in found]))


def empty_input(spec: TensorSpec, rows: int) -> npt.NDArray[Any]:
    """Values of rows that are all refused."""
    return np.zeros((rows, *spec.shape), object if spec.dtype == TEXT else spec.dtype)


def refuse_lost(
    before: pa.ChunkedArray, after: npt.NDArray[Any], spec: TensorSpec, refusals: Refusals
) -> None:
    """Refuses rows whose value is there and was not read, cannot be held, or is too long for a graph."""
    if pa.types.is_nested(before.type):
        return
    if spec.dtype == TEXT:
        if is_string(before.type):
            long = pc.fill_null(pc.greater(pc.utf8_length(before), MAX_TEXT), False).to_numpy()
            refusals.add(long, f"{spec.name}: a text of more than {MAX_TEXT:,} characters")
        return
    if after.dtype.kind != "f":
        return
    finite = np.isfinite(after)
    if finite.all():
        return
    lost = present(before.combine_chunks()) & ~finite
    wanted = "date in the format of the training rows" if spec.dtype == "float64" else "number"
    infinite = np.isinf(after)
    refusals.add(lost & ~infinite, f"{spec.name}: {{}} is no {wanted}", before)
    refusals.add(infinite, f"{spec.name}: {{}} is more than {spec.dtype} holds", before)


def refuse_empty(made: Values, inputs: tuple[TensorSpec, ...], refusals: Refusals) -> None:
    """Refuses rows without a value in any input."""
    if any(spec.shape for spec in inputs):
        return
    empty: Any = True
    for spec in inputs:
        values = made[spec.name]
        if values.dtype == object:
            empty = empty & (values == "")
        elif values.dtype.kind == "f":
            empty = empty & np.isnan(values)
        else:
            return
    for place in np.flatnonzero(empty):
        # A row whose only value could not be read has its reason already.
        refusals.reasons.setdefault(int(place), ["no value in any column that the model takes"])
