"""A person's rows as a source that is read as the training rows were.

The same contract, the same way to write a CSV file.
"""

import re
from pathlib import Path

from configs.intake import ImageIntakeConfig, IntakeConfig, TabularIntakeConfig
from configs.load import load
from configs.source import CsvConfig, SourceConfig
from tasks.ingestion.parsing.layout import intake_columns
from tasks.ingestion.partitions.sources import inherit
from tasks.ingestion.readers.csv_header import header
from tasks.ingestion.readers.csv_lines import fields
from tasks.ingestion.readers.location import File, location_of, matching_files, name_of
from tasks.ingestion.schema_inference.file_formats import READERS, files_of, sniff_source
from tasks.ingestion.schema_inference.images import holds_images

BESIDE = (".refused.jsonl", ".score.json")
"""Endings of the files beside a CSV file of scores."""


def source_at(
    location: str,
    training: SourceConfig,
    intake: IntakeConfig,
    table: str | None = None,
    label: str | None = None,
) -> SourceConfig:
    """The source at a path, glob or URL, or the one that a project's YAML names.

    `table` names one of a database.

    training: the project's own source, whose contract, key and joins hold here too
    label: the column with the truth, which a file to be scored need not have. Raises ValueError where none
    can be told.
    """
    if location.endswith((".yaml", ".yml")):
        return as_trained(load(location).source, training)
    if isinstance(intake, ImageIntakeConfig) and holds_images(location):
        # Labels are no part of what is asked: every image is, whether it has a line in them or not.
        return as_trained(SourceConfig(reader="images", path=location, images=training.images), training)
    files = files_of(location)
    needed = source_names(training, intake)
    first = files[0] if files else location
    if training.reader == "csv" and is_csv(first):
        asked = SourceConfig(reader="csv", path=location)
        for form in forms_of_training(training.csv, label):
            if needed <= set(column_names(matching_files(asked)[0], form, asked)):
                return as_trained(asked.model_copy(update={"csv": form}), training)
    found = sniff_source(first, table)
    return as_trained(found.model_copy(update={"path": location}), training)


def is_csv(location: str) -> bool:
    """Whether a file's name says CSV, packed or not."""
    plain = re.sub(r"\.(gz|bz2|xz|zst)$", "", location.lower().partition("?")[0])
    return READERS.get(plain.rpartition(".")[2]) == "csv"


def forms_of_training(form: CsvConfig, label: str | None) -> list[CsvConfig]:
    """How a CSV file may be written if it is written as the training rows' was.

    As it was, with a header line, or without the label.
    """
    named = form.model_copy(update={"names": (), "header": None})
    unlabelled = form.model_copy(update={"names": tuple(name for name in form.names if name != label)})
    return list(dict.fromkeys([form, named, *([unlabelled] if unlabelled.names else [])]))


def reading_notices(source: SourceConfig, training: SourceConfig) -> tuple[str, ...]:
    """What was concluded about how a source is written, for a person to check."""
    names, missing = source.csv.names, [name for name in training.csv.names if name not in source.csv.names]
    if source.reader == "csv" and names and len(missing) == 1:
        return (
            f"the file has {len(names)} columns and no header line; they are taken for those of source.csv.names without "
            f"{missing[0]!r}, the label",
        )
    return ()


def as_trained(found: SourceConfig, training: SourceConfig) -> SourceConfig:
    """A source with the contract, the key, the limits and the joins of the training rows' where it has none of its own."""
    if found.rows is not None and found.reader != "synthetic":
        raise ValueError(f"source.rows is {found.rows}; all rows are scored, so take it out")
    if found.append:
        raise ValueError(
            "source.append: score each source by itself, as each has a target and a report of its own"
        )
    own = inherit(found, training)
    joins = found.join if "join" in found.model_fields_set else training.join
    images = own.images.model_copy(update={"labels": None})
    changes = {"extra": "keep", "join": joins, "watermark": None, "images": images}
    return own.model_copy(update=changes)


def source_names(training: SourceConfig, intake: IntakeConfig) -> set[str]:
    """The columns that the model takes, as the training rows' source calls them.

    Those of joined sources are not among them.
    """
    contract = training.columns
    return {
        (contract[name].source or name) if name in contract else name
        for name in intake_columns(intake)
        if not contract or name in contract or not training.join
    }


def column_names(file: File, form: CsvConfig, source: SourceConfig) -> tuple[str, ...]:
    """The columns that a file has where it is written so; none where it cannot be."""
    try:
        names, start = header(file, form, source.limits)
        if form.has_header:
            return names
        with file.open(file.compression()) as stream:
            stream.read(start)
            line = stream.readline(source.limits.line_bytes + 1).decode(form.encoding)
    except (ValueError, LookupError):
        return ()
    # The names of the YAML are those of all columns in their order.
    return names if len(fields(line.rstrip("\r\n"), form)) == len(names) else ()


def local_path(location: str) -> str:
    """A location as a flow run anywhere understands it.

    Paths of this machine absolute, URLs and variables as they are.
    """
    return location if "://" in location or location.startswith("$") else str(Path(location).resolve())


def with_date_formats(intake: IntakeConfig, formats: dict[str, str]) -> IntakeConfig:
    """The intake with the formats of dates that the version was trained with.

    A column without one there was ISO 8601.
    """
    if not isinstance(intake, TabularIntakeConfig):
        return intake
    return intake.model_copy(update={"date_formats": {**intake.date_formats, **formats}})


def check_apart(source: SourceConfig, target: Path) -> None:
    """Raises ValueError where a target is, or would be, among the files that are scored.

    The next run would score the scores.
    """
    if source.reader not in ("csv", "jsonl", "parquet"):
        return
    place = Path(location_of(source))
    files = [file.local for file in matching_files(source)]
    own = [
        path for path in files if path and (path == target or target in path.parents or beside(path, target))
    ]
    if own or (place.is_dir() and place in target.parents):
        raise ValueError(
            f"{target}: lies among the files that are scored ({name_of(source)}), which would take the scores for rows; give another --to"
        )


def beside(path: Path, target: Path) -> bool:
    """Whether a file is one that is written beside a CSV file as target."""
    names = [f"{target.name}{suffix}" for suffix in BESIDE]
    return path.parent == target.parent and path.name in names
