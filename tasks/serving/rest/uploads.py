"""What people send to /predict: an image, a text, CSV or JSON, alone or in a form, as raw rows of a model.

The readers are `gyre predict`'s (tasks/prediction/); the bundle says how the model's rows are read.
"""

import io
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from configs.source import CsvConfig
from tasks.prediction.row_files import SUFFIXES, Format, read_records
from tasks.prediction.row_values import input_columns, raw_rows
from tasks.rows.raw import TEXT, Rows, are_columns
from tasks.serving.models.model import Signature
from tasks.serving.protocol.model_facts import described_columns
from tasks.serving.protocol.refusal import Refusal, shorten

FORMATS: dict[str, Format] = {
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/json": "json",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
}
"""By content type."""
FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
IMAGES = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
"""Formats that are opened.

Others, such as PostScript, would have another program run on what a client sent.
"""
MAX_PIXELS = 40_000_000
"""Of one image: three bytes each in memory, several times over while it is read."""
MAX_FIELDS = 1000
TEXT_LIMIT = 2**21
"""Bytes of CSV, JSON, a text or a form's fields.

Reading them holds Python's lock, and so everybody else up.
"""


@dataclass(frozen=True)
class Upload:
    """One file, or the fields of a form."""

    content: bytes
    content_type: str = ""
    """Without its parameters; empty where nobody said."""
    name: str = "the body"
    """How errors call it: a file's name, where it has one."""
    fields: dict[str, str] = field(default_factory=dict)
    """Values by column of a form without a file; then there is no content."""


def upload_of(body: bytes, content_type: str) -> Upload:
    """What a body of a content type holds. Raises Refusal."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == MULTIPART:
        return upload_of_form(body, content_type)
    # curl's --data says that it sends a form, whatever it sends.
    if kind == FORM and body.lstrip()[:1] in (b"{", b"["):
        kind = "application/json"
    if kind == FORM and b"=" in body:
        check_text(len(body), "the body")
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
        except ValueError as error:
            raise Refusal(400, f"the body is not {FORM}: {error}") from None
        return Upload(b"", fields=fields_of(pairs))
    return Upload(body, "" if kind == FORM else kind)


def upload_of_form(body: bytes, content_type: str) -> Upload:
    """The one file of a multipart form, or its fields. Raises Refusal."""
    import multipart

    _, options = multipart.parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if not boundary:
        raise Refusal(
            400, f"Content-Type is {shorten(content_type)}; want multipart/form-data with its boundary"
        )
    try:
        # All of it stays in memory, where the body is anyway: by default larger files go to the disk.
        room = len(body) + 1
        parser = multipart.MultipartParser(
            io.BytesIO(body),
            boundary,
            len(body),
            strict=True,
            part_limit=MAX_FIELDS,
            spool_limit=room,
            memory_limit=room,
        )
        parts = list(parser)
        files = [part for part in parts if part.filename]
        texts = [(part.name, part.value) for part in parts if not part.filename]
    except (multipart.MultipartError, UnicodeDecodeError, ValueError) as error:
        raise Refusal(400, f"the body is not multipart/form-data: {error}") from None
    if len(files) > 1 or (files and texts):
        names = ", ".join(shorten(part.name) for part in parts)
        raise Refusal(400, f"the form has {names}; want one file, or a field for each column")
    if not files:
        return Upload(b"", fields=fields_of(texts))
    return Upload(files[0].raw, files[0].content_type.partition(";")[0].lower(), files[0].filename)


def fields_of(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Values by column. Refuses a column that comes twice, since which one is meant is not known."""
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise Refusal(400, f"the form has {shorten(name)} twice; want one value a column")
        fields[name] = value
    return fields


