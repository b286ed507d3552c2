"""Gyre's own expectations, for what Great Expectations has no rule for; the YAML names them by import path.

Each is one SQL condition, which DuckDB answers on either of the engines: in place on the SQL engine, on a frame in memory on pandas.
"""

from typing import Any, ClassVar, Literal

import duckdb
import pandas as pd
import sqlalchemy as sa
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation, ColumnPairMapExpectation
from great_expectations.expectations.metrics.map_metric_provider.column_condition_partial import column_condition_partial
from great_expectations.expectations.metrics.map_metric_provider.column_map_metric_provider import ColumnMapMetricProvider
from great_expectations.expectations.metrics.map_metric_provider.column_pair_condition_partial import column_pair_condition_partial
from great_expectations.expectations.metrics.map_metric_provider.column_pair_map_metric_provider import ColumnPairMapMetricProvider

from tasks.validation.conditions import misspelt, quoted, told


def frame_flags(columns: dict[str, pd.Series], condition: str) -> pd.Series:
    """Whether a SQL condition is true of each row of a frame."""
    frame = pd.DataFrame({name: values.reset_index(drop=True) for name, values in columns.items()})
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.register("rows", frame.assign(place=range(len(frame))))
        found = connection.execute(f"SELECT coalesce({condition}, FALSE) AS broken FROM rows AS t ORDER BY place").df()  # noqa: S608
    series = next(iter(columns.values()))
    return pd.Series(found["broken"].to_numpy(dtype=bool), index=series.index)


class ColumnValuesMisspelt(ColumnMapMetricProvider):
    """Which values are no misspellings."""

    condition_metric_name = "column_values.not_misspelt"
    condition_value_keys = ("value_set",)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, value_set: list[str], **_: Any) -> pd.Series:  # noqa: N805
        distinct = pd.Series(column.astype(str).unique())
        broken = distinct[frame_flags({"v": distinct}, misspelt("v", value_set))]
        return ~column.astype(str).isin(broken)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: Any, value_set: list[str], **_: Any) -> Any:  # noqa: N805
        return sa.literal_column(f"NOT ({misspelt(quoted(column.name) + '::VARCHAR', value_set)})")


class ExpectColumnValuesNotToBeMisspelt(ColumnMapExpectation):
    """No value is almost, but not quite, one of `value_set`: new values are welcome, slips of the pen are not."""

    map_metric: ClassVar[str] = "column_values.not_misspelt"
    success_keys: ClassVar[tuple[str, ...]] = ("value_set", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column", "value_set")
    value_set: list[str]


def rows_of(selectable: Any, dialect: Any) -> str:
    """The rows that Great Expectations judges, a table or a query, as SQL has them after FROM."""
    query = selectable if isinstance(selectable, sa.Select) else sa.select(sa.text("*")).select_from(selectable)
    return f"({query.compile(dialect=dialect, compile_kwargs={'literal_binds': True})})"


class ColumnPairDetermined(ColumnPairMapMetricProvider):
    """In which rows the second column is what the first one says."""

    condition_metric_name = "column_pair_values.determined"
    condition_domain_keys = ("batch_id", "table", "column_A", "column_B", "row_condition", "condition_parser", "ignore_row_if")
    condition_value_keys = ("known",)

    @column_pair_condition_partial(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(cls, column_A: pd.Series, column_B: pd.Series, known: dict[str, str] | None = None, **_: Any) -> pd.Series:  # noqa: N803, N805
        right = told("rows", "a", "b", known or {})
        condition = f"(SELECT any_value(m.b) FROM ({right}) AS m WHERE m.a = t.a::VARCHAR) <> t.b::VARCHAR"  # noqa: S608
        return ~frame_flags({"a": column_A, "b": column_B}, condition)

    @column_pair_condition_partial(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, column_A: Any, column_B: Any, known: dict[str, str] | None = None, **kwargs: Any) -> Any:  # noqa: N803, N805
        a, b = quoted(column_A.name), quoted(column_B.name)
        right = told(rows_of(kwargs["_table"], kwargs["_sqlalchemy_engine"].dialect), a, b, known or {})
        pairs = f"SELECT m.a FROM ({right}) AS m"  # noqa: S608
        judged = f"({a}::VARCHAR IN ({pairs}))"
        equal = f"(({a}::VARCHAR, {b}::VARCHAR) IN (SELECT (m.a, m.b) FROM ({right}) AS m))"  # noqa: S608
        return sa.literal_column(f"(coalesce(NOT {judged}, TRUE) OR coalesce({equal}, TRUE))")


class ExpectColumnToDetermineAnother(ColumnPairMapExpectation):
    """Rows with one value of `column_A` have one value of `column_B`, as a zip code has one city; the flagged value is column_B's.

    known: what column_B is for values of column_A; for others it is what most of their rows say, from three rows on
    """

    map_metric: ClassVar[str] = "column_pair_values.determined"
    success_keys: ClassVar[tuple[str, ...]] = ("column_A", "column_B", "known", "ignore_row_if", "mostly")
    args_keys: ClassVar[tuple[str, ...]] = ("column_A", "column_B", "known")
    ignore_row_if: Literal["both_values_are_missing", "either_value_is_missing", "neither"] = "either_value_is_missing"
    known: dict[str, str] | None = None
