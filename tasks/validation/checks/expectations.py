"""Gyre's own expectations, for what Great Expectations has no rule for; the YAML names them by import path.

Each is one SQL condition, which DuckDB answers on either of the engines: in place on the SQL engine, on a
frame in memory on pandas.
"""

from typing import Any, ClassVar, Literal

import pandas as pd
import sqlalchemy as sa
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation, ColumnPairMapExpectation
from great_expectations.expectations.metrics.map_metric_provider.column_condition_partial import (
    column_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.column_map_metric_provider import (
    ColumnMapMetricProvider,
)
from great_expectations.expectations.metrics.map_metric_provider.column_pair_condition_partial import (
    column_pair_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.column_pair_map_metric_provider import (
    ColumnPairMapMetricProvider,
)

from tasks.rows.sql import identifier, open_database
from tasks.validation.checks.sql_conditions import (
    determined_values,
    far_from_neighbours,
    misspelt,
    not_apart,
    other_part,
)


def frame_flags(columns: dict[str, pd.Series], condition: str) -> pd.Series:
    """Whether a SQL condition is true of each row of a frame."""
    frame = pd.DataFrame({name: values.reset_index(drop=True) for name, values in columns.items()})
    with open_database() as connection:
        connection.register("rows", frame.assign(place=range(len(frame))))
        found = connection.execute(
            f"SELECT coalesce({condition}, FALSE) AS broken FROM rows AS t ORDER BY place"
        ).df()
    series = next(iter(columns.values()))
    return pd.Series(found["broken"].to_numpy(dtype=bool), index=series.index)


class ColumnValuesMisspelt(ColumnMapMetricProvider):
    """Which values are no misspellings."""

    condition_metric_name = "column_values.not_misspelt"
    condition_value_keys = ("value_set",)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, value_set: list[str], **_: Any) -> pd.Series:
        distinct = pd.Series(column.astype(str).unique())
        broken = distinct[frame_flags({"v": distinct}, misspelt("v", value_set))]
        return ~column.astype(str).isin(broken)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: Any, value_set: list[str], **_: Any) -> Any:
        return sa.literal_column(f"NOT ({misspelt(identifier(column.name) + '::VARCHAR', value_set)})")


