"""Rows of any source in the platform's one layout; what cannot be used is named.

Numbers, categories and texts stay in Arrow; only columns that an intake alone can read (images, a user's own)
go through its frames.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from configs.intake import ImageIntakeConfig, IntakeConfig, TabularIntakeConfig, TextIntakeConfig
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.contract import plain_values
from tasks.ingestion.parsing.row_ids import Key, row_ids
from tasks.rows import content_hash
from tasks.rows.timestamps import read

if TYPE_CHECKING:
    from tasks.intake import Intake, Rows

RESERVED = ("id", "origin", LINE, content_hash.COLUMN, "split", "reasons")
"""Columns that stages add."""
NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"


def to_layout(
    table: pa.Table,
    key: Key,
    section: IntakeConfig,
    label: str,
    origin: str,
    source: str,
    named: tuple[str, ...] = (),
) -> pa.Table:
    """A source's rows as `id`, the intake's columns, its descriptors, the source's other columns, `origin` and what follows it.

    named: the columns that are a row's content; none: the intake's
    A value that is no number becomes missing where the intake wants numbers, for validation to judge; a row
    that cannot be read at all (such as an image of another size), a missing column and a missing key raise
    ValueError naming source, row and column.
    """
    needed = intake_columns(section)
    # A reader's own digests, as of image files' bytes, are no column of the source.
    contents = (
        table[content_hash.COLUMN].cast(pa.uint64()) if content_hash.COLUMN in table.column_names else None
    )
    table = table.drop_columns([content_hash.COLUMN]) if contents is not None else table
    names = row_ids(table, key, origin, source)
    check_columns(table, key, needed, source)
    check_label(table.column_names, key, needed, label, source)
    raw = arrow_columns(table, section)
    if raw is None:
        intake = build_here(section)
        raw = table_of_frame(intake.frame(raw_rows(table.select(needed), names, intake, source)))
    kept = {name for name in table.column_names if name != LINE and (name != key or name in (*needed, label))}
    columns = {"id": names, **columns_of(raw)}
    columns |= {name: values for name, values in extra_descriptors(raw, section).items() if name not in kept}
    columns |= {name: table[name] for name in table.column_names if name in kept - set(columns)}
    columns.setdefault(label, pa.nulls(len(table), pa.string()))
    if contents is None:
        contents = content_hash.digests(
            [table[name] for name in content_columns(table.column_names, named, needed)]
        )
    places = {"origin": repeat_text(origin, len(table)), LINE: table[LINE], content_hash.COLUMN: contents}
    return pa.table({name: text_if_empty(values) for name, values in columns.items()} | places)


def content_columns(there: Sequence[str], named: tuple[str, ...], needed: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that are a row's content: those that are named, as long as the source has them all.

    Else what the intake takes.
    """
    return named if named and set(named) <= set(there) else needed


def build_here(section: IntakeConfig) -> "Intake":
    """The intake itself; it brings torch, which a worker that reads plain columns does not need."""
    from tasks.intake import build_intake

    return build_intake(section)


def intake_columns(section: IntakeConfig) -> tuple[str, ...]:
    """The data set's columns that hold the raw input."""
    if isinstance(section, TabularIntakeConfig):
        return (*section.numeric, *section.dates, *section.categorical)
    return (
        (section.column,)
        if isinstance(section, (ImageIntakeConfig, TextIntakeConfig))
        else build_here(section).columns
    )


