"""The narrowest contract that takes all texts of a column.

Tried with `conform`'s own functions, so that what is guessed holds.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

import pyarrow as pa

from configs.source import ColumnConfig
from tasks.ingestion.parsing.contract import conform_column
from tasks.ingestion.parsing.date_formats import likely_formats
from tasks.ingestion.parsing.dates import differ, spell_date, written_in
from tasks.ingestion.parsing.missing_markers import MISSING, SURELY_MISSING

NUMBER_AND_UNIT = re.compile(r"[+-]?[\d.,]*\d\s*([^\d\s.,+-][^\d]*?)\s*")
CURRENCY = (
    r"[A-Z]{0,3}[$¢£¤¥₠-⃀]|Rs\.?|kr\.?|USD|EUR|GBP|JPY|CHF|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN|BRL|MXN|ZAR|KRW"
)
CURRENCY_AND_NUMBER = re.compile(rf"[+-]?\s*({CURRENCY})\s*[+-]?[\d.,]*\d")
"""Such as $5, -€3.50 and USD 10. Other letters before a number make a name of it, as in A5."""
STRAYS = 3
"""Texts that are no numbers in a column of numbers and are taken for missing ones, at most."""
STRAY_SHARE = 0.05
"""Of the rows, that such texts may be."""
WORDS = 50
"""More different texts are no names of classes."""


def spec_of(counts: Counter[str]) -> tuple[ColumnConfig, list[str]]:
    """The narrowest contract that takes all texts, and remarks."""
    there = [text for text in MISSING if text in counts]
    best, fitting = None, None
    for spec in candidates(counts):
        strays = unfit_texts(counts, spec.model_copy(update={"missing": tuple(dict.fromkeys(("", *there)))}))
        few = len(strays) <= STRAYS and sum(counts[text] for text in strays) <= STRAY_SHARE * counts.total()
        if not strays or (few and best is None and spec.type in ("integer", "number")):
            best, fitting = (
                spec.model_copy(update={"missing": tuple(dict.fromkeys(("", *there, *strays)))}),
                strays,
            )
            if not strays:
                break
    if best is None:
        return text_contract(counts)
    odd = [f"{text!r} is no {best.type}, taken for a missing value" for text in fitting or []]
    return best, [*odd, *remarks_on_format(best, counts)]


def candidates(counts: Counter[str]) -> Iterator[ColumnConfig]:
    """Contracts to try, the narrowest first."""
    present = [text for text in counts if text not in MISSING]
    if not present:
        return
    if {text.lower() for text in present} <= {"true", "false"}:
        yield ColumnConfig(type="boolean")
    if not any(re.match(r"[+-]?0\d", text) for text in present):
        digits = sum(bool(re.search(r"\d", text)) for text in present) > 0.5 * len(present)
        if digits:
            yield from number_contract(present)
    if sum(bool(re.search(r"\d", text)) for text in present) > 0.9 * len(present):
        yield ColumnConfig(type="timestamp")
        yield from (ColumnConfig(type="timestamp", format=form) for form in strptime_formats(present))


def strptime_formats(present: list[str]) -> list[str]:
    """Formats of dates that some texts have, as a contract may name them."""
    return [
        form
        for form in likely_formats(pa.chunked_array([pa.array(present, pa.string())]))
        if form.startswith("%")
    ]


def number_contract(present: list[str]) -> Iterator[ColumnConfig]:
    """Whole numbers, numbers, with separators, decimal commas and units."""
    units: list[dict[str, str]] = [{}]
    for side, pattern in (("prefix", CURRENCY_AND_NUMBER), ("suffix", NUMBER_AND_UNIT)):
        if unit := usual_unit(present, pattern):
            units.append({side: unit})
    for unit_spec in units:
        for kind in ("integer", "number"):
            yield ColumnConfig(type=kind, **unit_spec)
            yield ColumnConfig(type=kind, thousands=",", **unit_spec)
        yield ColumnConfig(type="number", decimal=",", **unit_spec)
        yield ColumnConfig(type="number", thousands=".", decimal=",", **unit_spec)
        yield ColumnConfig(type="number", thousands=" ", decimal=",", **unit_spec)


def usual_unit(present: list[str], pattern: re.Pattern[str]) -> str:
    """The unit that nearly all texts have, on the side where `pattern` looks for it.

    Empty where they have none.
    """
    units = Counter(found[1] for text in present if (found := pattern.fullmatch(text)))
    unit, times = units.most_common(1)[0] if units else ("", 0)
    return unit if times >= 0.9 * len(present) else ""


def unit_contract(present: Mapping[str, int]) -> list[str]:
    """What follows the numbers, the most frequent first, where nearly all texts are numbers and not all end alike; empty for others."""
    endings = Counter[str]()
    for text, rows in present.items():
        if found := NUMBER_AND_UNIT.fullmatch(text) or re.fullmatch(r"[+-]?[\d.,]+()", text):
            endings[found[1]] += rows
    return (
        [ending for ending, _ in endings.most_common(6)]
        if endings.total() >= 0.9 * sum(present.values()) and len(endings) > 1
        else []
    )


def unfit_texts(counts: Counter[str], spec: ColumnConfig) -> list[str]:
    """The texts that a contract does not take, until there are too many."""
    strays: list[str] = []
    values = list(counts)
    while len(strays) <= STRAYS:
        chosen = spec.model_copy(update={"missing": (*spec.missing, *strays)})
        try:
            conform_column(pa.chunked_array([pa.array(values, pa.string())]), "", chosen, "")
        except ValueError as error:
            found = re.search(r"row (\d+):", str(error))
            if found is None:
                break
            strays.append(values[int(found[1]) - 1])
        else:
            break
    return strays


def text_contract(counts: Counter[str]) -> tuple[ColumnConfig, list[str]]:
    """The contract of texts."""
    missing = tuple(text for text in SURELY_MISSING if text in counts or not text)
    present = [text for text in counts if text not in missing]
    noticed = []
    doubtful = [text for text in MISSING if text in counts and text not in missing]
    if doubtful:
        noticed.append(
            f"{', '.join(map(repr, doubtful))} may stand for missing values: add to `missing` if so"
        )
    if endings := unit_contract({text: counts[text] for text in present}):
        noticed.append(
            f"numbers that end in different ways ({', '.join(map(repr, endings))}): only one can be the suffix"
        )
    if len(present) <= WORDS and present and all(text.endswith(".") and len(text) > 1 for text in present):
        return ColumnConfig(type="text", missing=missing, suffix="."), [
            *noticed,
            "every value ends with a dot, which is cut",
        ]
    return ColumnConfig(type="text", missing=missing), noticed


def remarks_on_format(spec: ColumnConfig, counts: Counter[str]) -> list[str]:
    """Remarks on how values are written."""
    noticed = []
    if spec.prefix:
        noticed.append(f"values begin with {spec.prefix!r}, which is cut")
    if spec.suffix:
        noticed.append(f"values end with {spec.suffix!r}, which is cut")
    if spec.thousands or spec.decimal != ".":
        noticed.append(
            f"numbers are written like {next(text for text in counts if re.search(r'[,.]', text))!r}"
        )
    if spec.format:
        noticed += ambiguous(spec.format, spec, counts)
    return noticed


def ambiguous(form: str, spec: ColumnConfig, counts: Counter[str]) -> list[str]:
    """That the dates fit another format as well, and mean other days in it."""
    present = [text for text in counts if text not in spec.missing]
    for other in strptime_formats(present):
        text = next((text for text in [*present, written_in(form)] if differ(text, form, other)), None)
        if text is not None and not unfit_texts(counts, spec.model_copy(update={"format": other})):
            readings = f"{text!r} is {spell_date(text, form)}, or {spell_date(text, other)}"
            return [
                f"day and month cannot be told apart: {other} fits as well ({readings}); set format to the one that is meant"
            ]
    return []
