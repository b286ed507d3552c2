"""Images of folders and archives, in the size of the intake; archives and images that are made to harm are refused."""

import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from configs.data import Images, Limits, Source
from configs.project import ImageIntake

INTAKE = ImageIntake(kind="image", height=4, width=4, channels=3)


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
    return Source(reader="images", path=str(path))


def test_a_folder_names_its_labels(tables, tmp_path):
    for label, grey in (("cat", 10), ("dog", 200)):
        (tmp_path / "in" / label).mkdir(parents=True)
        (tmp_path / "in" / label / "1.png").write_bytes(png(grey))
    (table,) = tables(Source(reader="images", path=str(tmp_path / "in")), INTAKE)
    assert table["id"].to_pylist() == ["cat/1.png", "dog/1.png"]
    assert table["kind"].to_pylist() == ["cat", "dog"]
    assert np.array_equal(table["image"][1].as_py(), [200] * 48)


@pytest.mark.parametrize("inside", [True, False])
def test_an_archive_takes_labels_from_a_file_inside_or_beside_it(tables, tmp_path, inside):
    labels = b"file,kind,id\nb.png,dog,2\na.png,cat,1\n"
    files = {"x/a.png": png(1), "x/b.png": png(2), "x/unlabelled.png": png(3)} | ({"x/labels.csv": labels} if inside else {})
    source = packed(tmp_path / "a.tar.gz", files).model_copy(update={"images": Images(labels="labels.csv")})
    if not inside:
        (tmp_path / "labels.csv").write_bytes(labels)
    (table,) = tables(source, INTAKE)
    assert list(zip(table["id"].to_pylist(), table["kind"].to_pylist(), strict=True)) == [("1", "cat"), ("2", "dog")]


def test_a_zip_is_read_like_a_tar(tables, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("cat/1.png", png(7))
    (table,) = tables(Source(reader="images", path=str(tmp_path / "a.zip")), INTAKE)
    assert table.select(["id", "kind"]).to_pylist() == [{"id": "cat/1.png", "kind": "cat"}]


def test_real_images_of_an_archive(data, run, tmp_path):
    source = Source(reader="images", path=str(data / "cifar10" / "train.tar.gz"), images=Images(labels="labels.csv"), rows=200, key="file")
    from configs.project import ClassificationResult

    result = ClassificationResult(kind="classification", classes=("airplane", "cat"), label="clean_label")
    made, frame, _ = run(source, ImageIntake(kind="image", height=32, width=32, channels=3), result)
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
        tables(Source(reader="images", path=str(tmp_path / "a.zip")), INTAKE)


@pytest.mark.parametrize(("kind", "said"), [(tarfile.SYMTYPE, "link"), (tarfile.LNKTYPE, "link"), (tarfile.FIFOTYPE, "device")])
def test_a_member_that_is_a_link_or_device_is_refused(tables, tmp_path, kind, said):
    def change(member):
        member.type, member.linkname = kind, "/etc/passwd"

    with pytest.raises(ValueError, match=rf"a.tar.gz: member 'a.png' is a {said}; it is refused whole"):
        tables(packed(tmp_path / "a.tar.gz", {"a.png": b""}, change), INTAKE)


def test_an_image_bomb_is_refused_by_its_header(tables, tmp_path):
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100_000)), (b"IEND", b"")]
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    with pytest.raises(ValueError, match=r"cat/a.png: (60000 x 60000 pixels; at most 50,000,000 are read|cannot be read as an image)"):
        tables(packed(tmp_path / "a.tar.gz", {"cat/a.png": bomb}), INTAKE)
    small = Source(reader="images", path=str(tmp_path / "b.tar.gz"), limits=Limits(pixels=10))
    packed(tmp_path / "b.tar.gz", {"cat/a.png": png(1, (4, 3))})
    with pytest.raises(ValueError, match=r"b.tar.gz: member|cat/a.png: 4 x 3 pixels; at most 10 are read \(source.limits.pixels\)"):
        tables(small, INTAKE)


def test_a_zip_bomb_is_refused_by_what_it_says(tables, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"\0" * 3_000_000)
    with pytest.raises(ValueError, match=r"a.zip: member 'a.png' says 3,000,000 bytes; at most 800,000 are read"):
        tables(Source(reader="images", path=str(tmp_path / "a.zip"), limits=Limits(pixels=100_000)), INTAKE)


def test_what_is_no_image_or_archive_is_named(tables, tmp_path):
    with pytest.raises(ValueError, match=r"x/a.png: cannot be read as an image \(UnidentifiedImageError"):
        tables(packed(tmp_path / "a.tar.gz", {"x/a.png": b"nonsense"}), INTAKE)
    (tmp_path / "b.tar").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"b.tar: cannot be read as an archive"):
        tables(Source(reader="images", path=str(tmp_path / "b.tar")), INTAKE)
    with pytest.raises(ValueError, match="holds no image"):
        (tmp_path / "empty").mkdir()
        tables(Source(reader="images", path=str(tmp_path / "empty")), INTAKE)