def columns_of(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Columns by name."""
    return dict(zip(table.column_names, table.columns, strict=True))


def repeat_text(text: str, rows: int) -> pa.Array:
    """The same text for every row."""
    return pa.repeat(pa.scalar(text, pa.string()), rows)


def text_if_empty(values: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column without any value as text: a later file may have some."""
    return values.cast(pa.string()) if pa.types.is_null(values.type) else values


def table_of_frame(frame: pd.DataFrame) -> pa.Table:
    """A pandas frame as a table, NaN as missing."""
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def arrow_columns(table: pa.Table, section: IntakeConfig) -> pa.Table | None:
    """The intake's columns as its `frame` would have them, without pandas.

    None where only the intake can read them.
    """
    if isinstance(section, TextIntakeConfig):
        column = table[section.column]
        return (
            pa.table({section.column: column.cast(pa.string())})
            if is_string(column.type) and not column.null_count
            else None
        )
    if not isinstance(section, TabularIntakeConfig):
        return None
    columns = {name: float_column(table[name]) for name in section.numeric}
    for name in section.dates:
        columns[name] = read(plain_values(table[name]), section.date_formats.get(name))
    for name in section.categorical:
        columns[name] = category_column(table[name])
    return None if None in columns.values() else pa.table(columns)


def is_string(kind: pa.DataType) -> bool:
    """Whether a column is text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def float_column(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """float32, missing where a text is no number.

    None where Arrow and the intake might read it differently.
    """
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        wide = pc.cast(column, pa.float64(), safe=False)
        return pc.if_else(pc.is_nan(wide), pa.scalar(None, pa.float64()), wide).cast(pa.float32(), safe=False)
    if not is_string(column.type):
        return None
    fits = pc.match_substring_regex(column, NUMBER)
    if pc.any(pc.invert(pc.fill_null(fits, True))).as_py():
        return None
    return pc.cast(pc.utf8_trim_whitespace(column), pa.float64()).cast(pa.float32(), safe=False)


def category_column(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Texts, an empty one as missing; None where the intake's own reading is needed."""
    if not is_string(column.type) and not pa.types.is_integer(column.type):
        return None
    texts = column.cast(pa.string())
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def extra_descriptors(raw: pa.Table, section: IntakeConfig) -> dict[str, pa.ChunkedArray]:
    """The descriptors that are no columns themselves, such as an image's brightness or a date's weekday."""
    if isinstance(section, TabularIntakeConfig):
        if not section.dates:
            return {}
        section = section.model_copy(update={"numeric": (), "categorical": ()})
    intake = build_here(section)
    found = intake.describe(intake.rows(raw.select(intake.columns).to_pandas()))
    return columns_of(table_of_frame(found[[name for name in found.columns if name not in raw.column_names]]))


def check_columns(table: pa.Table, key: Key, needed: tuple[str, ...], source: str) -> None:
    """Raises ValueError naming a column that the project needs and the source does not have, or that a stage would overwrite."""
    names = [name for name in table.column_names if name != LINE]
    for column in needed:
        if column not in names:
            there = f"it has {', '.join(names)}"
            raise ValueError(
                f"{source}: no column {column!r} (intake); {there}; name the source's columns in the project's intake"
            )
    taken = [column for column in RESERVED if column in names and column != key]
    if taken:
        fix = ", or make it source.key" if taken[0] == "id" else ""
        raise ValueError(f"{source}: column {taken[0]!r} is written by Gyre; rename it in the source{fix}")


def check_label(columns: list[str], key: Key, needed: tuple[str, ...], label: str, source: str) -> None:
    """Raises ValueError where no column can hold a label.

    Neither the result's own nor any that may be an annotator's.
    """
    names = [name for name in columns if name not in (LINE, "origin")]
    if label not in names and not set(names) - {*((key,) if isinstance(key, str) else key), *needed}:
        raise ValueError(
            f"{source}: no column {label!r} (result.label) and none for annotators; it has {', '.join(names)}; "
            "set result.label, or add annotators' columns and name them in labeling.annotators"
        )


def raw_rows(table: pa.Table, names: pa.Array, intake: "Intake", source: str) -> "Rows":
    """The intake's rows of a table. Raises ValueError naming the first row that does not fit."""
    frame = table.to_pandas()
    try:
        return fitting_rows(frame, intake)
    except ValueError:
        for position in range(len(frame)):
            try:
                fitting_rows(frame.iloc[[position]], intake)
            except ValueError as error:
                raise ValueError(f"{source}: row {names[position].as_py()!r}: {error}") from None
        raise


def fitting_rows(frame: pd.DataFrame, intake: "Intake") -> "Rows":
    """The intake's rows, one a line of the frame. Raises ValueError saying what is wanted."""
    shaped = [spec for spec in intake.inputs if spec.shape]
    wanted = "; ".join(
        f"want {np.prod(spec.shape)} values, {' x '.join(map(str, spec.shape))} {spec.dtype}"
        for spec in shaped
    )
    try:
        return intake.rows(frame)
    except ValueError as error:
        raise ValueError(
            f"{', '.join(intake.columns)}: {error} ({wanted or 'want what the intake describes'})"
        ) from None
