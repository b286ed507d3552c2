"""Raw rows against the project's rules: accepted, set aside with their reasons, or a reason to stop."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from configs.data import Validation
from infra.files import shared, verified, whole_file, whole_folder
from tasks.dataset import part_paths, part_writer, schema_of, stored, tables, write_tables
from tasks.records import RawRows, ValidationReport
from tasks.validation import engine, suite
from tasks.validation.suite import Checked

LOGGER = logging.getLogger("gyre.validation")


def validate(rows: RawRows, validation: Validation, output: Path, report_folder: Path) -> ValidationReport:
    """Checks the rows; writes `output`/rows (accepted), `output`/quarantine.parquet (where rows are set aside) and Data Docs.

    A rule of severity `quarantine` sets aside the rows that break it; `fail` stops the run, and so does a rule that cannot be checked
    or that has no rows to set aside; `warn` only reports. Raises ValueError for an expectation that Great Expectations does not take.
    """
    expectations = suite.build(validation)
    source = verified(rows.uri, rows.digest)
    fields = checkable(source)
    with engine.opened(part_paths(source), fields) as questioned:
        result = suite.run(expectations, questioned)
        rules = suite.checked(result, validation)
        reasons = quarantine_reasons(rules, questioned)
    with whole_folder(output) as folder:
        quarantined = separate(source, reasons, folder)
    page = report_folder / "index.html"
    with whole_file(page) as temporary:
        temporary.write_text(suite.page(result), encoding="utf-8")
    LOGGER.info("%d rows checked against %d rules, %d quarantined", rows.rows, len(rules), quarantined)
    return ValidationReport(
        **stored(output / "rows").model_dump(),
        rows=rows.rows - quarantined,
        quarantined=quarantined,
        quarantine=stored(output / "quarantine.parquet") if quarantined else None,
        rules=tuple(checked.outcome for checked in rules),
        failures=tuple(failures(rules, quarantined, rows.rows, validation, [field.name for field in fields])),
        report=str(page),
    )


def checkable(folder: Path) -> list[pa.Field]:
    """The columns that rules can be about: those whose values are single ones, not lists of pixels."""
    return [field for field in schema_of(folder) if not pa.types.is_nested(field.type)]


def quarantine_reasons(rules: list[Checked], rows: engine.Rows) -> pa.Table:
    """The rules that each row to be set aside breaks: [id, reasons], a line a row."""
    pieces = []
    for checked in rules:
        if checked.outcome.severity == "quarantine" and checked.query:
            found = rows.keys(checked.query)
            pieces.append(found.append_column("reasons", pa.array([checked.outcome.rule] * len(found), pa.string())))
    if not pieces:
        return pa.table({"id": pa.array([], pa.string()), "reasons": pa.array([], pa.list_(pa.string()))})
    grouped = pa.concat_tables(pieces).group_by("id", use_threads=False).aggregate([("reasons", "list")])
    return grouped.rename_columns({"reasons_list": "reasons"}).select(["id", "reasons"])


def separate(source: Path, reasons: pa.Table, folder: Path) -> int:
    """Writes the accepted rows as parts under `folder`/rows, the others to `folder`/quarantine.parquet; returns how many those are.

    A part none of whose rows is set aside is the same file.
    """
    (folder / "rows").mkdir()
    keys = reasons["id"].combine_chunks()
    with part_writer(folder / "quarantine.parquet") as add:
        counts = [separate_part(path, keys, reasons, folder / "rows", add) for path in part_paths(source)]
    if not sum(counts):
        (folder / "quarantine.parquet").unlink(missing_ok=True)
    return sum(counts)


def separate_part(path: Path, keys: pa.Array, reasons: pa.Table, folder: Path, add: Callable[[pa.Table], None]) -> int:
    """One part's accepted rows into `folder`, the others to `add` with their reasons; returns how many those are."""
    aside = 0
    if not any(pc.any(pc.is_in(table["id"].cast(pa.string()), keys)).as_py() for table in tables(path, ["id"])):
        shared(path, folder / path.name)
        return 0

    def accepted() -> Iterator[pa.Table]:
        nonlocal aside
        for table in tables(path):
            places = pc.index_in(table["id"].cast(pa.string()), keys)
            broken = pc.is_valid(places)
            if count := pc.sum(broken).as_py():
                add(table.filter(broken).append_column("reasons", reasons["reasons"].take(places.drop_null())))
                aside += count
            yield table.filter(pc.invert(broken))

    write_tables(accepted(), folder / path.name)
    return aside


def failures(rules: list[Checked], quarantined: int, rows: int, validation: Validation, columns: list[str]) -> Iterator[str]:
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
