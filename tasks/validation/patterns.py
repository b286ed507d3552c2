"""How the texts of a column are written, learned as a regular expression that Python's `re` and RE2 read alike.

Three views of a text, from strict to lax: its exact make-up (`12 patients` is digits, a blank and the word `patients`), the kinds of
its words whatever their number, and its characters. Whether a view holds for texts that were not seen is for the caller to check.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

Counts = Mapping[str, int]
"""Texts of a column and how many rows have each."""
Learner = Callable[[Counts], str | None]
KINDS = {
    "digits": r"[0-9]+",
    "capitalised": r"[A-Z][a-z]+",
    "lower": r"[a-z]+",
    "capital": r"[A-Z]",
    "upper": r"[A-Z]{2,}",
    "other": r"[^\x00-\x7F]+",
}
RUNS = re.compile(r"[0-9]+|[A-Z][a-z]+|[a-z]+|[A-Z]+|[^\x00-\x7F]+|[\x00-/:-@\[-`{-\x7F]")
SHAPES = 12
"""A column written in more ways than this has no exact make-up."""
WORDS = 24
"""A place in a text with more words than this is free."""
ENOUGH = 20
"""Rows without which nothing is learned about a place in a text."""
UNSEEN = 0.002
"""Share of rows with a value seen once, which estimates (Good, 1953) the share of rows whose value was never seen."""


def make_up(counts: Counts) -> str | None:
    """An expression with an alternative for each sequence of runs; None where there are too many."""
    shapes: dict[tuple[str, ...], list[tuple[list[str], int]]] = defaultdict(list)
    for text, rows in counts.items():
        runs = RUNS.findall(text)
        shapes[tuple(map(kind, runs))].append((runs, rows))
    if not shapes or len(shapes) > SHAPES or max(map(len, shapes)) > WORDS:
        return None
    return whole("|".join(sorted(shape_of(kinds, found) for kinds, found in shapes.items())))


def shape_of(kinds: tuple[str, ...], found: list[tuple[list[str], int]]) -> str:
    """The expression of texts with the same sequence of runs."""
    places = [Counter[str]() for _ in kinds]
    for runs, rows in found:
        for place, run in zip(places, runs, strict=True):
            place[run] += rows
    return "".join(place_of(name, place) for name, place in zip(kinds, places, strict=True))


def place_of(name: str, found: Counter[str]) -> str:
    """The expression of one run: its words where there are few, digits by their number, else its kind."""
    if name not in KINDS:
        return re.escape(name)
    lengths = {len(run) for run in found}
    if name == "digits":
        return rf"[0-9]{bounds(lengths)}" if found.total() >= ENOUGH else KINDS[name]
    if closed(found) and len(found) <= WORDS:
        return alternatives(found)
    return rf"[A-Z]{bounds(lengths)}" if name == "upper" and found.total() >= ENOUGH else KINDS[name]


def closed(found: Counter[str]) -> bool:
    """Whether hardly a row has a value that was never seen."""
    once = sum(rows == 1 for rows in found.values())
    return found.total() >= ENOUGH and once <= UNSEEN * found.total()


def alternatives(words: Counter[str]) -> str:
    """One of several words."""
    escaped = sorted(map(re.escape, words))
    return escaped[0] if len(escaped) == 1 else f"(?:{'|'.join(escaped)})"


def bounds(lengths: set[int]) -> str:
    """A repetition."""
    low, high = min(lengths), max(lengths)
    return f"{{{low}}}" if low == high else f"{{{low},{high}}}"


def word_kinds(counts: Counts) -> str | None:
    """An expression of words of the kinds seen, in any number, with the signs seen between them."""
    words, signs = Counter[str](), Counter[str]()
    edges = [False, False]
    for text, rows in counts.items():
        runs = [kind(run) for run in RUNS.findall(text)]
        words.update({name: rows for name in runs if name in KINDS})
        signs.update({name: rows for name in runs if name not in KINDS})
        edges = [edges[0] or runs[:1] != [name for name in runs[:1] if name in KINDS], edges[1] or runs[-1:] != [
            name for name in runs[-1:] if name in KINDS]]
    if not words:
        return None
    word = f"(?:{'|'.join(sorted(KINDS[name] for name in words))})"
    if not signs:
        return whole(f"{word}+")
    sign = character_class(signs)
    start, end = (f"{sign}*" if edge else "" for edge in edges)
    return whole(f"{start}{word}(?:{sign}*{word})*{end}")


def characters(counts: Counts) -> str | None:
    """An expression of the characters seen, letters and digits by their kind."""
    seen = set("".join(counts))
    classes = [("0-9", str.isdigit), ("a-z", str.islower), ("A-Z", str.isupper)]
    parts = [name for name, holds in classes if any(holds(character) for character in seen if character.isascii())]
    if any(not character.isascii() for character in seen):
        parts.append(r"^\x00-\x7F"[1:].replace(r"\x00-\x7F", r"\x80-\U0010FFFF"))
    signs = sorted(character for character in seen if character.isascii() and not character.isalnum())
    if not parts and not signs:
        return None
    return whole(f"[{''.join(parts)}{''.join(map(escaped_in_class, signs))}]*")


def character_class(signs: Counter[str]) -> str:
    """Any of several characters."""
    return f"[{''.join(map(escaped_in_class, sorted(signs)))}]"


def escaped_in_class(sign: str) -> str:
    """A sign as a character class has it in both languages."""
    return f"\\x{ord(sign):02x}" if not sign.isprintable() else f"\\{sign}" if sign in "\\]^-[&~|" else sign


def kind(run: str) -> str:
    """The kind of a run; a sign is its own."""
    if run.isascii() and not run.isalnum():
        return run
    if not run.isascii():
        return "other"
    if run.isdigit():
        return "digits"
    if run.islower():
        return "lower"
    if run.isupper():
        return "capital" if len(run) == 1 else "upper"
    return "capitalised"


def whole(expression: str) -> str:
    """An expression of the whole text."""
    return f"^(?:{expression})$" if "|" in expression else f"^{expression}$"


LEARNERS: tuple[Learner, ...] = (make_up, word_kinds, characters)
