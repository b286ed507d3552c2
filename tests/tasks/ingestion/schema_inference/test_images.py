"""What a folder or archive of images becomes: sections that a run can use, with what is odd said."""

import io
import tarfile

import numpy as np
import pytest
import yaml
from PIL import Image

from configs.intake import ImageIntakeConfig
from configs.source import SourceConfig
from tasks.ingestion.schema_inference.images import holds_images, infer_images


def png(size=(10, 8), colour=(200, 10, 10)):
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def inferred(tmp_path):
    """The sections and the text of a folder `name: bytes`."""

    def of(files, pack=False):
        folder = tmp_path / "pets"
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        place = folder
        if pack:
            place = tmp_path / "pets.tar.gz"
            with tarfile.open(place, "w:gz") as archive:
                archive.add(folder, ".")
        assert holds_images(str(place))
        text = infer_images(str(place)).yaml
        return yaml.safe_load(text), text

    return of


@pytest.mark.parametrize("pack", [False, True])
def test_classes_are_the_folders_and_the_size_is_the_most_frequent(inferred, pack):
    files = {f"cat/{number}.png": png() for number in range(4)} | {
        "dog/1.png": png(),
        "dog/2.png": png((300, 200)),
    }
    found, text = inferred(files, pack)
    assert found["intake"] == {"kind": "image", "height": 8, "width": 10, "channels": 3, "resize": "stretch"}
    assert found["result"] == {"kind": "classification", "classes": ["cat", "dog"]}
    assert "# cat 4, dog 2" in text
    assert "1 images have another size: 300 x 200 (1, such as " in text
    assert SourceConfig(**found["source"]).reader == "images"
    assert ImageIntakeConfig(**found["intake"])


def test_a_csv_beside_the_images_gives_the_labels(inferred):
    files = {f"{number}.png": png() for number in range(6)}
    lines = "".join(f"{number},{number}.png,{'cat' if number % 2 else 'dog'}\n" for number in range(6))
    found, _ = inferred(files | {"truth.csv": f"number,picture,species\n{lines}".encode()})
    assert found["source"]["images"] == {"labels": "truth.csv", "file_column": "picture"}
    assert found["result"] == {"kind": "classification", "label": "species", "classes": ["cat", "dog"]}


def test_a_csv_may_name_images_without_their_suffix(inferred):
    files = {f"pics/{number:03}.png": png() for number in range(6)}
    lines = "".join(f"{number:03},{'cat' if number % 2 else 'dog'}\n" for number in range(6))
    found, _ = inferred(files | {"truth.csv": f"image_id,breed\n{lines}".encode()})
    assert found["source"]["images"] == {"labels": "truth.csv", "file_column": "image_id"}
    assert found["result"]["classes"] == ["cat", "dog"]


@pytest.mark.parametrize(
    "name", ["{label}_{number:03}.png", "{number:03}-{label}.png", "{label}-x{number}.png"]
)
def test_labels_in_names_are_taken_with_a_word(inferred, name):
    labels = ["cat", "dog"]
    files = {name.format(label=labels[number % 2], number=number): png() for number in range(12)}
    found, text = inferred(files)
    assert found["result"] == {"kind": "classification", "classes": labels}
    assert "label_pattern" in text and "taken for labels of 12 of 12 images; look whether they are" in text


def test_images_that_nothing_labels_leave_the_result_open(inferred):
    found, text = inferred({f"{number}.png": png() for number in range(12)})
    assert "result" not in found
    assert "# result: is missing, as nothing tells the labels" in text


def test_broken_files_and_files_that_are_no_images_are_named(inferred):
    _, text = inferred({"cat/a.png": png(), "dog/b.png": png(), "dog/c.png": b"nonsense", "readme.md": b"x"})
    assert "1 files cannot be read as images: dog/c.png" in text
    assert "1 files are no images by their names: readme.md" in text


def test_grey_images_are_grey_and_large_ones_are_proposed_smaller(inferred):
    pixels = Image.fromarray(np.random.default_rng(0).integers(0, 255, (600, 800), np.uint8))
    stream = io.BytesIO()
    pixels.save(stream, "PNG")
    found, text = inferred({"cat/a.png": stream.getvalue(), "dog/b.png": stream.getvalue()})
    assert (found["intake"]["channels"], found["intake"]["height"], found["intake"]["width"]) == (1, 192, 256)
    assert "scaled down from 800 x 600" in text
