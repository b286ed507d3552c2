"""The runtime from npm: only the files that Gyre was tested with."""

import io
import tarfile

import pytest

from infra.files import digest
from tasks.export.npm_runtime import FILES, RuntimeFetchError, last_words, runtime_files, unpack


def test_the_files_are_kept_by_their_digests_and_a_damaged_one_is_fetched_again(runtimes):
    files = runtime_files(runtimes)
    assert {name: digest(path) for name, path in files.items()} == FILES
    smallest = files["ort.wasm.bundle.min.mjs"]
    smallest.write_text("damaged")
    assert digest(runtime_files(runtimes)[smallest.name]) == FILES[smallest.name]


def test_a_package_with_another_content_is_refused_and_nothing_is_written(tmp_path):
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as package:
        for name in FILES:
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = 4
            package.addfile(entry, io.BytesIO(b"evil"))
    with pytest.raises(
        RuntimeFetchError, match=r"dist/ort.wasm.bundle.min.mjs has the digest \w+ instead of 11e64bd8ffe1"
    ):
        unpack(tmp_path / "package.tgz", tmp_path / "runtime")
    assert not (tmp_path / "runtime").exists()


def test_without_npm_the_error_says_what_to_install_and_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        RuntimeFetchError, match=r"npm is not on PATH.*apt-get install npm.*put ort.wasm.bundle.min.mjs and"
    ):
        runtime_files(tmp_path)


def test_what_npm_said_last_is_told():
    assert (
        last_words("npm error code E404\nnpm error\nnpm error 404 no such package\n")
        == "code E404; 404 no such package"
    )
    assert last_words("") == "it printed nothing"