def rows_of_upload(
    upload: Upload, project: str, signature: Signature, allow_missing: bool
) -> tuple[Rows, list[str]]:
    """Raw rows of a version, and notices of what is odd about them. Raises Refusal."""
    try:
        if are_columns(signature.inputs) or [spec.dtype for spec in signature.inputs] == [TEXT]:
            return column_rows(upload, signature, allow_missing)
        if signature.intake is not None and signature.intake.get("kind") == "image":
            return picture_rows(upload, signature)
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    raise Refusal(
        415, f"model {project!r} takes rows of its own kind, which only POST /v2/models/{project}/infer takes"
    )


def column_rows(upload: Upload, signature: Signature, allow_missing: bool) -> tuple[Rows, list[str]]:
    """Rows of a model that takes values in columns, or one text. Raises ValueError."""
    given = signature.intake or {}
    written = given.get("date_formats", {})
    dates = {name: written.get(name) for name in (*given.get("dates", ()), *signature.date_formats)}
    columns = input_columns(described_columns(signature), {}, dates)
    is_text = len(columns) == 1 and columns[0].spec.dtype == TEXT and columns[0].categories is None
    check_text(len(upload.content), upload.name)
    if upload.fields:
        records: list[Any] = [upload.fields]
    elif is_text and upload.content_type in ("text/plain", ""):
        records = [text_of(upload)]
    else:
        records = read_records(
            upload.content, upload.name, format_of(upload), CsvConfig(), {each.name for each in columns}
        )
    return raw_rows(records, upload.name, columns, allow_missing)


def check_text(size: int, name: str) -> None:
    """Refuses (413) more text than may be read at once."""
    if size > TEXT_LIMIT:
        raise Refusal(
            413,
            f"{name}: has {size} bytes; want at most {TEXT_LIMIT} at once, and `gyre score` takes any number",
        )


def text_of(upload: Upload) -> str:
    """The body as one text. Raises ValueError."""
    try:
        return upload.content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{upload.name}: byte {error.start} is not UTF-8; send the text in UTF-8") from None


def format_of(upload: Upload) -> Format | None:
    """The format that the content type says; None where it says none, and name or content must tell.

    Refuses (415) one that no model reads.
    """
    if upload.content_type in FORMATS:
        return FORMATS[upload.content_type]
    if upload.content_type in ("", "text/plain", "application/octet-stream"):
        return None
    raise Refusal(
        415,
        f"Content-Type is {shorten(upload.content_type)}; this model takes {', '.join(FORMATS)} or a form with a "
        "field for each column",
    )


def picture_rows(upload: Upload, signature: Signature) -> tuple[Rows, list[str]]:
    """Rows of a model that takes images: an image file, or pixels in JSON. Raises ValueError."""
    from configs.intake import ImageIntakeConfig
    from tasks.prediction.decoded_rows import image_rows

    section = ImageIntakeConfig.model_validate(signature.intake)
    if upload.fields:
        raise ValueError(
            f"the form has {', '.join(map(shorten, upload.fields))} and no file; want an image file"
        )
    suffix = upload.name[upload.name.rfind(".") :].lower()
    form = FORMATS.get(upload.content_type) or SUFFIXES.get(suffix)
    if form:
        check_text(len(upload.content), upload.name)
        records = read_records(upload.content, upload.name, form, CsvConfig(), ())
        return image_rows(records, upload.name, section)
    check_picture(upload)
    return image_rows([io.BytesIO(upload.content)], upload.name, section)


def check_picture(upload: Upload) -> None:
    """Refuses what is no image of a known format, and (413) one of too many pixels.

    Its header alone is read.
    """
    from PIL import Image, UnidentifiedImageError

    few = f"want at most {MAX_PIXELS} pixels, so make it smaller"
    try:
        with Image.open(io.BytesIO(upload.content), formats=IMAGES) as opened:
            width, height = opened.size
    except Image.DecompressionBombError:
        raise Refusal(413, f"{upload.name}: is far too large; {few}") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        wanted = ", ".join(IMAGES)
        raise Refusal(
            400, f"{upload.name}: is no image that can be read; want {wanted}, or pixels in JSON"
        ) from None
    if width * height > MAX_PIXELS:
        raise Refusal(413, f"{upload.name}: is {width} x {height} pixels; {few}")
