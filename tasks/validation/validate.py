"""Raw rows against the project's rules: accepted, set aside with their reasons, or a reason to stop."""

import logging
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from configs.data import Validation
from infra.files import verified, whole_file, whole_folder
from tasks.dataset import part_paths, read, stored, write
from tasks.records import RawRows, ValidationReport
from tasks.validation import suite
from tasks.validation.suite import Checked

LOGGER = logging.getLogger("gyre.validation")


def validate(rows: RawRows, validation: Validation, output: Path, report_folder: Path) -> ValidationReport:
    """Checks the rows; writes `output`/rows (accepted), `output`/quarantine.parquet (where rows are set aside) and Data Docs.

    A rule of severity `quarantine` sets aside the rows that break it; `fail` stops the run, and so does a rule that cannot be checked
    or that has no rows to set aside; `warn` only reports. Raises ValueError for an expectation that Great Expectations does not take.
    """
    expectations = suite.build(validation)
    source = verified(rows.uri, rows.digest)
    frame = read(rows, columns=checkable(source))
    result = suite.run(expectations, frame)
    rules = suite.checked(result, validation)
    reasons = quarantine_reasons(rules)
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
        failures=tuple(failures(rules, quarantined, rows.rows, validation, frame)),
        report=str(page),
    )


def checkable(folder: Path) -> list[str]:
    """The columns that rules can be about: those whose values are single ones, not lists of pixels."""
    schema = pa.unify_schemas([pq.read_schema(path) for path in part_paths(folder)], promote_options="permissive")
    return [field.name for field in schema if not pa.types.is_nested(field.type)]


def quarantine_reasons(rules: list[Checked]) -> dict[str, list[str]]:
    """The rules that each row to be set aside breaks, by its key."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for checked in rules:
        if checked.outcome.severity == "quarantine":
            for key in checked.ids:
                reasons[key].append(checked.outcome.rule)
    return reasons


def separate(source: Path, reasons: dict[str, list[str]], folder: Path) -> int:
    """Writes the accepted rows as parts under `folder`/rows, the others to `folder`/quarantine.parquet; returns how many those are."""
    keys = pa.array(list(reasons), pa.string())
    aside = []

    def accepted() -> Iterator[pa.Table]:
        for path in part_paths(source):
            table = pq.read_table(path)
            broken = pc.is_in(table["id"].cast(pa.string()), keys)
            aside.append(table.filter(broken))
            yield table.filter(pc.invert(broken))

    (folder / "rows").mkdir()
    write(accepted(), folder / "rows")
    table = pa.concat_tables(aside, promote_options="permissive")
    if len(table):
        why = pa.array([reasons[key] for key in table["id"].to_pylist()], pa.list_(pa.string()))
        pq.write_table(table.append_column("reasons", why), folder / "quarantine.parquet", compression="zstd")
    return len(table)


def failures(rules: list[Checked], quarantined: int, rows: int, validation: Validation, frame: pd.DataFrame) -> Iterator[str]:
    """Why the run must stop."""
    for checked in rules:
        rule, severity = checked.outcome.rule, checked.outcome.severity
        if checked.raised:
            yield f"{rule} {checked.outcome.observed}; rules can be about the columns {', '.join(frame.columns)}"
        elif checked.outcome.success or severity == "warn":
            continue
        elif severity == "fail":
            yield f"{rule} does not hold: {checked.outcome.observed}"
        elif not checked.ids:
            yield f"{rule} does not hold: {checked.outcome.observed}; it has no rows to quarantine, so its severity is fail or warn"
    share = quarantined / rows
    if share > validation.max_quarantined:
        yield f"{quarantined} of {rows} rows quarantined ({share:.1%}); validation.max_quarantined is {validation.max_quarantined:.1%}"
    elif quarantined == rows:
        yield f"all {rows} rows are quarantined"
