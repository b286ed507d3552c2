"""Records of a person's file as raw rows of a model.

The columns it takes, each value in the type that training rows have.

Nothing is guessed. A value that can be read in one way alone (`3.0` where training rows have the category
`3`) is read so and said; any other that does not fit is refused with its row and column. What an ordinary
value means is read here; for any other Arrow is imported, which brings pandas and so takes longer than the
question to the model.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from configs.source import ColumnConfig
from tasks.production.protocol_dtypes import DATATYPES
from tasks.rows.lookalike import lookalike
from tasks.rows.raw import TEXT, Rows, TensorSpec, rows_from

ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?)?")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
LISTED = 5
"""Problems, columns or values that a message names."""


Typed = Callable[[Any, ColumnConfig], Any]
"""A cell in the type of a contract, None where it stands for no value, UNREADABLE where it does not fit."""


@dataclass(frozen=True)
class InputColumn:
    """One input of a model, and how its values are read."""

    spec: TensorSpec
    contract: ColumnConfig | None = None
    """What the YAML's `source.columns` says of it."""
    typed: Typed | None = None
    """Reads a cell as that contract says."""
    categories: tuple[str, ...] | None = None
    """Texts that training rows have; None where any text is read."""
    usual: str | None = None
    """A value such as training rows have, for examples."""
    is_date: bool = False
    date_format: str | None = None
    """How training rows' source wrote it; None: ISO 8601."""

    @property
    def name(self) -> str:
        """Of the input."""
        return self.spec.name

    @property
    def names(self) -> tuple[str, ...]:
        """What the column may be called: as the input, or as in the source."""
        source = self.contract.source if self.contract else None
        return (self.name, source) if source and source != self.name else (self.name,)

    @property
    def example(self) -> str | float:
        """A value as a person would write it."""
        if self.categories:
            return self.categories[0]
        if self.is_date:
            return self.usual or "2026-01-31T12:00"
        return "some text" if self.spec.dtype == TEXT else float(self.usual or 0)

    @property
    def wanted(self) -> str:
        """What a value is, in words."""
        if self.is_date:
            form = f"as {self.date_format}, or " if self.date_format else ""
            return f"a date {form}in ISO 8601 such as 2026-01-31T12:00"
        if self.spec.dtype == TEXT:
            kind = self.contract.type if self.contract else "text"
            return (
                "a text"
                if kind in ("text", "any")
                else f"a text of type {kind}, as source.columns.{self.name} says"
            )
        return f"a number such as {self.example:g}, without separators or units"


@dataclass
class Reading:
    """What came of the records, besides the rows."""

    notices: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def raw_rows(
    records: Sequence[Any], name: str, columns: Sequence[InputColumn], allow_missing: bool
) -> tuple[Rows, list[str]]:
    """Raw rows and notices.

    Raises ValueError naming the file, each column that no row has, and each value that cannot be read.

    allow_missing: whether a column that no row has counts as missing in all of them
    """
    mappings = [mapping_of(record, f"{name}, row {number}", columns) for number, record in enumerate(records)]
    reading = Reading()
    cells = chosen_cells(mappings, name, columns, allow_missing, reading)
    values = {}
    for column in columns:
        values[column.name] = typed_column(cells[column.name], column, name, reading)
    if reading.problems:
        raise ValueError("\n".join(first_few(reading.problems)))
    for number in range(len(mappings)):
        if all(is_missing(values[column.name][number]) for column in columns):
            raise ValueError(
                f"{name}, row {number}: has no value in any column that the model takes; {want_columns(columns)}"
            )
    specs = [column.spec for column in columns]
    return rows_from(specs, {spec.name: as_array(values[spec.name], spec) for spec in specs}), reading.notices


