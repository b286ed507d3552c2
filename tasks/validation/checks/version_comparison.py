"""Rules across versions: the rows that pass, compared with the last version's facts and rows."""

import datetime as dt
import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from configs.validation import (
    CategoriesConfig,
    DistributionConfig,
    FreshnessConfig,
    VersionComparisonConfig,
    VolumeConfig,
)
from infra.home import Home
from tasks.records import DatasetVersion, RuleOutcome, ValidationBaseline
from tasks.rows.parts import part_paths
from tasks.rows.sql import identifier, open_rows
from tasks.rows.versions import Versions
from tasks.validation.checks.distribution_distance import distance

NOT_COMPARED = ("id", "origin", "origin_line", "origin_content", "split")
"""Columns that name rows, or that stages add."""
EXAMPLES = 3
FIRST = "nothing to compare: no version of other rows comes before"


def compare_versions(
    parts: Sequence[Path], rules: VersionComparisonConfig, before: ValidationBaseline, home: Home | None
) -> list[RuleOutcome]:
    """The outcome of each rule across versions, with both sides' numbers.

    parts: of the rows that pass
    home: has the data repo that knows the last version
    Raises ValueError for a column that the rows do not have.
    """
    if rules == VersionComparisonConfig():
        return []
    found = age(rules.freshness, before)
    if before.last is None or home is None:
        asked = {
            "rows": rules.volume,
            "newest": rules.freshness,
            "distribution": rules.distribution,
            "categories": rules.categories,
        }
        return found + [
            outcome(f"{name}_against_last", rule.severity, True, FIRST)
            for name, rule in asked.items()
            if rule
        ]
    facts = Versions(home.data_repository).facts(before.last.project, before.last.version)
    with open_rows(parts) as connection:
        now = Now(connection, before.last, facts, before.unlabelled)
        found += now.volume(rules.volume) if rules.volume else []
        found += now.freshness(rules.freshness) if rules.freshness and rules.freshness.not_older else []
        found += now.distribution(rules.distribution) if rules.distribution else []
        found += now.categories(rules.categories) if rules.categories else []
    return found


def outcome(rule: str, severity: Any, success: bool, observed: str) -> RuleOutcome:
    """The record of one rule."""
    return RuleOutcome(rule=rule, severity=severity, success=success, observed=observed, unexpected=0)


def age(rule: FreshnessConfig | None, before: ValidationBaseline) -> list[RuleOutcome]:
    """Whether the newest value was young enough when the run started; so a repeated run says the same."""
    if rule is None or rule.hours is None:
        return []
    found = (
        f"newest {before.stale} is more than {rule.hours:g} hours old"
        if before.stale
        else f"at most {rule.hours:g} hours old"
    )
    return [outcome(f"newest_at_most_hours_old({rule.column})", rule.severity, not before.stale, found)]


def too_old(parts: Sequence[Path], rule: FreshnessConfig | None, now: dt.datetime) -> str:
    """The newest value where it is older than a rule allows at this moment, `none` where there is no value.

    Else nothing.
    """
    if rule is None or rule.hours is None:
        return ""
    with open_rows(parts) as connection:
        newest = latest(connection, rule.column)
    if newest is None:
        return "none"
    return "" if now - newest <= dt.timedelta(hours=rule.hours) else moment(newest)


