"""What each column of a table is for.

The label, an input of some kind, or nothing that a model should see.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from configs.source import ColumnConfig
from tasks.ingestion.parsing.date_formats import SINCE_1970, fitting, likely_formats

LABELS = (
    "label",
    "target",
    "class",
    "y",
    "outcome",
    "result",
    "category",
    "diagnosis",
    "churn",
    "species",
    "price",
    "sentiment",
    "rating",
    "stars",
    "score",
    "grade",
    "quality",
    "status",
    "intent",
    "topic",
    "fraud",
    "spam",
    "default",
    "survived",
    "approved",
    "converted",
)
"""What columns that are to be predicted are often called."""
MOST_CLASSES = 20
"""Different whole numbers from which on a label counts as an amount."""
MOST_CATEGORIES = 1000
"""Different texts that a categorical input keeps apart."""
TIME_NAME = re.compile(
    r"(^|_|\W)(ts|time|date|day|at|on|created|updated|when)(_?(s|ms|us|ns))?($|_|\W)"
    r"|[a-z](Time|Date|At|Ts)(Ms)?$|(?i:timestamp|datetime|epoch)"
)
"""Names of columns whose large numbers count time since 1970, such as ts, created_at and orderDate."""
LONG_WORDS = 4
"""Words a value, on average, from which on a column is prose."""
NEARLY_ALL = 0.9


@dataclass
class Roles:
    """Columns by what they are for."""

    label: str
    classes: tuple[str, ...] | None
    """Of the label; None where it is an amount."""
    numeric: list[str] = field(default_factory=list)
    categorical: list[str] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    counted_times: list[str] = field(default_factory=list)
    """Those of the dates that are numbers."""
    texts: list[str] = field(default_factory=list)
    """Prose: what a text intake takes."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Columns that no model should see, with the reason."""

    @property
    def is_text(self) -> bool:
        """Whether one column of prose says most of a row."""
        return len(self.texts) == 1 and len(self.numeric) + len(self.categorical) + len(self.dates) <= 1


def choose_label(table: pa.Table, columns: dict[str, ColumnConfig], key: Sequence[str]) -> str:
    """The column whose name says so, else the last one that a model could learn and that is no part of the key.

    Raises ValueError where there is none.
    """
    others = [name for name in columns if name not in key]
    if len(others) < 2:
        raise ValueError(
            f"the columns are {', '.join(columns)}: a project needs an input and a label; give --label"
        )
    fit = [name for name in others if can_be_label(table[name], columns[name])]
    named = [name for name in fit if name.casefold() in LABELS]
    return (named or fit or others)[-1]


def can_be_label(values: pa.ChunkedArray, spec: ColumnConfig) -> bool:
    """Whether a column could be learned: neither constant, nor prose, nor different in nearly every row."""
    if pa.types.is_nested(values.type) or pa.types.is_null(values.type):
        return False
    if spec.type == "text" and words(values.drop_null()) >= LONG_WORDS:
        return False
    try:
        classes_of(values, spec, "")
    except ValueError:
        return False
    return True


def assign_roles(table: pa.Table, columns: dict[str, ColumnConfig], key: Sequence[str], label: str) -> Roles:
    """What every column is for.

    `table` has the contract's types. Raises ValueError for a label that cannot be one.
    """
    roles = Roles(label, classes_of(table[label], columns[label], label))
    for name, spec in columns.items():
        if name == label:
            continue
        if name in key and spec.type != "timestamp":
            roles.left_out[name] = "it names a row (source.key)"
        elif reason := useless(table[name]):
            roles.left_out[name] = reason
        else:
            place(roles, name, table[name], spec)
    return roles


def classes_of(values: pa.ChunkedArray, spec: ColumnConfig, label: str) -> tuple[str, ...] | None:
    """The classes of a label in their order; None where it is an amount.

    Raises ValueError where it has one value, or far too many.
    """
    distinct = pc.unique(values.drop_null())
    if len(distinct) < 2:
        raise ValueError(
            f"column {label!r} has {len(distinct)} different values, so there is nothing to learn; give another --label"
        )
    amount = spec.type == "number" or (spec.type == "integer" and len(distinct) > MOST_CLASSES)
    if amount:
        return None
    if spec.type == "timestamp" or len(distinct) > max(MOST_CLASSES, len(values) // 5):
        found = f"{len(distinct)} different values in {len(values)} rows"
        raise ValueError(
            f"column {label!r} has {found}, so it is no label that a model could learn; give another --label"
        )
    return tuple(str(value) for value in sorted(distinct.to_pylist()))


def useless(values: pa.ChunkedArray) -> str:
    """Why a column says nothing; empty where it may say something."""
    there = values.drop_null()
    if not len(there):
        return "it has no value"
    if pa.types.is_nested(there.type):
        return "it holds a list in each row; a reader of your own can make single values of it"
    if pc.count_distinct(there).as_py() == 1 and len(there) == len(values):
        return f"all its values are {str(there[0].as_py())!r}"
    return ""


def place(roles: Roles, name: str, values: pa.ChunkedArray, spec: ColumnConfig) -> None:
    """Adds a column to the inputs it suits, or to those that are left out."""
    there = values.drop_null()
    distinct: int = pc.count_distinct(there).as_py()
    nearly_unique = distinct > NEARLY_ALL * len(there)
    match spec.type:
        case "timestamp":
            roles.dates.append(name)
        case "integer" | "number" if counts_time(name, there):
            roles.dates.append(name)
            roles.counted_times.append(name)
        case "number":
            roles.numeric.append(name)
        case "integer":
            if nearly_unique and re.search(r"(^|_|\b)(id|no|nr|number|index|key)$", name, re.IGNORECASE):
                roles.left_out[name] = "nearly every row has a number of its own, as identifiers do"
            else:
                roles.numeric.append(name)
        case "boolean":
            roles.categorical.append(name)
        case "text" if words(there) >= LONG_WORDS and distinct > len(there) / 2:
            roles.texts.append(name)
        case "text" if nearly_unique and distinct > MOST_CLASSES:
            roles.left_out[name] = "nearly every row has a value of its own"
        case "text":
            roles.categorical.append(name)
        case _:
            roles.left_out[name] = f"values of type {values.type} are no single ones"


def counts_time(name: str, values: pa.ChunkedArray) -> bool:
    """Whether numbers are moments.

    The column's name says so, and all lie where one unit since 1970, or digits such as 20200131, puts dates.
    """
    if not (TIME_NAME.search(name) or TIME_NAME.search(name.lower())):
        return False
    units = [form for form in likely_formats(values) if form in SINCE_1970 or form == "%Y%m%d"]
    return any(not fitting(values, form).null_count for form in units)


def words(values: pa.ChunkedArray) -> float:
    """Words a value, on average."""
    blanks = pc.sum(pc.count_substring_regex(pc.utf8_trim_whitespace(values), r"\s+")).as_py() or 0
    return blanks / max(1, len(values)) + 1
