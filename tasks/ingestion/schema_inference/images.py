"""The `source`, `intake` and `result` sections of a folder or archive of images, with what was noticed."""

import io
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from configs.intake import ImageIntakeConfig
from configs.source import ImagesConfig, LimitsConfig, SourceConfig
from tasks.ingestion.readers.archives import members
from tasks.ingestion.readers.images import ARCHIVES, SUFFIXES, is_image, key_of, label_by_name
from tasks.ingestion.readers.location import File, filesystem
from tasks.ingestion.schema_inference.tables import flow, without_password
from tasks.rows.images import UnreadableImageError, picture_size, read_picture

DECODED = 300
"""Images whose pixels are looked at, the first of each folder before others; of all others the header alone.
"""
LARGEST = 256
"""Pixels of the longer side that are proposed at most: a network on more takes long, and a person may set it.
"""
SAMPLED = 400
"""Images that rules are learned from."""
SAMPLED_PIXELS = 500_000_000
"""Of them together: photographs take a tenth of a second each."""
MOST_CLASSES = 1000
NAME_PATTERNS = (
    r"^([^\W\d_]+)[-_. ]*\d+$",
    r"^([^\W\d_]+)[-_. ]",
    r"\d[-_. ]*([^\W\d_]+)$",
    r"[-_. ]([^\W\d_]+)$",
)
"""Names of images that may hold a label: before or behind a number, or another part."""
MOST_NAMED, FEWEST_NAMED, NAMED = 50, 5, 0.95
"""Labels that names give at most, images of each at least, and the share of the images that must have one."""
NO_CLASSES = (
    "result: is missing, as nothing tells the labels: the images do not lie in folders of their classes, "
    "no CSV file names them (source.images.labels), and their names show no label (source.images.label_pattern)"
)
SHOWN = 3
LABEL_NAMES = ("label", "class", "target", "category", "classname", "species", "diagnosis", "y")


@dataclass
class FolderContents:
    """What a look at all files shows."""

    names: list[str] = field(default_factory=list)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    first: dict[tuple[int, int], str] = field(default_factory=dict)
    """A name of each size."""
    broken: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Files that are no images by their names."""
    tables: dict[str, bytes] = field(default_factory=dict)
    """CSV files, which may hold labels."""
    coloured: int = 0
    decoded: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    """What reading changes of an image besides its size."""


@dataclass(frozen=True)
class InferredImages:
    """What was inferred from a folder or archive of images."""

    yaml: str
    """The sections `source`, `intake` and `result`."""
    source: SourceConfig
    intake: ImageIntakeConfig
    missing: str
    """What a project needs and the files do not tell; empty where they tell all."""
    sample: dict[str, str | None]
    """Files from which rules can be learned, of all labels alike, and their labels."""


def infer_images(location: str) -> InferredImages:
    """The sections. Raises ValueError where there is no image that can be read."""
    source = SourceConfig(reader="images", path=location)
    seen = look(source)
    if not seen.sizes:
        raise ValueError(f"{location}: holds no image that can be read ({', '.join(SUFFIXES)})")
    labels = labels_of(seen) or labels_in_names(seen)
    lines = [
        f"# inferred from {len(seen.names):,} images; read it, and change what you know better",
        "source:",
    ]
    lines += ["  reader: images", f"  path: {flow(without_password(location))}"]
    if labels:
        lines.append(f"  images: {flow(labels.images.model_dump(exclude_defaults=True))}  # {labels.remark}")
    lines += [f"  # {told}" for told in about_files(seen)]
    intake = intake_of(seen)
    result = list(result_lines(seen, labels))
    missing = "" if result else NO_CLASSES
    text = "\n".join([*lines, *intake_lines(seen, intake), *(result or [f"# {missing}"])]) + "\n"
    return InferredImages(text, source, intake, missing, sample_names(seen, labels))


def look(source: SourceConfig) -> FolderContents:
    """A look at every file of a folder or archive."""
    seen, folders = FolderContents(), Counter[str]()
    for name, data in files_and_labels(source):
        suffix = PurePosixPath(name).suffix.lower()
        if suffix == ".csv":
            seen.tables[name] = data
        elif not is_image(name):
            seen.others.append(name)
        else:
            folder = str(PurePosixPath(name).parent)
            folders[folder] += 1
            look_at(
                name,
                data,
                seen,
                pixels=seen.decoded < DECODED and folders[folder] <= max(5, DECODED // len(folders)),
            )
    return seen


def look_at(name: str, data: bytes, seen: FolderContents, pixels: bool) -> None:
    """Notes one image."""
    from PIL import Image

    seen.names.append(name)
    try:
        size = picture_size(io.BytesIO(data))
        if pixels and size[0] * size[1] <= LimitsConfig().pixels:
            section = ImageIntakeConfig(kind="image", width=min(size[0], 4096), height=min(size[1], 4096))
            _, changes = read_picture(io.BytesIO(data), section)
            seen.decoded += 1
            seen.coloured += "lost_colours" in changes
            seen.changes.update(told for told in changes.get("converted_images", "").split(", ") if told)
    except (UnreadableImageError, OSError, SyntaxError, Image.DecompressionBombError):
        seen.broken.append(name)
        return
    seen.sizes[size] += 1
    seen.first.setdefault(size, name)


def files_and_labels(source: SourceConfig) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of a folder's or archive's files, and of the CSV files beside an archive."""
    place = str(source.path)
    system, path = filesystem(place, {})
    if system.isfile(path):
        yield from members(File(place, place), ("",), source.limits)
        for beside in sorted(system.glob(f"{PurePosixPath(path).parent}/*.csv")):
            yield PurePosixPath(beside).name, system.cat_file(beside)
        return
    for name in sorted(system.find(path)):
        image = name.lower().endswith((*SUFFIXES, ".csv"))
        yield name[len(path.rstrip("/")) + 1 :], system.cat_file(name) if image else b""


