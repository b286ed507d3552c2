"""Images of folders and archives, in the size of the intake.

Archives and images that are made to harm are refused.
"""

import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from configs.intake import ImageIntakeConfig
from configs.source import ImagesConfig, LimitsConfig, SourceConfig

INTAKE = ImageIntakeConfig(kind="image", height=4, width=4, channels=3)


def png(grey, size=(8, 8)):
    stream = io.BytesIO()
    Image.new("RGB", size, (grey, grey, grey)).save(stream, "PNG")
    return stream.getvalue()


def packed(path, files, change=None):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if change:
                change(member)
            archive.addfile(member, io.BytesIO(data))
    return SourceConfig(reader="images", path=str(path))


def test_a_folder_names_its_labels(tables, tmp_path):
    for label, grey in (("cat", 10), ("dog", 200)):
        (tmp_path / "in" / label).mkdir(parents=True)
        (tmp_path / "in" / label / "1.png").write_bytes(png(grey))
    (table,) = tables(SourceConfig(reader="images", path=str(tmp_path / "in")), INTAKE)
    assert table["id"].to_pylist() == ["cat/1.png", "dog/1.png"]
    assert table["kind"].to_pylist() == ["cat", "dog"]
    assert np.array_equal(table["image"][1].as_py(), [200] * 48)


@pytest.mark.parametrize("inside", [True, False])
def test_an_archive_takes_labels_from_a_file_inside_or_beside_it(tables, tmp_path, inside):
    labels = b"file,kind,id\nb.png,dog,2\na.png,cat,1\n"
    files = {"x/a.png": png(1), "x/b.png": png(2), "x/unlabelled.png": png(3)} | (
        {"x/labels.csv": labels} if inside else {}
    )
    source = packed(tmp_path / "a.tar.gz", files).model_copy(
        update={"images": ImagesConfig(labels="labels.csv")}
    )
    if not inside:
        (tmp_path / "labels.csv").write_bytes(labels)
    (table,) = tables(source, INTAKE)
    assert list(zip(table["id"].to_pylist(), table["kind"].to_pylist(), strict=True)) == [
        ("1", "cat"),
        ("2", "dog"),
    ]


def test_a_zip_is_read_like_a_tar(tables, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat/1.png", png(7))
    (table,) = tables(SourceConfig(reader="images", path=str(tmp_path / "a.zip")), INTAKE)
    assert table.select(["id", "kind"]).to_pylist() == [{"id": "cat/1.png", "kind": "cat"}]


def test_what_macos_keeps_beside_images_is_no_image(tables, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat/1.png", png(7))
        archive.writestr("__MACOSX/cat/._1.png", b"resources")
    (tmp_path / "in" / "cat").mkdir(parents=True)
    (tmp_path / "in" / "cat" / "1.png").write_bytes(png(7))
    (tmp_path / "in" / "cat" / "._1.png").write_bytes(b"resources")
    for place in ("a.zip", "in"):
        (table,) = tables(SourceConfig(reader="images", path=str(tmp_path / place)), INTAKE)
        assert table["id"].to_pylist() == ["cat/1.png"]


def test_a_pattern_takes_labels_from_names_and_a_name_without_one_has_none(tables, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("cat_1.png", "dog_2.png", "3.png"):
        (tmp_path / "in" / name).write_bytes(png(7))
    source = SourceConfig(
        reader="images", path=str(tmp_path / "in"), images=ImagesConfig(label_pattern="^([a-z]+)_")
    )
    (table,) = tables(source, INTAKE)
    assert dict(zip(table["id"].to_pylist(), table["kind"].to_pylist(), strict=True)) == {
        "3.png": None,
        "cat_1.png": "cat",
        "dog_2.png": "dog",
    }


def test_real_images_of_an_archive(data, run, tmp_path):
    source = SourceConfig(
        reader="images",
        path=str(data / "cifar10" / "train.tar.gz"),
        images=ImagesConfig(labels="labels.csv"),
        rows=200,
        key="file",
    )
    from configs.result import ClassificationResultConfig

    result = ClassificationResultConfig(
        kind="classification", classes=("airplane", "cat"), label="clean_label"
    )
    made, frame, _ = run(source, ImageIntakeConfig(kind="image", height=32, width=32, channels=3), result)
    assert made.rows.rows == 200
    assert frame["image"].iloc[0].shape == (3072,)
    assert {"brightness", "clean_label", "annotator_1", "origin_line"} <= set(frame.columns)


@pytest.mark.parametrize("name", ["../up.png", "/etc/up.png", "a/../../up.png", "..\\up.png", "C:\\up.png"])
def test_a_member_that_climbs_out_is_refused(tables, tmp_path, name):
    with pytest.raises(ValueError, match=r"a.tar.gz: member .*up.png' climbs out of the archive"):
        tables(packed(tmp_path / "a.tar.gz", {name: png(1)}), INTAKE)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, png(1))
    with pytest.raises(ValueError, match=r"a.zip: member .*up.png' climbs out of the archive"):
        tables(SourceConfig(reader="images", path=str(tmp_path / "a.zip")), INTAKE)


@pytest.mark.parametrize(
    ("kind", "said"), [(tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "link"), (tarfile.FIFOTYPE, "device")]
)
def test_a_member_that_is_a_link_or_device_is_refused(tables, tmp_path, kind, said):
    def change(member):
        member.type, member.linkname = kind, "/etc/passwd"

    with pytest.raises(ValueError, match=rf"a.tar.gz: member 'a.png' is a {said}; it is refused whole"):
        tables(packed(tmp_path / "a.tar.gz", {"a.png": b""}, change), INTAKE)


def test_an_image_bomb_is_refused_by_its_header(tables, tmp_path):
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100_000)), (b"IEND", b"")]
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )
    with pytest.raises(
        ValueError,
        match=r"cat/a.png: (60000 x 60000 pixels; at most 50,000,000 are read|cannot be read as an image)",
    ):
        tables(packed(tmp_path / "a.tar.gz", {"cat/a.png": bomb}), INTAKE)
    small = SourceConfig(reader="images", path=str(tmp_path / "b.tar.gz"), limits=LimitsConfig(pixels=10))
    packed(tmp_path / "b.tar.gz", {"cat/a.png": png(1, (4, 3))})
    with pytest.raises(
        ValueError,
        match=r"b.tar.gz: member|cat/a.png: 4 x 3 pixels; at most 10 are read \(source.limits.pixels\)",
    ):
        tables(small, INTAKE)


