"""A suite of expectations proposed from rows, for a person to read, change and put into the project's YAML."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from configs.validation import ExpectationConfig
from tasks.validation.proposal import rules, suspicious_values
from tasks.validation.proposal.column import Column, near_misses
from tasks.validation.proposal.date_rules import order_rules
from tasks.validation.proposal.dependencies import Dependency, Structure, structure
from tasks.validation.proposal.holdout import holdouts, upper
from tasks.validation.proposal.profile import ADDED, Profile, kinds, open_placed_rows, profile
from tasks.validation.proposal.report import Declined, Proposal, Proposed
from tasks.validation.proposal.sample import Mask, Sample, sample_rows

WRITTEN_BY_GYRE = ("origin", "origin_line", "origin_content", "split")
"""Columns that stages add; they are no part of the data."""
FEWEST = 20
"""Rows from which something can be learned."""


def propose(
    rows: pd.DataFrame | pa.Table | Sequence[Path],
    ignore: Sequence[str] = WRITTEN_BY_GYRE,
    label: str | None = None,
) -> Proposal:
    """Expectations that nearly all good rows like these meet, from a frame, a table or the Parquet parts of a version.

    Each was learned from one half of the rows, and of the keys, and tried on the other; rows that look wrong
    are left out of it.
    label: the column to predict; what determines it, or what it determines, is no rule but gives it away
    Raises ValueError where there are too few rows.
    """
    with open_placed_rows(rows) as connection:
        there: int = connection.execute("SELECT count(*) FROM rows").fetchall()[0][0]
        if there < FEWEST:
            raise ValueError(f"{there} rows: too few to propose rules from; give at least {FEWEST}")
        profiles = [profile(connection, name, kind) for name, kind in kinds(connection, ignore).items()]
        sample = sample_rows(connection, [each.name for each in profiles], there)
        known = structure(sample, profiles, label)
        found = list(suite(connection, profiles, sample, known, ignore, label))
    proposed = tuple(each for each in found if isinstance(each, Proposed))
    declined = tuple(each for each in found if isinstance(each, Declined))
    return Proposal(there, proposed, declined, tuple(leaks(known, label)))


def suite(
    connection: duckdb.DuckDBPyConnection,
    profiles: list[Profile],
    sample: Sample,
    known: Structure,
    ignore: Sequence[str],
    label: str | None,
) -> Iterator[Proposed | Declined]:
    """Rules about the table, each column, and columns together."""
    names = [
        row[0] for row in connection.execute("DESCRIBE rows").fetchall() if row[0] not in (*ignore, *ADDED)
    ]
    columns = ExpectationConfig(
        type="expect_table_columns_to_match_set",
        severity="fail",
        kwargs={"column_set": names, "exact_match": False},
    )
    yield Proposed(columns, f"{len(names)} columns")
    tried = holdouts(sample, known.groups)
    judged = judgements(sample, known)
    misplaced = suspicious_values.misplaced_values(
        {each.name: each.values for each in profiles if each.kind == "text" and each.complete}
    )
    for each in profiles:
        misses = near_misses(each, connection)
        yield from rules.rules(
            Column(each, sample, tried, known, *judged[each.name], misses, misplaced.get(each.name, set()))
        )
    yield from map(determines, known.dependencies)
    yield from refused_dependencies(known)
    yield from order_rules(sample, profiles, tried, label)


def refused_dependencies(known: Structure) -> Iterator[Declined]:
    """What is said about dependencies that are none, those of a column that have one reason together."""
    together = dict[tuple[str, str], list[str]]()
    for each in known.refused:
        together.setdefault((each.column, each.why), []).append(each.other)
    for (column, why), others in together.items():
        yield Declined(column, f"that it determines {', '.join(others)}: {why}")


def judgements(sample: Sample, known: Structure) -> dict[str, tuple[Mask, Mask]]:
    """By column: the sampled rows [rows] whose value the other rows of their key contradict, and those whose value they share."""
    found = {
        name: (np.zeros(sample.rows, dtype=bool), np.zeros(sample.rows, dtype=bool)) for name in sample.codes
    }
    for pair in known.dependencies:
        keys, values = sample.codes[pair.column], sample.codes[pair.other]
        says = np.append(pair.says, -1)[keys]
        there = (says >= 0) & (values >= 0)
        contradicted, confirmed = found[pair.other]
        contradicted |= there & (values != says)
        confirmed |= there & (values == says)
    return found


def determines(pair: Dependency) -> Proposed:
    """The rule that rows with one value have one value of another column."""
    kwargs = {"column_A": pair.column, "column_B": pair.other}
    against = pair.wrong + pair.slips
    most = upper(against, pair.covered - pair.keys + against)
    evidence = f"{pair.keys} values of {pair.column}, {pair.covered} rows of theirs: {against} contradict; at most {most:.1%} (95 %)"
    return Proposed(
        ExpectationConfig(
            type="tasks.validation.checks.expectations:ExpectColumnToDetermineAnother", kwargs=kwargs
        ),
        evidence,
    )


def leaks(known: Structure, label: str | None) -> Iterator[str]:
    """What gives the label away, a sentence each."""
    for other in dict.fromkeys(pair.column if pair.other == label else pair.other for pair in known.leaks):
        yield f"{other} and the label {label} determine each other's value: it gives the label away; leave it out of the intake"