def mapping_of(record: Any, where: str, columns: Sequence[InputColumn]) -> Mapping[str, Any]:
    """A record by column; a list has the values in the order of the inputs. Raises ValueError."""
    if isinstance(record, dict):
        return record
    values = record if isinstance(record, list) else [record]
    if len(values) != len(columns):
        raise ValueError(f"{where}: {str(record)[:80]} has {len(values)} values; {want_columns(columns)}")
    return dict(zip((column.name for column in columns), values, strict=True))


def want_columns(columns: Sequence[InputColumn]) -> str:
    """Which columns the model takes, with an example of a row."""
    import orjson

    example = orjson.dumps({column.name: column.example for column in columns}).decode()
    return f"want {', '.join(column.name for column in columns)}, such as {example}"


def chosen_cells(
    mappings: Sequence[Mapping[str, Any]],
    name: str,
    columns: Sequence[InputColumn],
    allow_missing: bool,
    reading: Reading,
) -> dict[str, list[Any]]:
    """The cells of each input, row by row; None where a row has none.

    Says what the rows lack, and what they have too much.
    """
    there: dict[str, None] = {key: None for mapping in mappings for key in mapping}
    cells, used, lacking = {}, set(), []
    for column in columns:
        found = [each for each in column.names if each in there]
        used.update(found)
        cells[column.name] = [
            next((mapping[each] for each in found if each in mapping), None) for mapping in mappings
        ]
        if not found:
            lacking.append(column.name)
    others = [key for key in there if key not in used]
    hints = similar(lacking, others)
    named = [
        f"{missed!r}" + (f" ({hints[missed]!r} looks like it)" if hints[missed] else "") for missed in lacking
    ]
    if named and not allow_missing:
        raise ValueError(
            f"{name}: no column {', '.join(named)}; {want_columns(columns)}. "
            "Rename the columns, or answer without them: --allow-missing, over HTTP ?allow-missing=true"
        )
    if named:
        reading.notices.append(f"no column {', '.join(named)}: missing in every row, as --allow-missing says")
    if others:
        reading.notices.append(
            f"passed over, since the model does not take them: {', '.join(first_few([repr(key) for key in others]))}"
        )
    return cells


def similar(lacking: list[str], others: list[str]) -> dict[str, str | None]:
    """For each name that is lacking the one that looks like it, if there is one."""
    return {missed: lookalike(missed, others) for missed in lacking}


def typed_column(cells: list[Any], column: InputColumn, name: str, reading: Reading) -> list[Any]:
    """A column's values: float, or text.

    None where one is missing or, with a problem told, cannot be read.
    """
    if column.contract and column.typed and column.contract.type != "any":
        values = [column.typed(cell, column.contract) for cell in cells]
    else:
        values = [None if isinstance(cell, str) and not cell.strip() else cell for cell in cells]
    made: list[Any] = []
    changed: list[tuple[int, str, str]] = []
    for row, (cell, value) in enumerate(zip(cells, values, strict=True)):
        try:
            made.append(one_value(value, column))
        except ValueError:
            made.append(None)
            found = str(cell)[:60] if not isinstance(cell, str) else repr(cell[:60])
            reading.problems.append(
                f"{name}, row {row}: {column.name} is {found}; want {column.wanted}, or nothing"
            )
        if isinstance(made[-1], str) and isinstance(cell, str) and made[-1] != cell:
            changed.append((row, cell, made[-1]))
    if changed:
        row, cell, value_text = changed[0]
        count = "row" if len(changed) == 1 else f"{len(changed)} rows, the first is row"
        reading.notices.append(
            f"{column.name}, {count} {row}: {cell!r} is read as {value_text!r}, as training rows have it"
        )
    return made


class _Unreadable:
    """Stands for a cell that does not fit the contract."""


UNREADABLE = _Unreadable()


def one_value(value: Any, column: InputColumn) -> float | str | None:
    """A typed or textual value as the input takes it. Raises ValueError where it is none."""
    if value is None:
        return None
    if isinstance(value, (_Unreadable, list, dict)):
        raise ValueError(value)
    if column.is_date:
        return seconds(value, column.date_format)
    if column.spec.dtype == TEXT:
        return text_of(value, column.categories)
    return number(value, column.spec.dtype)


