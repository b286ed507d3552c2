"""Raw rows against the project's rules: accepted, set aside with their reasons, or a reason to stop."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from configs.validation import ValidationConfig
from infra.files import link_or_copy, verify, whole_file, whole_folder, write_json
from infra.home import Home
from tasks.records import RawRows, RuleOutcome, ValidationBaseline, ValidationReport
from tasks.rows.parts import part_paths, part_writer, record_of, schema_of, tables, write_tables
from tasks.validation.checks import data_docs, engine, suite, version_comparison
from tasks.validation.checks.suite import Checked
from tasks.validation.review.amendments import Amendments
from tasks.validation.review.decisions import read_frozen

LOGGER = logging.getLogger("gyre.validation")


def validate(
    rows: RawRows,
    validation: ValidationConfig,
    output: Path,
    report_folder: Path,
    before: ValidationBaseline | None = None,
    home: Home | None = None,
) -> ValidationReport:
    """Checks the rows; writes `output`/rows (accepted), `output`/quarantine.parquet (where rows are set aside) and Data Docs.

    A rule of severity `quarantine` sets aside the rows that break it; `fail` stops the run, and so does a
    rule that cannot be checked or that has no rows to set aside; `warn` only reports. What people decided
    about rows (`before`) is laid over them first: a fixed row is checked with its new values, a released one
    passes, and `output`/decisions.json says what became of each. The rows that pass are compared with the
    last version, whose facts are in the data repo of `home`. Raises ValueError for an expectation that Great
    Expectations does not take.
    """
    before = before or ValidationBaseline()
    expectations = suite.build_suite(validation)
    source = verify(rows.uri, rows.digest)
    amendments, fields = Amendments(read_frozen(before.decisions)).look(part_paths(source)), checkable(source)
    with TemporaryDirectory(prefix="gyre-amended-") as scratch:
        parts = amendments.laid_over(part_paths(source), Path(scratch))
        with engine.open_engine(parts, fields) as questioned:
            result = suite.run_suite(expectations, questioned)
            rules = suite.outcomes_of(result, validation)
            reasons = quarantine_reasons(rules, questioned)
    quarantined, decided = write_outcome(source, reasons, amendments, output)
    across = version_comparison.compare_versions(
        part_paths(output / "rows"), validation.against_last, before, home
    )
    page = write_data_docs(data_docs.page(result), across, report_folder / "index.html")
    LOGGER.info(
        "%d rows checked against %d rules, %d quarantined", rows.rows, len(rules) + len(across), quarantined
    )
    rules += [Checked(outcome, None, raised=False) for outcome in across]
    return ValidationReport(
        **record_of(output / "rows").model_dump(),
        rows=rows.rows - quarantined,
        quarantined=quarantined,
        quarantine=record_of(output / "quarantine.parquet") if quarantined else None,
        decisions=record_of(output / "decisions.json") if decided else None,
        decided=sum(row["holds"] for row in decided),
        lapsed=sum(not row["holds"] for row in decided),
        rules=tuple(checked.outcome for checked in rules),
        failures=tuple(failures(rules, quarantined, rows.rows, validation, [field.name for field in fields])),
        report=str(page),
    )


def write_outcome(
    source: Path, reasons: pa.Table, amendments: Amendments, output: Path
) -> tuple[int, list[dict[str, Any]]]:
    """Writes the stage's folder; returns the rows set aside and what became of each decided row."""
    with whole_folder(output) as folder:
        return separate(source, reasons, folder, amendments), write_decided(
            amendments, reasons, folder / "decisions.json"
        )


def write_data_docs(page: str, across: list[RuleOutcome], path: Path) -> Path:
    """Writes Data Docs' page, with the rules across versions below Great Expectations' own."""
    with whole_file(path) as temporary:
        temporary.write_text(
            page.replace("</body>", f"{version_comparison.section(across)}</body>"), encoding="utf-8"
        )
    return path


def checkable(folder: Path) -> list[pa.Field]:
    """The columns that rules can be about: those whose values are single ones, not lists of pixels."""
    return [field for field in schema_of(folder) if not pa.types.is_nested(field.type)]