@dataclass(frozen=True)
class Labels:
    """Labels that a CSV file or the images' own names have."""

    images: ImagesConfig
    label: str | None
    """The column's name; None where they have none."""
    by_name: dict[str, str | None]
    """Of every image, None where it has no line."""
    remark: str

    @property
    def classes(self) -> Counter[str]:
        """How many images have each label."""
        return Counter(label for label in self.by_name.values() if label is not None)


def labels_of(seen: FolderContents) -> Labels | None:
    """The CSV file whose lines name most images, where they are at least half; None where there is none."""
    best: Labels | None = None
    most = (0, 0)
    for name, data in seen.tables.items():
        try:
            frame = pd.read_csv(io.BytesIO(data), dtype=str)
        except ValueError:
            continue
        for column in frame.columns:
            keyed = frame.drop_duplicates(column).set_index(column, drop=False)
            found = [key for image in seen.names if (key := key_of(image, keyed)) is not None]
            label = label_column(keyed.loc[list(dict.fromkeys(found))], str(column))
            # A column of running numbers names 1.png too, but the one that has its whole name is meant.
            fit = (len(found), sum(key.lower().endswith(SUFFIXES) for key in found))
            if fit > most and 2 * len(found) >= len(seen.names) and label:
                most = fit
                remark = f"{len(found):,} of {len(seen.names):,} images have one of its {len(frame):,} lines"
                images = ImagesConfig(labels=name, file_column=str(column))
                by_key = keyed[label].dropna().to_dict()
                by_name = {image: by_key.get(key_of(image, keyed)) for image in seen.names}
                best = Labels(images, label, by_name, remark)
    return best


def labels_in_names(seen: FolderContents) -> Labels | None:
    """The labels of images that lie in one folder and are called cat_001.jpg or 001-cat.jpg.

    None where names say nothing.
    """
    folders = {str(PurePosixPath(name).parent) for name in seen.names}
    for pattern in NAME_PATTERNS if len(folders) == 1 else ():
        images = ImagesConfig(label_pattern=pattern)
        by_name = {name: label_by_name(name, images) for name in seen.names}
        counts = Counter(label for label in by_name.values() if label is not None)
        told = f"taken for labels of {counts.total():,} of {len(by_name):,} images; look whether they are"
        found = Labels(images, None, by_name, told)
        usual = 2 <= len(counts) <= MOST_NAMED and min(counts.values()) >= FEWEST_NAMED
        if usual and counts.total() >= NAMED * len(seen.names):
            return found
    return None


def sample_names(seen: FolderContents, labels: Labels | None) -> dict[str, str | None]:
    """Up to SAMPLED images with their labels, fewer of large ones.

    Each label in turn, the same every time.
    """
    pixels = sum(width * height * count for (width, height), count in seen.sizes.items()) / seen.sizes.total()
    broken = set(seen.broken)
    waiting = dict[str | None, list[str]]()
    for name in sorted(set(seen.names) - broken, key=lambda name: (zlib.crc32(name.encode()), name)):
        label = labels.by_name[name] if labels else PurePosixPath(name).parent.name or None
        waiting.setdefault(label, []).append(name)
    turns = [(turn, name, label) for label, names in waiting.items() for turn, name in enumerate(names)]
    turns.sort(key=lambda each: each[0])
    count = min(SAMPLED, int(SAMPLED_PIXELS / max(1, pixels)))
    return {name: label for _, name, label in turns[:count]}


