"""How the texts of a column are written, learned as a regular expression that Python's `re` and RE2 read alike.

Three views of a text, from strict to lax: its exact make-up (`12 patients` is digits, a blank and the word
`patients`), the kinds of its words whatever their number, and its characters. Whether a view holds for texts
that were not seen is for the caller to check.
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
PLAIN_NUMBER = r"^[+\-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+\-]?[0-9]+)?$"
SHAPES = 12
"""A column written in more ways than this has no exact make-up."""
WORDS = 24
"""A place in a text with more words than this is free."""
ENOUGH = 20
"""Rows without which nothing is learned about a place in a text."""
WORD_OR_SIGN = re.compile(r"((?:[0-9A-Za-z]|[^\x00-\x7F])+)|([\x00-/:-@\[-`{-\x7F])")
UNSEEN = 0.002
"""Share of rows with a value seen once, which estimates (Good, 1953) the share of rows whose value was never
seen."""


def make_up(counts: Counts) -> str | None:
    """An expression with an alternative for each sequence of runs; None where there are too many."""
    shapes: dict[tuple[str, ...], list[tuple[list[str], int]]] = defaultdict(list)
    for text, rows in counts.items():
        runs = RUNS.findall(text)
        shapes[tuple(map(kind, runs))].append((runs, rows))
    if not shapes or len(shapes) > SHAPES or max(map(len, shapes)) > WORDS:
        return None
    return whole_expression("|".join(sorted(shape_of(kinds, found) for kinds, found in shapes.items())))


def shape(text: str) -> tuple[str, ...]:
    """The kinds of a text's runs."""
    return tuple(map(kind, RUNS.findall(text)))


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
    if is_closed(found) and len(found) <= WORDS:
        return alternatives(found)
    return rf"[A-Z]{bounds(lengths)}" if name == "upper" and found.total() >= ENOUGH else KINDS[name]


def is_closed(found: Counter[str]) -> bool:
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


def number(counts: Counts) -> str | None:
    """An expression of numbers, with a fraction or without, where all texts are such; None elsewhere."""
    return PLAIN_NUMBER if counts and all(re.match(PLAIN_NUMBER, text) for text in counts) else None


def word_kinds(counts: Counts) -> str | None:
    """An expression of words of the makes seen, in any number, with the signs seen between them.

    None where words have too many makes.

    Where there are words of letters there may be two of them. Two words have a sign between them, so that a
    text is matched in one
    way: time grows with its length alone.
    """
    makes, signs = set[str](), set[str]()
    for text in counts:
        for word, sign in WORD_OR_SIGN.findall(text):
            signs |= {sign} - {""}
            makes |= {"".join(KINDS[kind(run)] for run in RUNS.findall(word))} - {""}
    if not makes or len(makes) > WORDS:
        return None
    word = f"(?:{'|'.join(sorted(makes))})"
    signs |= {" "} if any(make in makes for make in (KINDS["lower"], KINDS["capitalised"])) else set()
    if not signs:
        return whole_expression(word)
    sign = f"[{''.join(map(escaped_in_class, sorted(signs)))}]"
    start = f"{sign}*" if any(not text[:1].isalnum() for text in counts) else ""
    end = f"{sign}*" if any(not text[-1:].isalnum() for text in counts) else ""
    optional = "?" if any(not WORD_OR_SIGN.sub(r"\1", text) for text in counts) else ""
    return f"^{start}(?:{word}(?:{sign}+{word})*{end}){optional}$"


def characters(counts: Counts) -> str | None:
    """An expression of the characters seen, letters and digits by their kind."""
    seen = sorted(set("".join(counts)))
    ascii_letters = "".join(character for character in seen if character.isascii() and character.isalnum())
    ranges = [written for written in ("0-9", "a-z", "A-Z") if re.search(f"[{written}]", ascii_letters)]
    signs = [
        escaped_in_class(character) for character in seen if character.isascii() and not character.isalnum()
    ]
    if not ranges and not signs:
        return None
    plain = f"[{''.join(ranges + signs)}]"
    return whole_expression(f"{plain}*" if all(map(str.isascii, seen)) else f"(?:{plain}|[^\\x00-\\x7F])*")


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


def whole_expression(expression: str) -> str:
    """An expression of the whole text."""
    return f"^(?:{expression})$" if "|" in expression else f"^{expression}$"


LEARNERS: tuple[Learner, ...] = (make_up, number, word_kinds, characters)
