"""Image files of a folder or a tar or zip archive, each resized to the project's intake.

Labels from a CSV file or the folders' names.

An archive is read member by member and never unpacked: no name in it is ever a path on this machine.
"""

import hashlib
import io
import re
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from configs.intake import ImageIntakeConfig, IntakeConfig
from configs.source import ImagesConfig, LimitsConfig, SourceConfig
from tasks.ingestion.lines import count_lines
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.readers import Partition
from tasks.ingestion.readers.archives import members
from tasks.ingestion.readers.location import File, filesystem, location_of, name_of
from tasks.rows import content_hash
from tasks.rows.images import UnreadableImageError, image_row

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
IMAGES_A_SLICE = 5_000
IMAGES_A_TABLE = 500
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")


def is_image(name: str) -> bool:
    """Whether a file is an image by its name; what macOS keeps beside files (._cat.jpg, __MACOSX) is none."""
    path = PurePosixPath(name)
    return name.lower().endswith(SUFFIXES) and not path.name.startswith("._") and "__MACOSX" not in path.parts


def partitions(source: SourceConfig, intake: IntakeConfig, label: str) -> list[Partition]:
    """An archive is one partition, a folder one for every IMAGES_A_SLICE files.

    Raises ValueError where there are none.
    """
    template = location_of(source)
    system, path = filesystem(template, source.options)
    if system.isfile(path):
        if not path.lower().endswith(ARCHIVES):
            raise ValueError(f"{name_of(source)}: is no folder or archive; want one of {', '.join(ARCHIVES)}")
        file = File(template, template, source.options)
        beside = labels_beside(source, template)
        told: list[Any] = [file.content(), beside.content() if beside else None, source.images.model_dump()]
        return [
            Partition(
                file.name, told, partial(read_archive, file, beside, source, intake, label), counting=True
            )
        ]
    found = names_of(system, path)
    if not found:
        raise ValueError(
            f"{name_of(source)}: holds no image ({', '.join(SUFFIXES)}); set source.path to a folder or archive of images"
        )
    beside = labels_beside(source, template.rstrip("/") + "/x")
    groups = [found[start : start + IMAGES_A_SLICE] for start in range(0, len(found), IMAGES_A_SLICE)]
    made = []
    for number, group in enumerate(groups):
        files = [File(template, f"{template.rstrip('/')}/{name}", source.options) for name in group]
        known = hashlib.sha256("".join(file.content() for file in files).encode()).hexdigest()
        facts: list[Any] = [known, group, beside.content() if beside else None, source.images.model_dump()]
        read = partial(read_folder, files, group, beside, source, intake, label, first=number == 0)
        made.append(Partition(PurePosixPath(template).name, facts, read, counting=True))
    return made


def names_of(system: Any, folder: str) -> list[str]:
    """The images of a folder and those below it, by their paths in it, sorted."""
    return sorted(name[len(folder.rstrip("/")) + 1 :] for name in system.find(folder) if is_image(name))


def labels_beside(source: SourceConfig, sibling: str) -> File | None:
    """The file of labels beside `sibling`, where the source has one there."""
    if not source.images.labels:
        return None
    file = File(sibling, f"{sibling.rpartition('/')[0]}/{source.images.labels}", source.options)
    system, path = file.system()
    return file if system.exists(path) else None


def read_folder(
    files: list[File],
    names: list[str],
    beside: File | None,
    source: SourceConfig,
    intake: IntakeConfig,
    label: str,
    conversions: Conversions | None = None,
    first: bool | None = None,
) -> Iterator[pa.Table]:
    """The rows of some files.

    first: whether they are the first of the folder's partitions; None where they are a few for a look
    """

    def pairs() -> Iterator[tuple[str, bytes]]:
        for file, name in zip(files, names, strict=True):
            with file.open() as stream:
                yield name, stream.read()

    labels, conversions = open_labels(beside, source), conversions or Conversions()
    yield from count_lines(rows(pairs(), labels, source, intake, label, conversions))
    note_absent(labels, source, conversions, first)


def read_archive(
    file: File,
    beside: File | None,
    source: SourceConfig,
    intake: IntakeConfig,
    label: str,
    conversions: Conversions | None = None,
) -> Iterator[pa.Table]:
    """An archive's rows, in its own order.

    Raises ValueError naming a member that climbs out, is a link or a bomb.
    """
    labels = open_labels(beside, source)
    if source.images.labels and labels is None:
        for name, data in members(file, (source.images.labels,), source.limits):
            labels = table_of(data, name, source)
        if labels is None:
            raise ValueError(
                f"{file.name}: no file {source.images.labels!r} beside or inside it (source.images.labels)"
            )
    conversions = conversions or Conversions()
    images = (member for member in members(file, SUFFIXES, source.limits) if is_image(member[0]))
    yield from count_lines(rows(images, labels, source, intake, label, conversions))
    note_absent(labels, source, conversions, first=True)


def note_absent(
    labels: pd.DataFrame | None, source: SourceConfig, conversions: Conversions, first: bool | None
) -> None:
    """Notes the lines of the labels that no image has.

    The first partition has all of them, and each takes away those that it found.
    """
    if labels is None or source.rows or first is None:
        return
    lines = labels.attrs["lines"] if first else 0
    conversions.add("absent_images", str(source.images.labels), lines - len(labels.attrs["found"]), lines)


def open_labels(beside: File | None, source: SourceConfig) -> pd.DataFrame | None:
    """The table of labels of a file."""
    if beside is None:
        return None
    with beside.open() as stream:
        return table_of(stream.read(), beside.name, source)


