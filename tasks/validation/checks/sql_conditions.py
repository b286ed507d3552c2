"""Conditions in SQL that Gyre's own expectations check, and that rules are tried with before they are proposed."""

from tasks.rows.sql import literal

LETTERS_AN_EDIT = 6
"""A text of 12 letters is a misspelling of another within two edits."""
FEWEST_LETTERS = 4
"""Shorter texts are too near each other."""
MAJORITY = 3
"""Rows from which the rows themselves say which value is right."""


def is_near(one: str, other: str) -> str:
    """SQL that is true where one text is a few edits from another, other than in its digits."""
    edits = f"greatest(1, length({other}) // {LETTERS_AN_EDIT})"
    plain = [f"regexp_replace({each}, '[0-9]+', '0', 'g')" for each in (one, other)]
    return f"abs(length({one}) - length({other})) <= {edits} AND damerau_levenshtein({one}, {other}) <= {edits} AND {plain[0]} <> {plain[1]}"


def misspelt(column: str, known: list[str]) -> str:
    """SQL that is true of a text that is not known and a few edits from one that is, other than in its digits."""
    listed = ", ".join(map(literal, known))
    search = f"len(list_filter([{listed}], lambda k: {is_near('k', column)})) > 0"
    return f"CASE WHEN {column} IN ({listed}) OR length({column}) < {FEWEST_LETTERS} THEN FALSE ELSE {search} END"


def near_pairs() -> str:
    """SQL of the pairs of a list of texts, its one parameter, of which the first is a few edits from the second."""
    texts = "WITH texts AS (SELECT unnest(?::VARCHAR[]) AS t)"
    return f"{texts} SELECT v.t, k.t FROM texts AS v, texts AS k WHERE v.t <> k.t AND {is_near('k.t', 'v.t')}"


def determined_values(table: str, a: str, b: str, known: dict[str, str]) -> str:
    """SQL of a table (a, b).

    What column `b` is for each value of column `a` that is known or that most of its rows agree about.
    """
    counted = f"SELECT {a}::VARCHAR AS a, {b}::VARCHAR AS b, count(*) AS n FROM {table} WHERE {a} IS NOT NULL AND {b} IS NOT NULL GROUP BY 1, 2"
    most = f"SELECT a, arg_max(b, (n, b)) AS b FROM ({counted}) GROUP BY a HAVING sum(n) >= {MAJORITY} AND 2 * max(n) > sum(n)"
    if not known:
        return most
    pairs = ", ".join(f"({literal(key)}, {literal(value)})" for key, value in known.items())
    return f"SELECT * FROM (VALUES {pairs}) AS known(a, b) UNION ALL SELECT * FROM ({most}) WHERE a NOT IN ({', '.join(map(literal, known))})"


def seconds(column: str, form: str | None) -> str:
    """SQL of a moment in seconds since 1970.

    Of a timestamp, or of a text in a format, null where that does not read it.
    """
    if form:
        return f"epoch(try_strptime({column}::VARCHAR, {literal(form)}))"
    return f"epoch(try_cast({column} AS TIMESTAMP))"


def not_apart(a: str, b: str, least: float, most: float, forms: tuple[str | None, str | None]) -> str:
    """SQL that is true where `b` is not between so many days after `a`."""
    days = f"({seconds(b, forms[1])} - {seconds(a, forms[0])}) / 86400"
    return f"({days} NOT BETWEEN {least} AND {most})"


def far_from_neighbours(table: str, a: str, b: str, days: float, form: str | None, neighbours: int) -> str:
    """SQL of the pairs (a, b) of a table whose date `b` is so many days from the median of its neighbours in the order of `a`."""
    moment = seconds("b", form)
    window = f"(ORDER BY a ROWS BETWEEN {neighbours} PRECEDING AND {neighbours} FOLLOWING)"
    judged = f"SELECT a, b, abs({moment} - median({moment}) OVER {window}) / 86400 AS days FROM (SELECT {a} AS a, {b} AS b FROM {table})"
    return f"SELECT a::VARCHAR AS a, b::VARCHAR AS b FROM ({judged}) WHERE days > {days}"


def other_part(a: str, b: str, part: str, says: dict[str, str], form: str | None) -> str:
    """SQL that is true where `b` is not what is said of dates in that month, year or on that weekday (Monday is 0)."""
    moment = f"to_timestamp({seconds(a, form)}) AT TIME ZONE 'UTC'"
    value = f"isodow({moment}) - 1" if part == "weekday" else f"extract({part} FROM {moment})"
    cases = " ".join(f"WHEN {int(key)} THEN {literal(said)}" for key, said in says.items())
    said = f"CASE {value} {cases} END"
    # A column of whole numbers has fractions, 3.0 for 3, from the first missing value on: numbers are
    # compared as such.
    equal = f"try_cast({said} AS DOUBLE) = try_cast({b}::VARCHAR AS DOUBLE)"
    return f"({said} <> {b}::VARCHAR AND NOT coalesce({equal}, FALSE))"
