"""The YAML's expectations as a Great Expectations suite, run on Parquet parts.

An expectation that Great Expectations does not know, or whose arguments do not fit, is an error before any
row is read. One that raises while it runs is a broken rule that says so, never one that holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from configs.validation import ExpectationConfig, ValidationConfig
from infra.imports import resolve
from tasks.records import RuleOutcome
from tasks.validation.checks.engine import TABLE, Rows, prepare

EXAMPLES = 20
"""Values shown of those that break a rule."""
NUMBER = "number"
"""Key in an expectation's meta under which its place in the YAML comes back; results come in another order.
"""


@dataclass(frozen=True)
class Checked:
    """One expectation's outcome and the rows that it sets apart."""

    outcome: RuleOutcome
    query: str | None
    """SQL that finds the `id` of every row that breaks it; None for a rule about the whole table, and where
    it holds (`mostly` may tolerate rows)."""
    raised: bool
    """Whether it could not be checked at all."""


def build_suite(validation: ValidationConfig) -> Any:
    """A great_expectations.ExpectationSuite.

    Raises ValueError naming the expectation, the argument, its value and what is allowed.
    """
    import great_expectations as gx

    rules = [rule(number, expectation) for number, expectation in enumerate(validation.expectations)]
    return gx.ExpectationSuite(name="project", expectations=rules)


def rule(number: int, expectation: ExpectationConfig) -> Any:
    """One expectation of Great Expectations. Raises ValueError."""
    from great_expectations.compatibility.pydantic import ValidationError
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation import Expectation as Base
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    place = f"validation.expectations[{number}]: {expectation.type}"
    prepare()
    try:
        kind = (
            resolve(expectation.type) if ":" in expectation.type else get_expectation_impl(expectation.type)
        )
    except ExpectationNotFoundError:
        near = get_close_matches(expectation.type, list_registered_expectation_implementations(), n=3)
        hint = (
            f"; did you mean {' or '.join(near)}?"
            if near
            else "; see https://greatexpectations.io/expectations"
        )
        raise ValueError(f"{place}: Great Expectations has no such expectation{hint}") from None
    allowed = [name for name in kind.__fields__ if name not in Base.__fields__ and name != "batch_id"]
    if strange := [name for name in expectation.kwargs if name not in allowed]:
        raise ValueError(f"{place}: unknown argument {strange[0]!r}; it takes {', '.join(allowed)}")
    try:
        return kind(**expectation.kwargs, meta={NUMBER: number})
    except ValidationError as error:
        raise ValueError(
            f"{place}: {explain_problems(error.errors(), expectation.kwargs)}; it takes {', '.join(allowed)}"
        ) from None


def explain_problems(problems: Sequence[Mapping[str, Any]], kwargs: dict[str, Any]) -> str:
    """Pydantic's problems in a line, the first of each argument.

    Those of the whole only where no argument is at fault.
    """
    reasons: dict[str, str] = {}
    for problem in problems:
        name = str(problem["loc"][0])
        value = f" {kwargs[name]!r:.80}" if name in kwargs else ""
        reasons.setdefault(name, f"{name}{value}: {problem['msg']}" if name != "__root__" else problem["msg"])
    whole = reasons.pop("__root__", "")
    return "; ".join(reasons.values()) or whole


def run_suite(suite: Any, rows: Rows) -> dict[str, Any]:
    """Great Expectations' result of a suite, in plain JSON values.

    First every rule is counted, in few queries; then the rows that break one are asked for, of the broken
    rules alone.
    """
    import great_expectations as gx

    result = rows.validate(suite, result_format="BASIC", partial_unexpected_count=0)
    broken = [
        number_of(found)
        for found in result["results"]
        if found["result"].get("unexpected_count") or exception(found["exception_info"])
    ]
    again = gx.ExpectationSuite(
        name="broken", expectations=[rule for rule in suite.expectations if rule.meta[NUMBER] in broken]
    )
    if broken:
        asked = rows.validate(
            again,
            result_format="COMPLETE",
            unexpected_index_column_names=["id"],
            partial_unexpected_count=EXAMPLES,
        )
        details = {number_of(found): found for found in asked["results"]}
        result["results"] = [details.get(number_of(found), found) for found in result["results"]]
    result["results"].sort(key=number_of)
    return result


def number_of(found: dict[str, Any]) -> int:
    """A result's place in the YAML."""
    return int(found["expectation_config"]["meta"][NUMBER])


def outcomes_of(result: dict[str, Any], validation: ValidationConfig) -> list[Checked]:
    """The outcomes in the order of the YAML."""
    return [
        outcome(expectation, found)
        for expectation, found in zip(validation.expectations, result["results"], strict=True)
    ]


def outcome(expectation: ExpectationConfig, found: dict[str, Any]) -> Checked:
    """One expectation's outcome from its plain result."""
    values, error = found["result"], exception(found["exception_info"])
    record = RuleOutcome(
        rule=title(expectation),
        severity=expectation.severity,
        success=bool(found["success"]) and error is None,
        observed=describe_observed(values) if error is None else f"could not be checked: {error}",
        unexpected=values.get("unexpected_count") or 0,
    )
    return Checked(
        record, None if record.success or error else broken_rows(expectation, values), error is not None
    )


def broken_rows(expectation: ExpectationConfig, values: dict[str, Any]) -> str | None:
    """A query for the `id` of every row that breaks a rule; None for a rule about the whole table."""
    query = values.get("unexpected_index_query") or expectation.kwargs.get("unexpected_rows_query")
    return str(query).replace("{batch}", TABLE) if query else None


def title(expectation: ExpectationConfig) -> str:
    """An expectation and its columns, such as `expect_column_values_to_be_between(brightness)`."""
    kwargs = expectation.kwargs
    columns = [kwargs[name] for name in ("column", "column_A", "column_B") if name in kwargs] + list(
        kwargs.get("column_list", [])
    )
    return f"{expectation.type}({', '.join(map(str, columns))})" if columns else expectation.type


def describe_observed(values: dict[str, Any]) -> str:
    """What was found, for people.

    The value of a whole table or column, or how many rows break the rule, with examples.
    """
    if "observed_value" in values:
        value = values["observed_value"]
        return f"{value:.4g}" if isinstance(value, float) else f"{value!s:.200}"
    count, found = values.get("unexpected_count", 0), values.get("partial_unexpected_list", [])
    examples = [value for value in found if value is not None][:3]
    such = f", such as {', '.join(f'{value:.4g}' if isinstance(value, float) else f'{value!s:.40}' for value in examples)}"
    return f"{count} of {values.get('element_count', 0)} rows{such if examples else ''}"


def exception(info: dict[str, Any]) -> str | None:
    """The message of what an expectation raised (its info is one, or one a metric).

    None where it raised nothing.
    """
    infos = [info] if "raised_exception" in info else list(info.values())
    return next((found["exception_message"] for found in infos if found.get("raised_exception")), None)