def test_a_zip_bomb_is_refused_by_what_it_says(tables, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"\0" * 3_000_000)
    with pytest.raises(
        ValueError, match=r"a.zip: member 'a.png' says 3,000,000 bytes; at most 800,000 are read"
    ):
        tables(
            SourceConfig(reader="images", path=str(tmp_path / "a.zip"), limits=LimitsConfig(pixels=100_000)),
            INTAKE,
        )


def test_what_is_no_image_or_archive_is_named(tables, tmp_path):
    (tmp_path / "b.tar").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"b.tar: cannot be read as an archive"):
        tables(SourceConfig(reader="images", path=str(tmp_path / "b.tar")), INTAKE)
    with pytest.raises(ValueError, match="holds no image"):
        (tmp_path / "empty").mkdir()
        tables(SourceConfig(reader="images", path=str(tmp_path / "empty")), INTAKE)


@pytest.fixture
def found(run, tmp_path):
    """The pixels of images by their names, and the findings of a folder `name: bytes` that is read by two workers."""

    def ingested(files, intake=INTAKE, **section):
        for name, data in files.items():
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        made, frame, _ = run(SourceConfig(reader="images", path=str(tmp_path / "in"), **section), intake)
        pixels = {row.file: np.reshape(row.image, (4, 4, -1)) for row in frame.itertuples()}
        return pixels, {each.check: each for each in made.rows.findings}

    return ingested


