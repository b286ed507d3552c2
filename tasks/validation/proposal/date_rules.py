"""What columns of dates say about each other and about other columns, learned as rules.

Where a date's day and month are read the other way round it is a date still, but the wrong one, and only
other columns tell. Three things are learned and tried: how far one date lies from another, how far a date
lies from those of its neighbours in the order of a running number, and which column says the date's month,
weekday or year.
"""

from collections.abc import Iterator, Sequence
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pandas as pd

from configs.validation import ExpectationConfig
from tasks.validation.proposal.dependencies import count_agreement
from tasks.validation.proposal.holdout import Holdout, upper, verdict
from tasks.validation.proposal.profile import Profile
from tasks.validation.proposal.report import Declined, Proposed
from tasks.validation.proposal.sample import Mask, Sample
from tasks.validation.proposal.suspicious_values import reach

FORMATS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d")
TIMES = ("", " %H:%M:%S", " %H:%M", "T%H:%M:%S")
READ = 0.98
"""Share of the texts that a format must read."""
COLUMNS = 6
"""Columns of dates that are compared."""
TAIL = 0.04
"""Share of the distances at either end that may be errors."""
MARGIN = 0.25
NARROW = 0.25
"""Part of the span of the dates within which a distance must lie to tell anything."""
NEIGHBOURS = 5
"""Rows before and after, by whose median a date is judged."""
WRONG = 0.05
"""Share of the rows whose date may disagree with a column that otherwise says its month, weekday or year."""
FEWEST = 100
DAY = 86_400.0
YEARS = (-70 * 365.25 * DAY, 130 * 365.25 * DAY)
"""From 1900 to 2100; what a format reads beyond them is a number that is no date."""
PARTS = {"month": "month", "weekday": "dayofweek", "year": "year", "day": "day", "hour": "hour"}
Seconds = npt.NDArray[np.float64]
Found = Iterator[Proposed | Declined]


def order_rules(
    sample: Sample, profiles: Sequence[Profile], holdouts: Sequence[Holdout], label: str | None = None
) -> Found:
    """The rules about a table's dates."""
    dates = dict[str, tuple[Seconds, str | None]]()
    for profile in profiles:
        if profile.name != label and len(dates) < COLUMNS and (read := seconds(sample, profile)) is not None:
            dates[profile.name] = read
    for first, second in permutations(dates, 2):
        if list(dates).index(first) < list(dates).index(second):
            yield from apart_rules(first, second, dates, holdouts)
    for name in dates:
        for profile in profiles:
            if runs(profile):
                yield from neighbour_rules(profile.name, name, dates, sample, holdouts)
            elif profile.name not in dates and profile.name != label and 2 <= profile.distinct <= 366:
                yield from part_rules(name, profile.name, dates, sample)


def seconds(sample: Sample, profile: Profile) -> tuple[Seconds, str | None] | None:
    """A column's moments since 1970 [rows], NaN where there is none, and the format of its texts.

    None where it holds no dates.
    """
    values = sample.values[profile.name]
    if profile.kind == "timestamp":
        return moments(values, "ISO8601")[sample.codes[profile.name]], None
    if profile.kind != "text" or len(values) < 2 or not values[0][:1].isdigit():
        return None
    best, most = None, READ * len(values)
    for form in (day + time for day in FORMATS for time in TIMES):
        read = int(np.isfinite(moments(values[:50], form)).sum())
        if read < READ * len(values[:50]):
            continue
        found = moments(values, form)
        if (read := int(np.isfinite(found).sum())) > most:
            best, most = (found[sample.codes[profile.name]], form), float(read)
    return best


def moments(values: Sequence[str], form: str) -> Seconds:
    """Texts as seconds since 1970, NaN where a format does not read them, and one NaN more for the place -1."""
    read = pd.to_datetime(
        pd.Series(values, dtype=str), format=form, errors="coerce", utc=True
    ).dt.tz_localize(None)
    # In whole seconds: numbers that look like a date of the year 2347 are beyond what nanoseconds reach.
    whole = read.to_numpy().astype("datetime64[s]")
    found = np.where(np.isnat(whole), np.nan, whole.astype(np.int64).astype(float))
    return np.append(np.where((found >= YEARS[0]) & (found <= YEARS[1]), found, np.nan), np.nan)


def runs(profile: Profile) -> bool:
    """Whether a column numbers the rows."""
    return profile.kind == "integer" and profile.unique and not profile.missing


def try_range(days: Seconds, holdouts: Sequence[Holdout]) -> tuple[float, float, int, int, bool]:
    """The range of days that nearly all rows [rows] keep, how many of how many do not, and whether it holds on rows held out."""
    there = np.isfinite(days)
    low, high = ends(days[there])
    good = there & (days >= low) & (days <= high)

    def flagged(learned: Mask, held_out: Mask) -> int:
        if not (learned & good).any():
            return 0
        least, most = with_margin(days[learned & good])
        others = days[held_out & good]
        return int(((others < least) | (others > most)).sum())

    holds = bool(good.any()) and verdict(holdouts, flagged).holds
    least, most = with_margin(days[good]) if holds else (low, high)
    beyond = int((there & ((days < least) | (days > most))).sum())
    return least, most, beyond, int(there.sum()), holds


