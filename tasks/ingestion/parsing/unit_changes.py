"""Numbers that came in another unit.

Their quantiles lie where the usual ones do after one conversion, as ordinary drift's do not.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from configs.source import ColumnConfig
from tasks.rows.sql import identifier, literal, open_database

Quantiles = tuple[float, float, float, float, float]
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
SAMPLE = 1_000_000
"""At most so many rows are looked at, spread evenly."""
FEWEST = 100
"""Rows from which quantiles say anything."""
LEAST_FACTOR = 1.5
SAME, SAME_MORE, SAME_MOST = 0.04, 0.1, 0.2
"""Largest difference between the logarithms of the factors of one conversion: of the least factor, how it
grows with the factor's logarithm, and at most. A year's growth by two thirds is nearly as even as a change of
unit, one a thousandfold never is."""
NEAR = 0.04
"""Of a factor's logarithm to that of a known conversion."""
FACTORS = {
    1000.0: "x1000, such as kg to g or km to m",
    1e6: "x1,000,000",
    100.0: "x100, such as m to cm, or shares to per cent",
    60.0: "x60, such as hours to minutes",
    3600.0: "x3600, hours to seconds",
    24.0: "x24, days to hours",
    2.20462: "x2.2046, kg to lb",
    1.609344: "x1.609, miles to km",
    3.28084: "x3.281, m to ft",
    2.54: "x2.54, inches to cm",
    25.4: "x25.4, inches to mm",
    28.3495: "x28.35, ounces to g",
    3.78541: "x3.785, gallons to litres",
    4.184: "x4.184, calories to joules",
    12.0: "x12, feet to inches, or years to months",
    10.0: "x10",
}
SHIFTS = {
    "Celsius to Fahrenheit": (1.8, 32.0),
    "Fahrenheit to Celsius": (1 / 1.8, -32 / 1.8),
    "Celsius to Kelvin": (1.0, 273.15),
    "Kelvin to Celsius": (1.0, -273.15),
}


def check_units(parts: Sequence[Path], columns: Mapping[str, ColumnConfig], name: str) -> None:
    """Raises ValueError naming a column of the Parquet parts whose numbers are all the contract's `usual` ones in another unit.

    name: how errors call the source
    """
    usual = {
        column: spec.usual
        for column, spec in columns.items()
        if spec.usual and spec.type in ("integer", "number")
    }
    found = quantiles(parts, list(usual))
    for column, before in usual.items():
        now = found.get(column)
        if before and now:
            check_unit(column, before, now, name)


def check_unit(column: str, before: Quantiles, now: Quantiles, name: str) -> None:
    """Raises ValueError where a column's quantiles are the usual ones in another unit."""
    if unit := conversion(before, now):
        seen = format_numbers(now)
        raise ValueError(
            f"{name}: column {column!r} looks like another unit ({unit}): "
            f"its 5, 25, 50, 75 and 95 % quantiles are {seen}, usually {format_numbers(before)}; "
            f"convert it in the source, or if this is right set source.columns.{column}.usual to {seen}"
        )


def quantiles(parts: Sequence[Path], names: Sequence[str]) -> dict[str, Quantiles]:
    """The quantiles of number columns, of at most SAMPLE rows; none where there are few.

    The same whatever the number of threads.
    """
    rows = sum(pq.read_metadata(path).num_rows for path in parts)
    if not names or not rows:
        return {}
    step = math.ceil(rows / SAMPLE)
    quoted = {name: identifier(name) for name in names}
    asked = ", ".join(
        f"count({column}), quantile_disc({column}::DOUBLE, {list(SHARES)})" for column in quoted.values()
    )
    files = ", ".join(literal(path) for path in parts)
    with open_database() as connection:
        source = f"read_parquet([{files}], file_row_number=true, union_by_name=true) WHERE file_row_number % {step} = 0"
        answer = connection.execute(f"SELECT {asked} FROM {source}").fetchall()[0]
    pairs = zip(names, answer[::2], answer[1::2], strict=True)
    return {column: five(values) for column, count, values in pairs if count >= FEWEST}


def five(values: Sequence[float]) -> Quantiles:
    """Five numbers as a tuple."""
    first, second, third, fourth, fifth = (float(value) for value in values)
    return first, second, third, fourth, fifth


def conversion(usual: Quantiles, now: Quantiles) -> str | None:
    """What turns the usual quantiles into these, for people.

    None where nothing that a change of unit would be does.
    """
    return factor_and_offset(usual, now) or one_factor(usual, now)


def one_factor(usual: Quantiles, now: Quantiles) -> str | None:
    """One factor for all quantiles.

    Zeros stay zeros, and at least three others, not all the same, move alike.
    """
    before, after = np.array(usual), np.array(now)
    moving = (before != 0) & (after != 0)
    if (
        (moving != ((before != 0) | (after != 0))).any()
        or len(set(before[moving])) < 3
        or (before[moving] * after[moving] < 0).any()
    ):
        return None
    logs = np.log(after[moving] / before[moving])
    beyond = abs(float(np.median(logs))) - math.log(LEAST_FACTOR)
    if beyond < 0 or np.ptp(logs) > min(SAME + SAME_MORE * beyond, SAME_MOST):
        return None
    return factor_name(float(np.median(logs)))


def factor_name(logarithm: float) -> str:
    """A factor by its name."""
    for factor, name in FACTORS.items():
        if abs(abs(logarithm) - math.log(factor)) < NEAR:
            return name if logarithm > 0 else f"the other way round of {name}"
    return f"x{math.exp(logarithm):.4g}"


def factor_and_offset(usual: Quantiles, now: Quantiles) -> str | None:
    """A change of temperature scale that hits all quantiles, where they had moved far from their usual places."""
    before, after = np.array(usual), np.array(now)
    for name, (factor, shift) in SHIFTS.items():
        hit = factor * before + shift
        width = hit[-1] - hit[0]
        if (
            width > 0
            and np.abs(after - hit).max() <= 0.1 * width
            and np.abs(after - before).max() > 0.5 * width
        ):
            return name
    return None


def format_numbers(values: Quantiles) -> str:
    """Numbers as the YAML has them."""
    return f"[{', '.join(f'{value:.6g}' for value in values)}]"