class ExpectColumnValuesNotToBeMisspelt(ColumnMapExpectation):
    """No value is almost, but not quite, one of `value_set`.

    New values are welcome, slips of the pen are not.
    """

    map_metric: ClassVar[str] = "column_values.not_misspelt"
    success_keys: ClassVar[tuple[str, ...]] = ("value_set", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column", "value_set")
    value_set: list[str]


def rows_of(selectable: Any, dialect: Any) -> str:
    """The rows that Great Expectations judges, a table or a query, as SQL has them after FROM."""
    query = (
        selectable if isinstance(selectable, sa.Select) else sa.select(sa.text("*")).select_from(selectable)
    )
    return f"({query.compile(dialect=dialect, compile_kwargs={'literal_binds': True})})"


class ColumnPairDetermined(ColumnPairMapMetricProvider):
    """In which rows the second column is what the first one says."""

    condition_metric_name = "column_pair_values.determined"
    condition_domain_keys = (
        "batch_id",
        "table",
        "column_A",
        "column_B",
        "row_condition",
        "condition_parser",
        "ignore_row_if",
    )
    condition_value_keys = ("known",)

    @column_pair_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(
        cls, column_A: pd.Series, column_B: pd.Series, known: dict[str, str] | None = None, **_: Any
    ) -> pd.Series:
        right = determined_values("rows", "a", "b", known or {})
        condition = f"(SELECT any_value(m.b) FROM ({right}) AS m WHERE m.a = t.a::VARCHAR) <> t.b::VARCHAR"
        return ~frame_flags({"a": column_A, "b": column_B}, condition)

    @column_pair_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(
        cls, column_A: Any, column_B: Any, known: dict[str, str] | None = None, **kwargs: Any
    ) -> Any:
        a, b = identifier(column_A.name), identifier(column_B.name)
        right = determined_values(
            rows_of(kwargs["_table"], kwargs["_sqlalchemy_engine"].dialect), a, b, known or {}
        )
        pairs = f"SELECT m.a FROM ({right}) AS m"
        judged = f"({a}::VARCHAR IN ({pairs}))"
        equal = f"(({a}::VARCHAR, {b}::VARCHAR) IN (SELECT (m.a, m.b) FROM ({right}) AS m))"
        return sa.literal_column(f"(coalesce(NOT {judged}, TRUE) OR coalesce({equal}, TRUE))")


class ExpectColumnToDetermineAnother(ColumnPairMapExpectation):
    """Rows with one value of `column_A` have one value of `column_B`, as a zip code has one city.

    The flagged value is column_B's.

    known: what column_B is for values of column_A; for others it is what most of their rows say, from three
    rows on
    """

    map_metric: ClassVar[str] = "column_pair_values.determined"
    success_keys: ClassVar[tuple[str, ...]] = ("column_A", "column_B", "known", "ignore_row_if", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column_A", "column_B", "known")
    ignore_row_if: Literal["both_values_are_missing", "either_value_is_missing", "neither"] = (
        "either_value_is_missing"
    )
    known: dict[str, str] | None = None


NEIGHBOURS = 5
"""Rows before and after, by whose median a date is judged."""
PAIR = ("batch_id", "table", "column_A", "column_B", "row_condition", "condition_parser", "ignore_row_if")


class ColumnPairApart(ColumnPairMapMetricProvider):
    """In which rows the second date is as far from the first as it should be."""

    condition_metric_name = "column_pair_values.dates_apart"
    condition_domain_keys = PAIR
    condition_value_keys = ("min_days", "max_days", "first_format", "second_format")

    @column_pair_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(
        cls, column_A: pd.Series, column_B: pd.Series, min_days: float, max_days: float, **kwargs: Any
    ) -> pd.Series:
        forms = (kwargs.get("first_format"), kwargs.get("second_format"))
        return ~frame_flags(
            {"a": column_A, "b": column_B}, not_apart("t.a", "t.b", min_days, max_days, forms)
        )

    @column_pair_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(
        cls, column_A: Any, column_B: Any, min_days: float, max_days: float, **kwargs: Any
    ) -> Any:
        forms = (kwargs.get("first_format"), kwargs.get("second_format"))
        broken = not_apart(identifier(column_A.name), identifier(column_B.name), min_days, max_days, forms)
        return sa.literal_column(f"(NOT coalesce({broken}, FALSE))")


class ExpectDatesApart(ColumnPairMapExpectation):
    """The date in `column_B` lies between so many days after the one in `column_A`, before it where days are negative.

    first_format, second_format: of dates that are texts, as strptime has it
    """

    map_metric: ClassVar[str] = "column_pair_values.dates_apart"
    success_keys: ClassVar[tuple[str, ...]] = (
        "column_A",
        "column_B",
        "min_days",
        "max_days",
        "first_format",
        "second_format",
        "ignore_row_if",
        "mostly",
    )
    args_keys: ClassVar[tuple[str, ...]] = ("column_A", "column_B", "min_days", "max_days")
    ignore_row_if: Literal["both_values_are_missing", "either_value_is_missing", "neither"] = (
        "either_value_is_missing"
    )
    min_days: float
    max_days: float
    first_format: str | None = None
    second_format: str | None = None


class ColumnPairNearNeighbours(ColumnPairMapMetricProvider):
    """In which rows the date is near those of the rows before and after."""

    condition_metric_name = "column_pair_values.near_neighbours"
    condition_domain_keys = PAIR
    condition_value_keys = ("days", "second_format")

    @column_pair_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(
        cls, column_A: pd.Series, column_B: pd.Series, days: float, second_format: str | None = None, **_: Any
    ) -> pd.Series:
        far = far_from_neighbours("rows", "a", "b", days, second_format, NEIGHBOURS)
        return ~frame_flags(
            {"a": column_A, "b": column_B},
            f"((t.a::VARCHAR, t.b::VARCHAR) IN (SELECT (f.a, f.b) FROM ({far}) AS f))",
        )

    @column_pair_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(
        cls, column_A: Any, column_B: Any, days: float, second_format: str | None = None, **kwargs: Any
    ) -> Any:
        a, b = identifier(column_A.name), identifier(column_B.name)
        table = rows_of(kwargs["_table"], kwargs["_sqlalchemy_engine"].dialect)
        far = far_from_neighbours(table, a, b, days, second_format, NEIGHBOURS)
        found = f"(({a}::VARCHAR, {b}::VARCHAR) IN (SELECT (f.a, f.b) FROM ({far}) AS f))"
        return sa.literal_column(f"(NOT coalesce({found}, FALSE))")


class ExpectDateNearItsNeighbours(ColumnPairMapExpectation):
    """The date in `column_B` lies at most so many days from the median of its neighbours in the order of the number in `column_A`.

    second_format: of dates that are texts, as strptime has it
    """

    map_metric: ClassVar[str] = "column_pair_values.near_neighbours"
    success_keys: ClassVar[tuple[str, ...]] = (
        "column_A",
        "column_B",
        "days",
        "second_format",
        "ignore_row_if",
        "mostly",
    )
    args_keys: ClassVar[tuple[str, ...]] = ("column_A", "column_B", "days")
    ignore_row_if: Literal["both_values_are_missing", "either_value_is_missing", "neither"] = (
        "either_value_is_missing"
    )
    days: float
    second_format: str | None = None


class ColumnPairPartOfDate(ColumnPairMapMetricProvider):
    """In which rows the second column says the month, weekday or year of the date in the first."""

    condition_metric_name = "column_pair_values.part_of_date"
    condition_domain_keys = PAIR
    condition_value_keys = ("part", "says", "first_format")

    @column_pair_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(
        cls, column_A: pd.Series, column_B: pd.Series, part: str, says: dict[str, str], **kwargs: Any
    ) -> pd.Series:
        return ~frame_flags(
            {"a": column_A, "b": column_B}, other_part("t.a", "t.b", part, says, kwargs.get("first_format"))
        )

    @column_pair_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, column_A: Any, column_B: Any, part: str, says: dict[str, str], **kwargs: Any) -> Any:
        broken = other_part(
            identifier(column_A.name), identifier(column_B.name), part, says, kwargs.get("first_format")
        )
        return sa.literal_column(f"(NOT coalesce({broken}, FALSE))")


class ExpectColumnToSayPartOfDate(ColumnPairMapExpectation):
    """The value in `column_B` is what is said of the month, weekday (Monday is 0), year, day or hour of the date in `column_A`.

    says: column_B's value by the number of the part; other numbers are not judged
    """

    map_metric: ClassVar[str] = "column_pair_values.part_of_date"
    success_keys: ClassVar[tuple[str, ...]] = (
        "column_A",
        "column_B",
        "part",
        "says",
        "first_format",
        "ignore_row_if",
        "mostly",
    )
    args_keys: ClassVar[tuple[str, ...]] = ("column_A", "column_B", "part", "says")
    ignore_row_if: Literal["both_values_are_missing", "either_value_is_missing", "neither"] = (
        "either_value_is_missing"
    )
    part: Literal["month", "weekday", "year", "day", "hour"]
    says: dict[str, str]
    first_format: str | None = None
