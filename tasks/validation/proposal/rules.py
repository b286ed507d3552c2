"""Rules about one column, learned from its values and kept only where what one half of the rows teaches holds for the other half.

So a rule says how new rows will look, not how the old ones happened to: a set of values that still grows is
no set, and a set that whole new keys go beyond, such as the names of the shops so far, is none either.
"""

import math
from collections.abc import Iterator

from tasks.validation.proposal.column import Column, Found, expectation
from tasks.validation.proposal.number_rules import range_rules
from tasks.validation.proposal.profile import Profile
from tasks.validation.proposal.report import Proposed
from tasks.validation.proposal.text_rules import text_rules

MISSING_MARGIN = 1.5
"""How many times as many missing values are still ordinary."""


def rules(column: Column) -> Found:
    """The expectations about one column."""
    profile = column.profile
    yield from missing_rules(profile)
    if profile.missing == profile.rows:
        return
    if profile.unique and (profile.kind in ("integer", "text")) and is_key(profile):
        yield Proposed(expectation("unique", profile.name), f"{profile.rows} rows, none twice")
    if profile.kind in ("integer", "number"):
        yield from range_rules(column)
    elif profile.kind == "timestamp":
        yield Proposed(
            expectation("values_to_be_between", profile.name, min_value=str(profile.low)),
            f"{profile.rows} rows, none before; no end",
        )
    elif profile.kind == "text":
        yield from text_rules(column)


def missing_rules(profile: Profile) -> Iterator[Proposed]:
    """Whether values may be missing: never where none is; otherwise not many more than now.

    Where all are, the first values that come are told of.
    """
    rows, missing = profile.rows, profile.missing
    if not missing:
        yield Proposed(expectation("values_to_not_be_null", profile.name), f"{rows} rows, none missing")
    elif missing < rows:
        most = 1 - min(1.0, MISSING_MARGIN * missing / rows + 0.01)
        if most > 0:
            rule = expectation(
                "values_to_not_be_null", profile.name, "warn", mostly=math.floor(most * 1000) / 1000
            )
            yield Proposed(rule, f"{missing} of {rows} rows missing")
    else:
        yield Proposed(expectation("null", profile.name, "warn"), f"{rows} rows, all missing")


def is_key(profile: Profile) -> bool:
    """Whether unique values look meant to be: whole numbers, or texts of one length or without blanks."""
    return (
        profile.kind == "integer"
        or profile.low == profile.high
        or not any(" " in text for text in profile.values)
    )
