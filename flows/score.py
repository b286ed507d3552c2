"""Batch scoring: all rows of a source, answered by a released version, in a Parquet folder, a CSV file or a table of a database.

Started by a person; the same command goes on where a run that was killed stood.
"""

from typing import Literal

from prefect import State, flow
from prefect.states import Completed

from flows.ending import project_name, refusable
from flows.parameters import load_requested
from tasks.pipeline.findings.task import review
from tasks.records import ScoreReport
from tasks.scoring.task import score as score_rows


@flow(flow_run_name=project_name, log_prints=True)
@refusable
def score(
    project: str,
    source: str,
    target: str,
    source_table: str | None = None,
    table: str | None = None,
    version: int | None = None,
    existing: Literal["refuse", "replace", "append"] = "refuse",
    allow_missing: bool = False,
    overrides: dict[str, str] | None = None,
    signature: str | None = None,
) -> State[ScoreReport | None]:
    """The rows of `source` through the version that serves, or another one, into `target`.

    project: name of a project, or path of its YAML
    source: path, glob or URL of rows, or a YAML whose `source` says how they are read
    target: a folder, a path that ends in .csv, or SQLAlchemy's URL of a database
    source_table, table: of databases, the one to read and the one to write
    version: in the registry; none: the one that serves
    existing: what becomes of scores in the target that are not of these rows by this version
    allow_missing: whether a column that the source does not have counts as missing in every row
    overrides: dotted keys of the YAML with the values to use instead
    signature: the gyre command's: nobody else may name files
    """
    asked = {
        "source": source,
        "target": target,
        "source_table": source_table,
        "table": table,
        "version": version,
        "existing": existing,
        "allow_missing": allow_missing,
    }
    config = load_requested("score", project, overrides, signature, asked)
    report = score_rows(
        config.name,
        source,
        target,
        source_table,
        table,
        version,
        existing,
        allow_missing,
        config.source,
        config.intake,
        config.result.label,
        config.cluster,
    )
    review(config.name, report.findings, config.checks)
    return Completed(message=report.summary, data=report)
