"""Metrics that Great Expectations takes in place of its own where rows are in DuckDB. Importing this registers them."""

import logging
from typing import Any

import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.core.expect_column_values_to_be_unique import (
    ExpectColumnValuesToBeUnique as Unique,
)
from great_expectations.expectations.metrics.column_aggregate_metrics.column_quantile_values import (
    ColumnQuantileValues,
)
from great_expectations.expectations.metrics.column_map_metrics.column_values_match_regex import (
    ColumnValuesMatchRegex,
)
from great_expectations.expectations.metrics.column_map_metrics.column_values_match_regex_list import (
    ColumnValuesMatchRegexList,
)
from great_expectations.expectations.metrics.column_map_metrics.column_values_not_match_regex import (
    ColumnValuesNotMatchRegex,
)
from great_expectations.expectations.metrics.column_map_metrics.column_values_not_match_regex_list import (
    ColumnValuesNotMatchRegexList,
)
from great_expectations.expectations.metrics.map_metric_provider.column_condition_partial import (
    column_condition_partial,
)
from great_expectations.expectations.metrics.map_metric_provider.column_map_metric_provider import (
    ColumnMapMetricProvider,
)
from great_expectations.expectations.metrics.metric_provider import metric_value

# It warns of every metric that is registered in place of another, which is what is meant here.
logging.getLogger("great_expectations.expectations.registry").setLevel(logging.ERROR)


def found(column: Any, regex: str) -> Any:
    """Whether a regular expression (RE2) is found anywhere in a text, as on Great Expectations' other engines."""
    return sa.func.regexp_matches(sa.cast(column, sa.String), regex)


class MatchRegex(ColumnValuesMatchRegex):
    """Texts in which the regular expression is found."""

    condition_metric_name = "column_values.match_regex"
    condition_value_keys = ("regex",)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: Any, regex: Any, _dialect: Any, **_: Any) -> Any:  # noqa: N805 - Great Expectations calls it with the class
        return found(column, regex)


class NotMatchRegex(ColumnValuesNotMatchRegex):
    """Texts in which it is not found."""

    condition_metric_name = "column_values.not_match_regex"
    condition_value_keys = ("regex",)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: Any, regex: Any, _dialect: Any, **_: Any) -> Any:  # noqa: N805 - Great Expectations calls it with the class
        return sa.not_(found(column, regex))


class MatchRegexList(ColumnValuesMatchRegexList):
    """Texts in which any, or all, of several are found."""

    condition_metric_name = "column_values.match_regex_list"
    condition_value_keys = ("regex_list", "match_on")

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: Any, regex_list: Any, match_on: Any, _dialect: Any, **_: Any) -> Any:  # noqa: N805 - Great Expectations calls it with the class
        every = [found(column, regex) for regex in regex_list]
        return sa.and_(*every) if match_on == "all" else sa.or_(*every)


class NotMatchRegexList(ColumnValuesNotMatchRegexList):
    """Texts in which none of several is found."""

    condition_metric_name = "column_values.not_match_regex_list"
    condition_value_keys = ("regex_list",)

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: Any, regex_list: Any, _dialect: Any, **_: Any) -> Any:  # noqa: N805 - Great Expectations calls it with the class
        return sa.not_(sa.or_(*(found(column, regex) for regex in regex_list)))


class QuantileValues(ColumnQuantileValues):
    """The value nearest to each quantile, as on pandas.

    SQL's own discrete quantiles are the next larger ones.
    """

    metric_name = "column.quantile_values"
    value_keys = ("quantiles", "allow_relative_error")

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,  # noqa: N805 - Great Expectations calls it with the class
        execution_engine: Any,
        metric_domain_kwargs: Any,
        metric_value_kwargs: Any,
        metrics: Any,
        runtime_configuration: Any,
    ) -> Any:
        table, _, accessor = execution_engine.get_compute_domain(
            metric_domain_kwargs, domain_type=MetricDomainTypes.COLUMN
        )
        value: Any = sa.column(accessor["column"])
        rows = execution_engine.execute_query(sa.select(sa.func.count(value)).select_from(table)).scalar()
        if not rows:
            return [None] * len(metric_value_kwargs["quantiles"])
        # DuckDB takes the row ceil(q * rows) - 1; half a row keeps the wanted one clear of rounding.
        places = [
            (round(quantile * (rows - 1)) + 0.5) / rows for quantile in metric_value_kwargs["quantiles"]
        ]
        asked = sa.select(
            *(sa.func.quantile_disc(value, sa.literal_column(repr(place))) for place in places)
        ).select_from(table)
        return list(execution_engine.execute_query(asked).fetchone())


class ValuesUnique(ColumnMapMetricProvider):
    """Values that no other row has.

    A hash of the repeated ones is made once, and every row looked up in it.
    """

    condition_metric_name = "column_values.alone"

    @column_condition_partial(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(cls, column: Any, _table: Any, **_: Any) -> Any:  # noqa: N805 - Great Expectations calls it with the class
        value: Any = sa.column(column.name)
        repeated = (
            sa.select(value)
            .select_from(_table)
            .where(value.isnot(None))
            .group_by(value)
            .having(sa.func.count() > 1)
        )
        return column.notin_(repeated)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: Any, **_: Any) -> Any:  # noqa: N805 - Great Expectations calls it with the class
        return ~column.duplicated(keep=False)


class ExpectColumnValuesToBeUnique(Unique):
    """Great Expectations' own, counted by the metric above."""

    map_metric = "column_values.alone"
