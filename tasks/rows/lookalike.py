"""The name that somebody may have meant."""

import difflib
from collections.abc import Iterable


def lookalike(column: str, others: Iterable[str]) -> str | None:
    """The name most like another one, but for signs, case and a few letters; None where none is."""
    plain = {"".join(filter(str.isalnum, other)).casefold(): other for other in others}
    found = difflib.get_close_matches(
        "".join(filter(str.isalnum, column)).casefold(), plain, n=1, cutoff=0.75
    )
    return plain[found[0]] if found else None