def table_of(data: bytes, name: str, source: SourceConfig) -> pd.DataFrame:
    """A CSV of labels, a line a file. Raises ValueError where it does not name files."""
    frame = pd.read_csv(io.BytesIO(data), dtype=str, sep=source.csv.delimiter)
    column = source.images.file_column
    if column not in frame:
        raise ValueError(
            f"{name}: no column {column!r}; it has {', '.join(frame.columns)}; set source.images.file_column"
        )
    named = frame.drop_duplicates(column, keep="last").set_index(column, drop=False)
    named.attrs.update(lines=len(frame), found=set())
    return named


def rows(
    images: Iterator[tuple[str, bytes]],
    labels: pd.DataFrame | None,
    source: SourceConfig,
    intake: IntakeConfig,
    label: str,
    conversions: Conversions,
) -> Iterator[pa.Table]:
    """Tables of `file`, `id`, the intake's columns, the label or the columns of the labels, and the digest of each file's bytes.

    `id` is the file's path, where that is the source's key and the labels have no such column. Files that are
    left out or changed are noted in `conversions`.
    """
    from tasks.intake import build_intake

    built, waiting, pixels = build_intake(intake), [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, data in images:
            key = key_of(name, labels) if labels is not None else None
            if labels is not None:
                conversions.add(
                    "unlabelled_images",
                    str(source.images.labels),
                    int(key is None),
                    1,
                    [name] if key is None else [],
                )
                if key is None:
                    continue
                labels.attrs["found"].add(key)
            image = decode_image(name, data, built, source.limits, Path(folder), conversions)
            if image is None:
                continue
            found = {label: label_by_name(name, source.images)} if labels is None else dict(labels.loc[key])
            facts: dict[str, Any] = {str(column): value for column, value in found.items()}
            facts = {"file": name, content_hash.COLUMN: content_hash.digest_of_bytes(data)} | facts
            if source.key == "id":
                facts.setdefault("id", name)
            waiting.append(facts)
            pixels.append(image)
            if len(waiting) == IMAGES_A_TABLE:
                yield join_facts(waiting, built.frame(np.concatenate(pixels)))
                waiting, pixels = [], []
    if waiting:
        yield join_facts(waiting, built.frame(np.concatenate(pixels)))


def join_facts(facts: list[dict[str, Any]], images: pd.DataFrame) -> pa.Table:
    """What is known of some images beside their columns, which win where both have a name."""
    frame = (
        pd.DataFrame(facts)
        .astype({content_hash.COLUMN: "uint64"})
        .assign(**{str(name): images[name].to_list() for name in images})
    )
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def key_of(name: str, labels: pd.DataFrame) -> str | None:
    """A file's name as the labels have it: its path or the end of it, with or without its suffix.

    None where it has no line.
    """
    path = PurePosixPath(name)
    for parts in (path.parts, path.with_suffix("").parts):
        for start in range(len(parts)):
            if (key := "/".join(parts[start:])) in labels.index:
                return key
    return None


def label_by_name(name: str, images: ImagesConfig) -> str | None:
    """The label that an image's folder or, with label_pattern, its own name gives.

    None where it gives none.
    """
    path = PurePosixPath(name)
    if images.label_pattern is None:
        return path.parent.name or None
    found = re.search(images.label_pattern, path.stem)
    return found[1] if found else None


def decode_image(
    name: str, data: bytes, intake: Any, limits: LimitsConfig, folder: Path, conversions: Conversions
) -> Any:
    """One row of the intake; None for what is no image, which is noted.

    Raises ValueError for more pixels than limits.pixels.
    """
    from tasks.intake.image import ImageRows

    try:
        check_pixels(name, data, limits)
        if isinstance(intake, ImageRows):
            row, changes = image_row(io.BytesIO(data), intake.section)
            note(name, changes, intake.section, conversions)
        else:
            path = folder / f"image{PurePosixPath(name).suffix}"
            path.write_bytes(data)
            row = intake.decode(path)
    except UnreadableImageError as error:
        conversions.add("unreadable_images", "", 1, 1, [f"{name} {error}"])
        conversions.leave_out("unreadable_images", name, None, str(error), name)
        return None
    except ValueError as error:
        raise ValueError(str(error) if str(error).startswith(name) else f"{name}: {error}") from None
    conversions.add("unreadable_images", "", 0, 1)
    return row


def check_pixels(name: str, data: bytes, limits: LimitsConfig) -> None:
    """Raises UnreadableImageError for what is no image, ValueError for one that is too large to be unpacked, as its header says."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
    except Image.DecompressionBombError as error:
        raise ValueError(f"{name}: cannot be read as an image: {error}") from None
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        reason = "is no image" if isinstance(error, UnidentifiedImageError) else str(error)[:80]
        raise UnreadableImageError(f"cannot be read as an image ({type(error).__name__}: {reason})") from None
    if width * height > limits.pixels:
        told = f"{width} x {height} pixels; at most {limits.pixels:,} are read (source.limits.pixels): an image bomb?"
        raise ValueError(f"{name}: {told}")


def note(name: str, changes: dict[str, str], section: ImageIntakeConfig, conversions: Conversions) -> None:
    """Notes what was changed of an image."""
    about = {"resized_images": f"intake.resize {section.resize} to {section.width} x {section.height}"}
    for check in ("resized_images", "lost_colours", "converted_images"):
        told = changes.get(check)
        kinds = {told: 1} if told and check != "lost_colours" else None
        conversions.add(
            check,
            about.get(check, section.column),
            int(told is not None),
            1,
            [name] if told is not None else [],
            kinds,
        )
