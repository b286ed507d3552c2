"""What `gyre predict` does.

A person's rows to the model server, and its answers with all that belongs to them.

No torch and no pandas, but where an intake is a user's own: they take longer to import than everything else
here takes.
"""

import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from configs.intake import ImageIntakeConfig, TabularIntakeConfig, TextIntakeConfig
from configs.project import Project
from tasks.prediction.answered_rows import answered_rows
from tasks.prediction.contract_values import by_contract
from tasks.prediction.decoded_rows import decoded_rows, image_rows
from tasks.prediction.row_files import SUFFIXES, Format, read_records
from tasks.prediction.row_values import input_columns, raw_rows
from tasks.production.inference_client import InferenceClient
from tasks.rows.raw import Rows

ROWS_A_REQUEST = 1000
"""The server takes a few more; a larger file becomes several requests."""


def predict_rows(
    config: Project, client: InferenceClient, path: Path, form: Format | None, allow_missing: bool
) -> dict[str, Any]:
    """The answers about a file's rows (`-`: standard input), ready to be printed or written as JSON.

    model, version, rows (row, answer, probability where there is one, id for late labels), notices, and the
    server's own responses. Raises ValueError naming file, row, column and value; InferenceError where the
    server is away or refuses.
    """
    described = client.columns()
    rows, notices = rows_of_file(config, described["columns"], path, form, allow_missing)
    responses, found = [], []
    for start in range(0, len(rows), ROWS_A_REQUEST):
        part = rows[start : start + ROWS_A_REQUEST]
        response = client.infer(part, uuid4().hex)
        responses.append(response)
        found += [{"row": start + each["row"]} | each for each in answered_rows(response, len(part))]
        notices += response.get("parameters", {}).get("notices", [])
    degraded = next(
        (
            response["parameters"]["degraded"]
            for response in responses
            if "degraded" in response.get("parameters", {})
        ),
        None,
    )
    told = {"model": config.name, "version": responses[0]["model_version"], "rows": found, "notices": notices}
    return told | ({"degraded": degraded} if degraded else {}) | {"responses": responses}


def rows_of_file(
    config: Project, described: list[dict[str, Any]], path: Path, form: Format | None, allow_missing: bool
) -> tuple[Rows, list[str]]:
    """Raw rows and notices.

    Rows of columns or texts are read as the model that answers was trained, others as the YAML's intake says.
    """
    standard_input = str(path) == "-"
    name = "standard input" if standard_input else str(path)
    if not (standard_input or path.is_file()):
        raise ValueError(
            f"{path}: no such file; want CSV, JSON or JSON lines, an image, or - for standard input"
        )
    is_image = form is None and not standard_input and path.suffix.lower() not in SUFFIXES
    if isinstance(config.intake, (TabularIntakeConfig, TextIntakeConfig)):
        section = config.intake if isinstance(config.intake, TabularIntakeConfig) else None
        dates = {date: section.date_formats.get(date) for date in section.dates} if section else {}
        columns = input_columns(described, config.source.columns, dates, by_contract)
        names = {each for column in columns for each in column.names}
        records = read_records(content_of(path), name, form, config.source.csv, names)
        return raw_rows(records, name, columns, allow_missing)
    records = [path] if is_image else read_records(content_of(path), name, form, config.source.csv, ())
    if isinstance(config.intake, ImageIntakeConfig):
        return image_rows(records, name, config.intake)
    from tasks.intake import build_intake

    return decoded_rows(records, name, build_intake(config.intake).decode), []


def explain_rows(client: InferenceClient, path: Path) -> dict[str, Any]:
    """Why a file's rows are answered so. Raises ValueError where there is none, and InferenceError."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; want CSV, JSON or JSON lines, or an image")
    content_types = {"csv": "text/csv", "json": "application/json", "jsonl": "application/x-ndjson"}
    form = SUFFIXES.get(path.suffix.lower())
    return client.explain(path.read_bytes(), content_types[form] if form else "application/octet-stream")


def content_of(path: Path) -> bytes:
    """The bytes of a file, or of standard input."""
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
