"""Image files of a folder or a tar or zip archive, each resized to the project's intake; labels from a CSV file or the folders' names.

An archive is read member by member and never unpacked: no name in it is ever a path on this machine.
"""

import hashlib
import io
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from configs.data import Limits, Source
from configs.project import Intake as IntakeSection
from tasks import content
from tasks.ingestion.location import File, filesystem, name_of, place
from tasks.ingestion.readers import Slice, counted
from tasks.ingestion.readers.archives import members

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
IMAGES_A_SLICE = 5_000
IMAGES_A_TABLE = 500
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")


def slices(source: Source, intake: IntakeSection, label: str) -> list[Slice]:
    """An archive is one slice, a folder one for every IMAGES_A_SLICE files. Raises ValueError where there are none."""
    template = place(source)
    system, path = filesystem(template, source.options)
    if system.isfile(path):
        if not path.lower().endswith(ARCHIVES):
            raise ValueError(f"{name_of(source)}: is no folder or archive; want one of {', '.join(ARCHIVES)}")
        file = File(template, template, source.options)
        beside = labels_beside(source, template)
        told: list[Any] = [file.content(), beside.content() if beside else None, source.images.model_dump()]
        return [Slice(file.name, told, partial(read_archive, file, beside, source, intake, label))]
    found = sorted(name[len(path.rstrip("/")) + 1 :] for name in system.find(path) if name.lower().endswith(SUFFIXES))
    if not found:
        raise ValueError(f"{name_of(source)}: holds no image ({', '.join(SUFFIXES)}); set source.path to a folder or archive of images")
    beside = labels_beside(source, template.rstrip("/") + "/x")
    groups = [found[start : start + IMAGES_A_SLICE] for start in range(0, len(found), IMAGES_A_SLICE)]
    made = []
    for group in groups:
        files = [File(template, f"{template.rstrip('/')}/{name}", source.options) for name in group]
        known = hashlib.sha256("".join(file.content() for file in files).encode()).hexdigest()
        facts: list[Any] = [known, group, beside.content() if beside else None, source.images.model_dump()]
        made.append(Slice(PurePosixPath(template).name, facts, partial(read_folder, files, group, beside, source, intake, label)))
    return made


def labels_beside(source: Source, sibling: str) -> File | None:
    """The file of labels beside `sibling`, where the source has one there."""
    if not source.images.labels:
        return None
    file = File(sibling, f"{sibling.rpartition('/')[0]}/{source.images.labels}", source.options)
    system, path = file.system()
    return file if system.exists(path) else None


def read_folder(
    files: list[File], names: list[str], beside: File | None, source: Source, intake: IntakeSection, label: str
) -> Iterator[pa.Table]:
    """The rows of some files."""

    def pairs() -> Iterator[tuple[str, bytes]]:
        for file, name in zip(files, names, strict=True):
            with file.open() as stream:
                yield name, stream.read()

    return counted(rows(pairs(), opened_labels(beside, source), source, intake, label))


def read_archive(file: File, beside: File | None, source: Source, intake: IntakeSection, label: str) -> Iterator[pa.Table]:
    """An archive's rows, in its own order. Raises ValueError naming a member that climbs out, is a link or a bomb."""
    labels = opened_labels(beside, source)
    if source.images.labels and labels is None:
        for name, data in members(file, (source.images.labels,), source.limits):
            labels = table_of(data, name, source)
        if labels is None:
            raise ValueError(f"{file.name}: no file {source.images.labels!r} beside or inside it (source.images.labels)")
    return counted(rows(members(file, SUFFIXES, source.limits), labels, source, intake, label))


def opened_labels(beside: File | None, source: Source) -> pd.DataFrame | None:
    """The table of labels of a file."""
    if beside is None:
        return None
    with beside.open() as stream:
        return table_of(stream.read(), beside.name, source)


def table_of(data: bytes, name: str, source: Source) -> pd.DataFrame:
    """A CSV of labels, a line a file. Raises ValueError where it does not name files."""
    frame = pd.read_csv(io.BytesIO(data), dtype=str, sep=source.csv.delimiter)
    column = source.images.file_column
    if column not in frame:
        raise ValueError(f"{name}: no column {column!r}; it has {', '.join(frame.columns)}; set source.images.file_column")
    return frame.drop_duplicates(column, keep="last").set_index(column, drop=False)


def rows(
    images: Iterator[tuple[str, bytes]], labels: pd.DataFrame | None, source: Source, intake: IntakeSection, label: str
) -> Iterator[pa.Table]:
    """Tables of `file`, `id`, the intake's columns, the label or the columns of the labels, and the digest of each file's bytes.

    `id` is the file's path, where that is the source's key and the labels have no such column.
    """
    from tasks import intake as intakes

    built, waiting, pixels = intakes.build(intake), [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, data in images:
            if labels is not None and (key := key_of(name, labels)) is None:
                continue
            found = {label: PurePosixPath(name).parent.name or None} if labels is None else dict(labels.loc[key])
            facts: dict[str, Any] = {str(column): value for column, value in found.items()}
            facts = {"file": name, content.COLUMN: content.digest_of_bytes(data)} | facts
            if source.key == "id":
                facts.setdefault("id", name)
            waiting.append(facts)
            pixels.append(decoded(name, data, built, source.limits, Path(folder)))
            if len(waiting) == IMAGES_A_TABLE:
                yield joined(waiting, built.frame(np.concatenate(pixels)))
                waiting, pixels = [], []
    if waiting:
        yield joined(waiting, built.frame(np.concatenate(pixels)))


def joined(facts: list[dict[str, Any]], images: pd.DataFrame) -> pa.Table:
    """What is known of some images beside their columns, which win where both have a name."""
    frame = pd.DataFrame(facts).astype({content.COLUMN: "uint64"}).assign(**{str(name): images[name].to_list() for name in images})
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def key_of(name: str, labels: pd.DataFrame) -> str | None:
    """A file's name as the labels have it: its whole path or the end of it; None where it has no line."""
    parts = PurePosixPath(name).parts
    return next((key for start in range(len(parts)) if (key := "/".join(parts[start:])) in labels.index), None)


def decoded(name: str, data: bytes, intake: Any, limits: Limits, folder: Path) -> Any:
    """One row of the intake. Raises ValueError for what is no image or has more pixels than limits.pixels, as its header says."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
        if width * height > limits.pixels:
            raise ValueError(
                f"{name}: {width} x {height} pixels; at most {limits.pixels:,} are read (source.limits.pixels): an image bomb?"
            )
        path = folder / f"image{PurePosixPath(name).suffix}"
        path.write_bytes(data)
        return intake.decode(path)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).replace(str(folder), "")[:120]
        raise ValueError(f"{name}: cannot be read as an image ({type(error).__name__}: {reason}); mend it or take it out") from None
