"""What a person can do about quarantined rows: look at one, release some, fix one, and undo either."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tasks.validation.quarantine import Quarantine, as_decided
from tasks.validation.review.decisions import DecidedRow, Decision, Standing, history, in_force
from tasks.validation.review.row_content import PLACES, contents, typed_values

SHOWN_CHARACTERS = 200


def release(quarantine: Quarantine, ids: Sequence[str], why: str, reason: str | None = None) -> Decision:
    """The rows, or all that break the rule `reason` and are not released yet, are right after all.

    Raises ValueError.
    """
    if bool(ids) == bool(reason):
        raise ValueError("release: name rows, or a rule with --reason, one of them")
    standings = standing(quarantine)
    ids = quarantine.ids(quarantine.reason(reason)) if reason else list(dict.fromkeys(ids))
    rows = present(quarantine, ids)
    released = {
        each.row: each
        for each in standings
        if each.released and contents(rows.get(each.row, EMPTY)) == [each.content]
    }
    if not reason and (row := next((row for row in ids if row in released), None)):
        raise ValueError(f"row {row!r} is released already: {released[row].decisions[-1].told}")
    chosen = [rows[row] for row in ids if row not in released]
    if not chosen:
        raise ValueError(f"every row that breaks {reason} is released already")
    return quarantine.log.add("release", map(as_decided, chosen), why, **last_seen(quarantine, chosen))


def fix(quarantine: Quarantine, row: str, values: dict[str, str | None], why: str) -> Decision:
    """The row comes back with these values, which are checked like any others.

    Raises ValueError for one that does not fit its column.
    """
    if not values:
        raise ValueError("fix: name at least one value with --set column=value")
    found = present(quarantine, [row])[row]
    typed_values(values, found.schema)
    return quarantine.log.add(
        "fix", [as_decided(found)], why, values=values, **last_seen(quarantine, [found])
    )


def undo(quarantine: Quarantine, ids: Sequence[str], why: str) -> Decision:
    """The newest decision in force about each row no longer holds.

    Raises ValueError naming a row that nothing was decided about.
    """
    newest = newest_in_force(quarantine)
    if not ids:
        raise ValueError("undo: name at least one row")
    if row := next((row for row in ids if row not in newest), None):
        known = ", ".join(sorted(newest)[:20]) or "none"
        raise ValueError(f"no decision about row {row!r} is in force; there are decisions about {known}")
    rows = [newest[row].decisions[-1] for row in dict.fromkeys(ids)]
    undone = [each.rows[0].model_copy(update={"undoes": each.number}) for each in rows]
    return quarantine.log.add("undo", undone, why, seen=rows[-1].seen)


def overview(quarantine: Quarantine, reason: str | None, most: int) -> dict[str, Any]:
    """The newest quarantine: rows a rule, with its limits, rows a source, and the first rows.

    Raises ValueError for an unknown rule.
    """
    latest, chosen = quarantine.latest, quarantine.reason(reason) if reason else None
    standings = newest_in_force(quarantine)
    lines = quarantine.lines(most, chosen)
    return {
        "project": quarantine.folder.name,
        "validated": latest["rows"],
        "quarantined": latest["quarantined"],
        "decisions": len(standings),
        "reasons": [
            {"rule": rule, "rows": rows, "limits": latest["limits"].get(rule, [])}
            for rule, rows in quarantine.counts("reason")
            if chosen in (None, rule)
        ],
        "origins": [{"origin": origin, "rows": rows} for origin, rows in quarantine.counts("origin")],
        "rows": [
            row | {"decided": standings[row["id"]].decisions[-1].told if row["id"] in standings else ""}
            for row in lines
        ],
    }


def describe_row(quarantine: Quarantine, row: str) -> dict[str, Any]:
    """A row for people and programs.

    Its source and line, its values, every rule that it breaks with its limits, and its history.
    """
    log, latest = quarantine.log.all(), quarantine.latest
    found = quarantine.find([row]).get(row)
    past = history(log, row)
    if found is None and not past:
        raise unknown(quarantine, row)
    known = as_decided(found) if found is not None else past[-1].rows[0]
    limits = {reason: kwargs for decision in past for reason, kwargs in decision.limits.items()} | latest[
        "limits"
    ]
    aside = bool(quarantine.asked("SELECT 1 FROM kept WHERE id = $1", row))
    return {
        "row": row,
        "origin": known.origin,
        "origin_line": known.origin_line,
        "in_quarantine": aside,
        "values": format_values(found) if found is not None else {},
        "reasons": [{"rule": reason, "limits": limits.get(reason, [])} for reason in known.reasons],
        "history": [entry(decision, known, standing(quarantine)) for decision in past],
    }


def entry(decision: Decision, known: DecidedRow, standings: Sequence[Standing]) -> dict[str, Any]:
    """A decision in a row's history, with whether it holds."""
    numbers = {
        each.number for standing in standings if standing.row == known.id for each in standing.decisions
    }
    state = "in force" if decision.number in numbers else "taken" if decision.kind == "undo" else "undone"
    if state == "in force" and decision.rows[0].content != known.content:
        state = "no longer holds: the row's content has changed since"
    told = decision.model_dump(mode="json", include={"number", "kind", "who", "when", "why", "values"})
    return (
        told
        | ({"undoes": decision.rows[0].undoes} if decision.kind == "undo" else {})
        | {"told": decision.told, "state": state}
    )


def standing(quarantine: Quarantine) -> list[Standing]:
    """What is in force."""
    return in_force(quarantine.log.all())


def newest_in_force(quarantine: Quarantine) -> dict[str, Standing]:
    """Of each row what was decided last and holds.

    Decisions about older contents of it come after those are undone.
    """
    ordered = sorted(standing(quarantine), key=lambda each: each.decisions[-1].number)
    return {each.row: each for each in ordered}


def present(quarantine: Quarantine, ids: Sequence[str]) -> dict[str, pa.Table]:
    """The rows by id. Raises ValueError naming the first that was never set aside."""
    found = quarantine.find(ids)
    if row := next((row for row in ids if row not in found), None):
        raise unknown(quarantine, row)
    return found


def unknown(quarantine: Quarantine, row: str) -> ValueError:
    """What to say of a row that is not there."""
    project = quarantine.folder.name
    return ValueError(
        f"row {row!r} is not in quarantine; `gyre data quarantine list {project}` names the rows that are"
    )


def last_seen(quarantine: Quarantine, rows: Sequence[pa.Table]) -> dict[str, Any]:
    """Which quarantine the rows were seen in, and the limits of the rules that they broke there."""
    latest = quarantine.latest
    reasons = {reason for row in rows for reason in row["reasons"][0].as_py()}
    return {
        "seen": latest["quarantine"] or "",
        "limits": {reason: kwargs for reason, kwargs in latest["limits"].items() if reason in reasons},
    }


def format_values(row: pa.Table) -> dict[str, str | None]:
    """A row's values as texts of a bounded length; of pixels and other lists how many there are."""
    [values] = row.drop_columns([name for name in PLACES if name in row.column_names]).to_pylist()
    return {name: None if value is None else brief(value) for name, value in values.items()}


def brief(value: Any) -> str:
    """A value for people."""
    written = f"{len(value)} values" if isinstance(value, list) else str(value)
    return written if len(written) <= SHOWN_CHARACTERS else written[: SHOWN_CHARACTERS - 1] + "…"


EMPTY = pa.table({})