def saved(image, form="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def halves(size, left=0, right=200, mode="L"):
    """An image that is dark on the left and bright on the right."""
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def test_broken_and_cut_off_files_are_left_out_counted_and_named(found):
    whole = saved(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)))
    pixels, findings = found(
        {"cat/a.png": whole, "cat/b.png": b"nonsense", "cat/c.png": whole[: len(whole) // 2]}
    )
    broken = findings["unreadable_images"]
    assert list(pixels) == ["cat/a.png"]
    assert (broken.count, broken.total) == (2, 3)
    assert broken.examples[0].startswith("cat/b.png cannot be read as an image (UnidentifiedImageError")
    assert broken.examples[1].startswith(
        "cat/c.png cannot be read as an image (OSError: image file is truncated"
    )


def test_images_of_other_sizes_are_counted_by_size(found):
    small, large = png(9, (4, 4)), png(9, (300, 200))
    _, findings = found(
        {"cat/a.png": small, "cat/b.png": large, "cat/c.png": large, "cat/d.png": png(9, (5, 4))}
    )
    told = findings["resized_images"]
    assert (told.about, told.count, told.total) == ("intake.resize stretch to 4 x 4", 3, 4)
    assert told.examples[:2] == ("300 x 200 (2)", "5 x 4 (1)")


@pytest.mark.parametrize(
    ("resize", "row"), [("stretch", [0, 0, 200, 200]), ("crop", [0, 0, 200, 200]), ("pad", [0, 0, 200, 200])]
)
def test_the_rule_says_what_becomes_of_another_size(found, resize, row):
    intake = INTAKE.model_copy(update={"channels": 1, "resize": resize, "background": 7})
    pixels, _ = found({"cat/a.png": saved(halves((8, 4)))}, intake)
    image = pixels["cat/a.png"][:, :, 0]
    padded = [[7] * 4, row, row, [7] * 4]
    expected = padded if resize == "pad" else [row] * 4
    assert np.abs(image.astype(int) - expected).max() <= (40 if resize != "crop" else 0)
    assert (image[0, 0] == 7) == (resize == "pad")


def test_another_size_stops_the_run_where_it_is_an_error(found):
    with pytest.raises(ValueError, match=r"cat/a.png: is 8 x 8; want 4 x 4 \(intake.resize: error\)"):
        found({"cat/a.png": png(1)}, INTAKE.model_copy(update={"resize": "error"}))


def test_colours_that_are_lost_are_counted_and_grey_kept_as_colour_is_none(found):
    grey = INTAKE.model_copy(update={"channels": 1})
    _, findings = found(
        {"cat/a.png": saved(Image.new("RGB", (4, 4), (255, 0, 0))), "cat/b.png": png(9, (4, 4))}, grey
    )
    lost = findings["lost_colours"]
    assert (lost.count, lost.total, lost.examples) == (1, 2, ("cat/a.png",))
    assert lost.advice == "set intake.channels to 3"


def test_an_image_that_exif_turns_is_turned(found):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    pixels, findings = found({"cat/a.png": saved(halves((4, 4), mode="RGB", right=(200,) * 3), exif=exif)})
    assert pixels["cat/a.png"][0, :, 0].tolist() == [200, 200, 0, 0]
    assert findings["converted_images"].examples[0] == "turned as EXIF says (1)"


def test_what_is_transparent_shows_the_background(found):
    pixels, findings = found(
        {"cat/a.png": saved(Image.new("RGBA", (4, 4), (0, 0, 0, 0)))},
        INTAKE.model_copy(update={"background": 90}),
    )
    assert set(pixels["cat/a.png"].ravel()) == {90}
    assert findings["converted_images"].examples[0] == "transparent pixels on the background (1)"


def test_sixteen_bits_keep_their_order_and_cmyk_and_frames_are_told(found):
    deep = Image.fromarray(np.array([[0, 1000, 30_000, 65_535]] * 4, np.uint16))
    frames = saved(Image.new("L", (4, 4)), "GIF", save_all=True, append_images=[Image.new("L", (4, 4), 9)])
    inks = saved(Image.new("CMYK", (4, 4)), "JPEG")
    pixels, findings = found({"cat/a.png": saved(deep), "cat/b.gif": frames, "cat/c.jpg": inks})
    assert pixels["cat/a.png"][0, :, 0].tolist() == [0, 3, 116, 255]
    assert set(findings["converted_images"].examples[:3]) == {
        "16 bits to 8 (1)",
        "CMYK to RGB (1)",
        "first frame of several (1)",
    }


def test_images_without_labels_and_labels_without_images_are_counted(found, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "labels.csv").write_text("file,kind\na.png,cat\ngone.png,dog\na.png,dog\n")
    _, findings = found({"a.png": png(1), "b.png": png(2)}, images=ImagesConfig(labels="labels.csv"))
    assert (findings["unlabelled_images"].count, findings["unlabelled_images"].examples) == (1, ("b.png",))
    assert (findings["absent_images"].count, findings["absent_images"].total) == (2, 3)


def test_a_clients_image_is_read_as_training_rows_are(found, tmp_path):
    from tasks.intake import build_intake

    data = saved(halves((30, 10), mode="RGBA", left=(0, 0, 0, 0), right=(9, 99, 200, 128)))
    intake = INTAKE.model_copy(update={"resize": "pad", "background": 60})
    pixels, _ = found({"cat/a.png": data}, intake)
    (tmp_path / "asked.png").write_bytes(data)
    assert np.array_equal(
        build_intake(intake).decode(tmp_path / "asked.png")["image"][0], pixels["cat/a.png"]
    )
