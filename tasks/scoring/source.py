"""A person's rows as a source that is read as the training rows were: the same contract, the same way to write a CSV file."""

from pathlib import Path

from configs.intake import ImageIntakeConfig, IntakeConfig, TabularIntakeConfig
from configs.load import load
from configs.source import CsvConfig, SourceConfig
from tasks.ingestion.parsing.layout import intake_columns
from tasks.ingestion.partitions.sources import inherit
from tasks.ingestion.readers.csv_header import header
from tasks.ingestion.readers.csv_lines import fields
from tasks.ingestion.readers.location import File, location_of, matching_files, name_of
from tasks.ingestion.schema_inference.file_formats import files_of, sniff_source
from tasks.ingestion.schema_inference.images import holds_images

BESIDE = (".refused.jsonl", ".score.json")
"""Endings of the files beside a CSV file of scores."""


def source_at(
    location: str, training: SourceConfig, intake: IntakeConfig, table: str | None = None
) -> SourceConfig:
    """The source at a path, glob or URL, or the one that a project's YAML names; `table` names one of a database.

    training: the project's own source, whose contract, key and joins hold here too. Raises ValueError where none
    can be told.
    """
    if location.endswith((".yaml", ".yml")):
        return as_trained(load(location).source, training)
    if isinstance(intake, ImageIntakeConfig) and holds_images(location):
        # Labels are no part of what is asked: every image is, whether it has a line in them or not.
        return as_trained(SourceConfig(reader="images", path=location, images=training.images), training)
    files = files_of(location)
    found = sniff_source(files[0] if files else location, table)
    found = found.model_copy(update={"path": location})
    if found.reader == "csv":
        needed = source_names(training, intake)
        found = found.model_copy(update={"csv": dialect(found, training, needed)})
    return as_trained(found, training)


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
    """The columns that the model takes, as the training rows' source calls them; those of joined sources are not among them."""
    contract = training.columns
    return {
        (contract[name].source or name) if name in contract else name
        for name in intake_columns(intake)
        if not contract or name in contract or not training.join
    }


def dialect(found: SourceConfig, training: SourceConfig, needed: set[str]) -> CsvConfig:
    """How the CSV files are written: as the training rows' were, unless what was found in the first file gives more of the columns."""
    file = matching_files(found)[0]
    forms = [training.csv, found.csv] if training.reader == "csv" else [found.csv, CsvConfig()]
    return max(forms, key=lambda form: len(needed & set(column_names(file, form, found))))


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
    # The names of the YAML are those of all columns: a file with one less does not say which it lacks.
    return names if len(fields(line.rstrip("\r\n"), form)) == len(names) else ()


def local_path(location: str) -> str:
    """A location as a flow run anywhere understands it: paths of this machine absolute, URLs and variables as they are."""
    return location if "://" in location or location.startswith("$") else str(Path(location).resolve())


def with_date_formats(intake: IntakeConfig, formats: dict[str, str]) -> IntakeConfig:
    """The intake with the formats of dates that the version was trained with; a column without one there was ISO 8601."""
    if not isinstance(intake, TabularIntakeConfig):
        return intake
    return intake.model_copy(update={"date_formats": {**intake.date_formats, **formats}})


def check_apart(source: SourceConfig, target: Path) -> None:
    """Raises ValueError where a target is, or would be, among the files that are scored: the next run would score the scores."""
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