def ends(days: Seconds) -> tuple[float, float]:
    """Outside of which days are errors; nothing is where the middle ones are all the same."""
    return reach(days, TAIL) if len(days) else (-np.inf, np.inf)


def with_margin(days: Seconds) -> tuple[float, float]:
    """The ends of a range, wider than what was seen; an order that holds, holds without a margin."""
    low, high = float(days.min()), float(days.max())
    margin = max(1.0, MARGIN * (high - low))
    return (0.0 if low >= 0 else low - margin), (0.0 if high <= 0 else high + margin)


def apart_rules(
    first: str, second: str, dates: dict[str, tuple[Seconds, str | None]], holdouts: Sequence[Holdout]
) -> Found:
    """How many days one date lies after another."""
    (one, one_form), (other, other_form) = dates[first], dates[second]
    least, most, beyond, rows, holds = try_range((other - one) / DAY, holdouts)
    about = f"{first}, {second}"
    if rows < FEWEST or not holds or beyond > WRONG * rows:
        yield Declined(
            about,
            f"how many days one lies after the other: {beyond} of {rows} rows are outside of what the others keep",
        )
        return
    span = (np.nanmax(other) - np.nanmin(other)) / DAY
    if most - least > NARROW * span and not (least == 0 or most == 0):
        yield Declined(
            about,
            f"how many days one lies after the other: from {least:.0f} to {most:.0f}, which tells nothing",
        )
        return
    kwargs = {
        "column_A": first,
        "column_B": second,
        "min_days": round(least, 2),
        "max_days": round(most, 2),
        **formats(one_form, other_form),
    }
    evidence = f"{rows} rows, held out by rows and keys; {beyond} here break it; at most {upper(beyond, rows):.1%} (95 %)"
    yield Proposed(
        ExpectationConfig(type="tasks.validation.checks.expectations:ExpectDatesApart", kwargs=kwargs),
        evidence,
    )


def formats(first: str | None, second: str | None) -> dict[str, str]:
    """The formats of texts as arguments."""
    return {name: form for name, form in (("first_format", first), ("second_format", second)) if form}


def neighbour_rules(
    number: str,
    date: str,
    dates: dict[str, tuple[Seconds, str | None]],
    sample: Sample,
    holdouts: Sequence[Holdout],
) -> Found:
    """How many days a date lies from the median of its neighbours in the order of a running number."""
    found, form = dates[date]
    order = np.argsort(sample.numbers(number), kind="stable")
    window = (
        pd.Series(found[order]).rolling(2 * NEIGHBOURS + 1, center=True, min_periods=1).median().to_numpy()
    )
    days = np.full(len(found), np.nan)
    days[order] = np.abs(found[order] - window) / DAY
    _, most, beyond, rows, holds = try_range(days, holdouts)
    span = (np.nanmax(found) - np.nanmin(found)) / DAY
    if rows < FEWEST or not np.isfinite(most) or most > NARROW * span:
        return  # the number does not go with the date, as most do not
    if not holds or beyond > WRONG * rows:
        yield Declined(
            f"{number}, {date}",
            f"that dates go with the number: {beyond} of {rows} rows are far from their neighbours",
        )
        return
    kwargs = {"column_A": number, "column_B": date, "days": round(max(1.0, most), 2), **formats(None, form)}
    evidence = f"{rows} rows, held out by rows and keys; {beyond} here break it; at most {upper(beyond, rows):.1%} (95 %)"
    yield Proposed(
        ExpectationConfig(
            type="tasks.validation.checks.expectations:ExpectDateNearItsNeighbours", kwargs=kwargs
        ),
        evidence,
    )


def part_rules(date: str, column: str, dates: dict[str, tuple[Seconds, str | None]], sample: Sample) -> Found:
    """Which column says a date's month, weekday or year."""
    found, form = dates[date]
    there = np.isfinite(found)
    moment = pd.Series(pd.to_datetime(np.where(there, found, 0), unit="s"))
    for part, attribute in PARTS.items():
        keys = np.where(there, getattr(moment.dt, attribute).to_numpy(dtype=np.int64), -1)
        if len(np.unique(keys[there])) < 2:
            continue
        pair = count_agreement(part, column, keys, sample.codes[column], int(keys.max()) + 1, 3)
        says = pair.says[pair.says >= 0]
        against = pair.wrong + pair.slips
        if (
            len(says) < 2
            or len(np.unique(says)) < len(says)
            or pair.chance < FEWEST
            or against > WRONG * pair.covered
        ):
            continue
        told = {str(key): sample.values[column][code] for key, code in enumerate(pair.says) if code >= 0}
        kwargs = {"column_A": date, "column_B": column, "part": part, "says": told, **formats(form, None)}
        most = upper(against, pair.covered)
        evidence = f"{pair.covered} rows, {len(says)} values of the {part}: {against} here break it; at most {most:.1%} (95 %)"
        yield Proposed(
            ExpectationConfig(
                type="tasks.validation.checks.expectations:ExpectColumnToSayPartOfDate", kwargs=kwargs
            ),
            evidence,
        )
        return
