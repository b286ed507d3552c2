"""The name that somebody may have meant, and names that are one."""

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable

LETTERS = 2
"""Pairs of single letters in two cases, at most, that are taken for one class each.

More of them are an alphabet.
"""


def lookalike(column: str, others: Iterable[str]) -> str | None:
    """The name most like another one, but for signs, case and a few letters; None where none is."""
    plain = {"".join(filter(str.isalnum, other)).casefold(): other for other in others}
    found = difflib.get_close_matches(
        "".join(filter(str.isalnum, column)).casefold(), plain, n=1, cutoff=0.75
    )
    return plain[found[0]] if found else None


def spellings_of_one(names: Iterable[str]) -> list[list[str]]:
    """Names that differ only in case, blanks, underscores or hyphens, those of one thing together.

    Other signs tell C from C++.
    """
    alike = defaultdict(list)
    for name in names:
        alike[re.sub(r"[\s_-]+", " ", name).strip().casefold()].append(name)
    found = {plain: spelt for plain, spelt in alike.items() if len(spelt) > 1}
    letters = {plain for plain in found if len(plain) == 1}
    return [spelt for plain, spelt in found.items() if plain not in letters or len(letters) <= LETTERS]