def sampled_files(found: InferredImages) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the sample's files; an archive is read once more for them."""
    place = str(found.source.path)
    system, path = filesystem(place, {})
    if system.isfile(path):
        every = members(File(place, place), SUFFIXES, found.source.limits)
        yield from ((name, data) for name, data in every if name in found.sample)
        return
    for name in found.sample:
        yield name, system.cat_file(f"{path.rstrip('/')}/{name}")


def label_column(frame: pd.DataFrame, file_column: str) -> str | None:
    """The column that most likely is the label: one with a usual name, else that with the fewest classes."""
    different = {str(name): frame[name].nunique() for name in frame.columns if str(name) != file_column}
    known = {
        name: count
        for name, count in different.items()
        if 2 <= count <= min(MOST_CLASSES, max(2, len(frame) / 2))
    }
    usual = [name for name in known if name.lower() in LABEL_NAMES]
    return next(iter([*usual, *sorted(known, key=lambda name: known[name])]), None)


def about_files(seen: FolderContents) -> Iterator[str]:
    """What is odd about the files."""
    for names, told in (
        (seen.broken, "cannot be read as images"),
        (seen.others, "are no images by their names"),
    ):
        if names:
            yield f"{len(names):,} files {told}: {', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}"
    for change, count in seen.changes.most_common():
        yield f"{count:,} of {seen.decoded:,} images that were looked at closely: {change}"


def intake_of(seen: FolderContents) -> ImageIntakeConfig:
    """The most frequent size, scaled down where it is large; grey or colour."""
    width, height = seen.sizes.most_common(1)[0][0]
    scale = min(1.0, LARGEST / max(width, height))
    return ImageIntakeConfig(
        kind="image",
        height=max(1, round(height * scale)),
        width=max(1, round(width * scale)),
        channels=3 if seen.coloured else 1,
    )


def intake_lines(seen: FolderContents, intake: ImageIntakeConfig) -> Iterator[str]:
    """The intake's section."""
    (width, height), times = seen.sizes.most_common(1)[0]
    smaller = (
        f"; scaled down from {width} x {height}" if (intake.width, intake.height) != (width, height) else ""
    )
    yield "intake:"
    yield "  kind: image"
    yield f"  height: {intake.height}"
    yield f"  width: {intake.width}  # {times:,} of {seen.sizes.total():,} images have this size{smaller}"
    yield f"  channels: {intake.channels}  # {seen.coloured:,} of {seen.decoded:,} images that were looked at closely have colours"
    if odd := seen.sizes.total() - times:
        others = [
            f"{size[0]} x {size[1]} ({count:,}, such as {seen.first[size]})"
            for size, count in seen.sizes.most_common()[1:]
        ]
        told = f"{', '.join(others[:SHOWN])}{', ...' if len(others) > SHOWN else ''}"
        yield f"  resize: stretch  # or pad, crop or error: {odd:,} images have another size: {told}"


def result_lines(seen: FolderContents, labels: Labels | None) -> Iterator[str]:
    """The result's section: classes of the labels, or of the folders' names; nothing where there are none."""
    classes = labels.classes if labels else Counter(PurePosixPath(name).parent.name for name in seen.names)
    if len(classes) < 2 or not all(classes):
        return
    rows = ", ".join(f"{name} {count:,}" for name, count in classes.most_common(12))
    yield "result:"
    yield "  kind: classification"
    if labels and labels.label:
        yield f"  label: {flow(labels.label)}"
    yield f"  classes: {flow(sorted(map(str, classes)))}  # {rows}{', ...' if len(classes) > 12 else ''}"
    above = {str(PurePosixPath(name).parent.parent) for name in seen.names}
    if not labels and len(above) > 1:
        yield f"# the classes' folders lie in {', '.join(sorted(above)[:6])}: all are read together, and Gyre makes splits of its own"


def holds_images(location: str) -> bool:
    """Whether a folder of this machine, or an archive by its name, is one of images."""
    if location.lower().endswith(ARCHIVES):
        return True
    folder = Path(location)
    return (
        "://" not in location
        and folder.is_dir()
        and any(file.suffix.lower() in SUFFIXES for file in folder.rglob("*"))
    )