def quarantine_reasons(rules: list[Checked], rows: engine.Rows) -> pa.Table:
    """The rules that each row to be set aside breaks: [id, reasons], a line a row."""
    pieces = []
    for checked in rules:
        if checked.outcome.severity == "quarantine" and checked.query:
            found = rows.keys(checked.query)
            pieces.append(
                found.append_column("reasons", pa.array([checked.outcome.rule] * len(found), pa.string()))
            )
    if not pieces:
        return pa.table({"id": pa.array([], pa.string()), "reasons": pa.array([], pa.list_(pa.string()))})
    grouped = pa.concat_tables(pieces).group_by("id", use_threads=False).aggregate([("reasons", "list")])
    return grouped.rename_columns({"reasons_list": "reasons"}).select(["id", "reasons"])


def write_decided(amendments: Amendments, reasons: pa.Table, path: Path) -> list[dict[str, Any]]:
    """Writes and returns what became of each decided row; nothing is written where there is none."""
    ids = pa.array([standing.row for standing in amendments.standings], pa.string())
    broken = reasons.filter(pc.is_in(reasons["id"], ids)).to_pylist()
    outcomes = amendments.outcomes({row["id"]: row["reasons"] for row in broken})
    for row in outcomes:
        if not row["holds"]:
            LOGGER.warning(
                "row %s: decision %s no longer holds: %s",
                row["row"],
                row["decisions"][-1]["number"],
                row["became"],
            )
    if outcomes:
        write_json(path, outcomes)
    return outcomes


def separate(source: Path, reasons: pa.Table, folder: Path, amendments: Amendments) -> int:
    """Writes the accepted rows as parts under `folder`/rows, the others to `folder`/quarantine.parquet.

    Returns how many those are.

    A part none of whose rows is set aside or fixed is the same file.
    """
    (folder / "rows").mkdir()
    reasons = reasons.filter(pc.invert(pc.is_in(reasons["id"], amendments.released)))
    keys = reasons["id"].combine_chunks()
    with part_writer(folder / "quarantine.parquet") as add:
        counts = [
            separate_part(path, keys, reasons, folder / "rows", add, amendments)
            for path in part_paths(source)
        ]
    if not sum(counts):
        (folder / "quarantine.parquet").unlink(missing_ok=True)
    return sum(counts)


def separate_part(
    path: Path,
    keys: pa.Array,
    reasons: pa.Table,
    folder: Path,
    add: Callable[[pa.Table], None],
    amendments: Amendments,
) -> int:
    """One part's accepted rows into `folder`, the others as the source has them to `add`.

    Returns how many those are.
    """
    aside, fixed = 0, path.name in amendments.changed
    if not fixed and not any(
        pc.any(pc.is_in(table["id"].cast(pa.string()), keys)).as_py() for table in tables(path, ["id"])
    ):
        link_or_copy(path, folder / path.name)
        return 0

    def accepted() -> Iterator[pa.Table]:
        nonlocal aside
        for table in tables(path):
            places = pc.index_in(table["id"].cast(pa.string()), keys)
            broken = pc.is_valid(places)
            if count := pc.sum(broken).as_py():
                add(
                    table.filter(broken).append_column("reasons", reasons["reasons"].take(places.drop_null()))
                )
                aside += count
            yield (amendments.fixed(table) if fixed else table).filter(pc.invert(broken))

    write_tables(accepted(), folder / path.name)
    return aside


def failures(
    rules: list[Checked], quarantined: int, rows: int, validation: ValidationConfig, columns: list[str]
) -> Iterator[str]:
    """Why the run must stop."""
    for checked in rules:
        rule, severity = checked.outcome.rule, checked.outcome.severity
        if checked.raised:
            yield f"{rule} {checked.outcome.observed}; rules can be about the columns {', '.join(columns)}"
        elif checked.outcome.success or severity == "warn":
            continue
        elif severity == "fail":
            yield f"{rule} does not hold: {checked.outcome.observed}"
        elif not checked.query:
            yield f"{rule} does not hold: {checked.outcome.observed}; it has no rows to quarantine, so its severity is fail or warn"
    share = quarantined / rows
    if share > validation.max_quarantined:
        yield f"{quarantined} of {rows} rows quarantined ({share:.1%}); validation.max_quarantined is {validation.max_quarantined:.1%}"
    elif quarantined == rows:
        yield f"all {rows} rows are quarantined"