def number(value: Any, dtype: str) -> float:
    """A number that the input's dtype can hold. Raises ValueError."""
    if isinstance(value, str):
        value = value.strip()
        if not NUMBER.fullmatch(value):
            raise ValueError(value)
    if isinstance(value, (bool, datetime)):
        raise ValueError(value)
    made = float(value)
    if not math.isfinite(made) or abs(made) > float(np.finfo(dtype).max):
        raise ValueError(value)
    return made


def seconds(value: Any, form: str | None) -> float:
    """Seconds since 1970 of a moment in the training rows' format, or in ISO 8601, which is never mistaken.

    Raises ValueError.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=value.tzinfo or UTC).timestamp()
    if isinstance(value, bool):
        raise ValueError(value)
    if form is None and isinstance(value, str) and ISO_DAY.fullmatch(value.strip()):
        return datetime.fromisoformat(value.strip()).replace(tzinfo=UTC).timestamp()
    import pyarrow as pa

    from tasks.rows.timestamps import read

    given = pa.chunked_array([pa.array([value])])
    for each in (form, None) if isinstance(value, str) else (form,):
        found = read(given, each)
        if found is not None and not found.null_count:
            moment: datetime = found[0].as_py()
            return moment.replace(tzinfo=UTC).timestamp()
    raise ValueError(value)


def text_of(value: Any, categories: Sequence[str] | None) -> str:
    """A text; of a category the one that training rows have, where its number is written otherwise or it has blanks around it."""
    if not isinstance(value, str):
        if categories is None:
            raise ValueError(value)
        return next(iter(same_number(value, categories)), category(value))
    if categories is None or value in categories:
        return value
    plain = value.strip()
    if plain in categories:
        return plain
    return next(iter(same_number(plain, categories)), value)


def same_number(value: Any, categories: Sequence[str]) -> Iterator[str]:
    """The category that is the same number; none where several are, or the value is no number."""
    if isinstance(value, bool) or not NUMBER.fullmatch(str(value)):
        return
    same = [text for text in categories if NUMBER.fullmatch(text) and float(text) == float(value)]
    if len(same) == 1:
        yield same[0]


def category(value: Any) -> str:
    """A category's text, as tasks/intake/tabular.py makes it of a source's values."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def is_missing(value: Any) -> bool:
    """Whether a value as the input takes it is none."""
    return value is None or value == ""


def as_array(values: list[Any], spec: TensorSpec) -> Any:
    """Values as an array of the input, missing ones as it has them."""
    if spec.dtype == TEXT:
        return np.array([value or "" for value in values], object)
    return np.array([np.nan if value is None else value for value in values], spec.dtype)


def first_few(texts: list[str]) -> list[str]:
    """The first few of them, and how many more there are."""
    return texts if len(texts) <= LISTED else [*texts[:LISTED], f"and {len(texts) - LISTED} more"]


def input_columns(
    described: Sequence[Mapping[str, Any]],
    contract: Mapping[str, ColumnConfig],
    dates: Mapping[str, str | None],
    typed: Typed | None = None,
) -> list[InputColumn]:
    """The model's inputs as the server describes them (its `columns`), with what the YAML says of them.

    dates: inputs that are dates, with the YAML's format of each
    typed: reads cells of columns that have a contract
    """
    dtypes = {datatype: dtype for dtype, datatype in DATATYPES.items()}
    made = []
    for each in described:
        name = each["name"]
        spec = TensorSpec(name, dtypes[each["datatype"]], tuple(each["shape"][1:]))
        told = each.get("parameters", {}).get("date_format")
        categories = tuple(each["categories"]) if each["categories"] is not None else None
        made.append(
            InputColumn(
                spec,
                contract.get(name),
                typed,
                categories,
                each["usual"],
                name in dates,
                told or dates.get(name),
            )
        )
    return made