def types(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """DuckDB's type of each column."""
    return {str(name): str(kind) for name, kind, *_ in connection.execute("DESCRIBE rows").fetchall()}


def latest(connection: duckdb.DuckDBPyConnection, column: str) -> dt.datetime | None:
    """The newest moment of a column, UTC; None where it has no value.

    Raises ValueError where it holds no moments.
    """
    kind = column_types(connection, "freshness", column)[column]
    if not kind.startswith(("TIMESTAMP", "DATE", "VARCHAR")):
        raise ValueError(
            f"validation.against_last.freshness.column: {column!r} is {kind.lower()}; name a column of moments or ISO 8601 texts"
        )
    read = f"{identifier(column)}::TIMESTAMPTZ"
    try:
        found = connection.execute(f"SELECT epoch(max({read})) FROM rows").fetchall()[0][0]
    except duckdb.ConversionException as error:
        raise ValueError(
            f"validation.against_last.freshness.column: {column!r} holds what is no moment: {error}"
        ) from None
    return None if found is None else dt.datetime.fromtimestamp(found, dt.UTC)


def column_types(connection: duckdb.DuckDBPyConnection, rule: str, *columns: str) -> dict[str, str]:
    """Types of the rows' columns. Raises ValueError naming the first of `columns` that is none."""
    known = types(connection)
    if missing := next((column for column in columns if column not in known), None):
        raise ValueError(
            f"validation.against_last.{rule}: the rows have no column {missing!r}; they have {', '.join(known)}"
        )
    return known


def moment(when: dt.datetime) -> str:
    """A moment for people."""
    return when.astimezone(dt.UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")


@dataclass(frozen=True)
class Now:
    """The rows that pass, beside the last version."""

    connection: duckdb.DuckDBPyConnection
    last: DatasetVersion
    facts: dict[str, Any]
    unlabelled: str

    def volume(self, rule: VolumeConfig) -> list[RuleOutcome]:
        """The number of rows."""
        rows: int = self.connection.execute("SELECT count(*) FROM rows").fetchall()[0][0]
        change = rows / self.last.rows - 1
        holds = (rule.shrink is None or -change <= rule.shrink) and (rule.grow is None or change <= rule.grow)
        limits = [
            f"{limit:.1%} {word}"
            for limit, word in ((rule.shrink, "fewer"), (rule.grow, "more"))
            if limit is not None
        ]
        allowed = f"; at most {' or '.join(limits)}" if limits else ""
        told = f"{rows} rows, {self.last.tag} has {self.last.rows}: {abs(change):.1%} {'more' if change >= 0 else 'fewer'}{allowed}"
        return [outcome("rows_against_last", rule.severity, holds, told)]

    def freshness(self, rule: FreshnessConfig) -> list[RuleOutcome]:
        """The newest value, against the last version's."""
        name, newest = f"newest_against_last({rule.column})", latest(self.connection, rule.column)
        known = self.facts["columns"].get(rule.column, {}).get("max")
        if known is None:
            return [
                outcome(
                    name,
                    rule.severity,
                    True,
                    f"nothing to compare: {self.last.tag} has no value in {rule.column}",
                )
            ]
        before = dt.datetime.fromisoformat(known)
        before = before if before.tzinfo else before.replace(tzinfo=dt.UTC)
        told = f"newest {moment(newest) if newest else 'none'}, {self.last.tag} has {moment(before)}"
        return [outcome(name, rule.severity, newest is not None and newest >= before, told)]

    def distribution(self, rule: DistributionConfig) -> list[RuleOutcome]:
        """The values of each column."""
        known, named = (
            column_types(self.connection, "distribution", *rule.columns),
            rule.columns or tuple(self.facts["columns"]),
        )
        found = []
        for column in named:
            facts = self.facts["columns"].get(column)
            if not rule.columns and (
                column in NOT_COMPARED
                or column == self.unlabelled
                or facts["type"].startswith(("TIMESTAMP", "DATE"))
            ):
                continue
            name = f"distribution_against_last({column})"
            if column not in known:
                found.append(
                    outcome(name, rule.severity, False, f"the column is gone, {self.last.tag} has it")
                )
            elif (far := self.far(column, facts)) == math.inf:
                found.append(
                    outcome(
                        name,
                        rule.severity,
                        False,
                        f"holds texts that are no numbers, {self.last.tag} has numbers",
                    )
                )
            elif far is not None:
                told = f"distance {far:.3f} from {self.last.tag}, at most {rule.max_distance:g}"
                found.append(outcome(name, rule.severity, far <= rule.max_distance, told))
            elif rule.columns:
                found.append(
                    outcome(
                        name,
                        rule.severity,
                        True,
                        f"nothing to compare: {self.last.tag} keeps no distribution of it",
                    )
                )
        return found

    def far(self, column: str, facts: dict[str, Any] | None) -> float | None:
        """A column's distance.

        None where there is nothing to compare, infinite where numbers became texts.
        """
        try:
            return distance(self.connection, column, facts, self.facts["sampled"]) if facts else None
        except duckdb.ConversionException:
            return math.inf

    def categories(self, rule: CategoriesConfig) -> list[RuleOutcome]:
        """Values that only one side has, each once; the last version's are those of its rows."""
        column_types(self.connection, "categories", *rule.columns)
        parts = part_paths(Path(self.last.uri))
        if not parts:
            raise ValueError(
                f"{self.last.uri}: the rows of {self.last.tag} are gone; `gyre data pull {self.last.project}` lays them out"
            )
        self.connection.read_parquet([str(part) for part in parts], union_by_name=True).create_view(
            "last", replace=True
        )
        return [self.category(rule, column) for column in rule.columns]

    def category(self, rule: CategoriesConfig, column: str) -> RuleOutcome:
        """One column's."""
        name = f"categories_against_last({column})"
        if column not in self.facts["schema"]:
            return outcome(
                name, rule.severity, True, f"nothing to compare: {self.last.tag} has no column {column}"
            )
        new, vanished = self.only("rows", "last", column), self.only("last", "rows", column)
        holds = (rule.new is None or new[0] <= rule.new) and (
            rule.vanished is None or vanished[0] <= rule.vanished
        )
        told = [
            f"{count} {word}{such}{'' if most is None else f', at most {most}'}"
            for (count, such), word, most in ((new, "new", rule.new), (vanished, "vanished", rule.vanished))
        ]
        return outcome(name, rule.severity, holds, f"{'; '.join(told)}; against {self.last.tag}")

    def only(self, one: str, other: str, column: str) -> tuple[int, str]:
        """How many different values of a column one view has and the other has not, and some of them."""
        values = [
            f"SELECT DISTINCT {identifier(column)}::VARCHAR AS v FROM {view} WHERE v IS NOT NULL"
            for view in (one, other)
        ]
        query = f"SELECT count(*), list(v ORDER BY v)[:{EXAMPLES}] FROM ({values[0]} EXCEPT {values[1]})"
        count, some = self.connection.execute(query).fetchall()[0]
        return (
            int(count),
            f" ({', '.join(f'{value!s:.40}' for value in some)}{', ...' if count > EXAMPLES else ''})"
            if count
            else "",
        )


def section(outcomes: Sequence[RuleOutcome]) -> str:
    """The outcomes as a part of the Data Docs page, HTML; nothing where there are none."""
    if not outcomes:
        return ""
    cells = [(each.rule, each.severity, "yes" if each.success else "no", each.observed) for each in outcomes]
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in cells
    )
    head = "<tr><th>rule</th><th>severity</th><th>holds</th><th>found</th></tr>"
    return f'<div class="container-fluid"><h4>Against the last version</h4><table class="table">{head}{lines}</table></div>'
