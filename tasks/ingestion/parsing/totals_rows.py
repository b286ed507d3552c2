"""Rows at the end of a file that sum up the rows above them, as spreadsheets have them.

Told, and kept until somebody takes them out.
"""

import numpy as np

from tasks.ingestion.partitions.profile import LastRow, Numbers, Profile
from tasks.records import Finding

FEWEST = 5
"""Rows above a sum: of fewer it may be so by chance."""
CLOSE = 1e-5
"""Of a sum, that float32 and rounding may change."""
BY_CHANCE = 1e-6
"""Likelihood below which cells do not all equal the means of their columns by chance."""
NEARLY_ALL = 0.01
"""Share of rows without a value up to which a column counts as filled."""
SHOWN = 6
WORDS = frozenset(
    """total totals subtotal sum sums average averages avg mean all overall
    summe summen gesamt gesamtsumme insgesamt zwischensumme mittelwert durchschnitt mittel
    totaux somme moyenne ensemble suma sumas totales promedio media totale somma totais soma média
    totaal som gemiddelde razem średnia łącznie celkem součet průměr összesen átlag toplam ortalama
    summa totalt medelvärde gennemsnit gjennomsnitt yhteensä keskiarvo итого всего сумма среднее разом усього
    合計 総計 平均 合计 总计 总和 평균 합계 إجمالي المجموع المتوسط סה"כ ממוצע""".split()  # noqa: SIM905 - a list of forty lines otherwise
)
PHRASES = (
    "grand total",
    "sub total",
    "sum total",
    "total general",
    "total général",
    "im mittel",
    "i alt",
    "grand-total",
)


def totals_rows(origin: str, profile: Profile) -> tuple[Finding, ...]:
    """The finding about the last rows of a file that are totals of those above."""
    for count in range(len(profile.last), 0, -1):
        rows = profile.last[-count:]
        above = rows_above(profile, count)
        if all(is_total(row, above) for row in rows):
            return (finding(origin, rows, profile.rows + len(profile.last)),)
    return ()


def rows_above(profile: Profile, count: int) -> Profile:
    """What is above the last `count` rows."""
    above = Profile()
    above.merge(profile)
    above.fold(above.last[: len(above.last) - count])
    return above


def is_total(row: LastRow, above: Profile) -> bool:
    """Whether a row is a sum or mean of those above.

    By its numbers, or by a word where a value is missing that other rows have.
    """
    pairs = [
        (value, above.numbers[name])
        for name, value in row.numbers.items()
        if value is not None and name in above.numbers
    ]
    varied = [
        (value, numbers) for value, numbers in pairs if numbers.count and max(numbers.high) > min(numbers.low)
    ]
    sums = sum(is_sum(value, numbers) for value, numbers in varied)
    told = any(says_total(cell) for cell in row.cells.values())
    if told:
        means = sum(is_mean(value, numbers) for value, numbers in varied)
        gaps = sum(
            cell is None and above.gaps.get(name, 0) <= NEARLY_ALL * above.rows
            for name, cell in row.cells.items()
        )
        return bool(above.rows and (sums or means or gaps))
    if above.rows < FEWEST or not varied:
        return False
    return 2 * sums >= len(varied) or means_by_chance(varied) < BY_CHANCE


def is_sum(value: float, numbers: Numbers) -> bool:
    """Whether a value is the sum of a column, and no such value as the column has itself."""
    beyond = abs(value) > max(abs(max(numbers.high)), abs(min(numbers.low)))
    return beyond and abs(value - numbers.total) <= CLOSE * abs(numbers.total)


def is_mean(value: float, numbers: Numbers) -> bool:
    """Whether a value is the mean of a column, rounded as it is written."""
    return abs(value - numbers.total / numbers.count) <= rounding(value)


def rounding(value: float) -> float:
    """Half of a value's last decimal."""
    return 0.5 * 10.0 ** -len(f"{np.float32(value)!s}".partition(".")[2].rstrip("0")) + 1e-6 * abs(value)


def means_by_chance(varied: list[tuple[float, Numbers]]) -> float:
    """How likely it is that all values of a row are their columns' means by chance; 1 where one is none."""
    likely = 1.0
    for value, numbers in varied:
        if not is_mean(value, numbers):
            return 1.0
        likely *= min(1.0, 4 * rounding(value) / (max(numbers.high) - min(numbers.low)))
    return likely


def says_total(cell: str | None) -> bool:
    """Whether a cell says that its row is a sum or a mean."""
    if cell is None:
        return False
    text = " ".join(cell.casefold().strip(" :.=*#()").split())
    return text in WORDS or text in PHRASES


def finding(origin: str, rows: list[LastRow], total: int) -> Finding:
    """What is said of such rows."""
    return Finding(
        stage="ingest",
        check="totals_rows",
        about=origin,
        count=len(rows),
        total=total,
        told="rows at the end look like totals of the rows above, and are rows like any other until they are taken out",
        examples=tuple(f"line {row.line}: {format_cells(row)}" for row in rows),
        advice="take them out of the source",
    )


def format_cells(row: LastRow) -> str:
    """A row's cells, for people."""
    there = [f"{name} {cell}" for name, cell in row.cells.items() if cell is not None]
    return ", ".join(there[:SHOWN]) + (", ..." if len(there) > SHOWN else "")
