import pytest

from infra.files import (
    DigestError,
    close_to_others,
    digest,
    read_json,
    verify,
    whole_file,
    whole_folder,
    write_json,
)


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "folder" / "model.onnx"
    for content in ("one", "two"):
        with whole_file(path) as temporary:
            temporary.write_text(content)
            assert not path.exists() or path.read_text() == "one"
        assert path.read_text() == content
    assert path.stat().st_mode & 0o077 == 0
    assert [each.name for each in path.parent.iterdir()] == ["model.onnx"]


def test_after_an_error_a_file_is_as_it_was_and_nothing_lies_beside_it(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("one")
    with pytest.raises(RuntimeError), whole_file(path) as temporary:
        temporary.write_text("half of tw")
        raise RuntimeError
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "bundle"
    for name in ("one", "two"):
        with whole_folder(path) as temporary:
            (temporary / "inner").mkdir()
            (temporary / "inner" / name).touch()
        assert [each.name for each in (path / "inner").iterdir()] == [name]
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_a_folder_is_as_it_was_and_nothing_lies_beside_it(tmp_path):
    path = tmp_path / "bundle"
    path.mkdir()
    (path / "graph").write_text("one")
    with pytest.raises(RuntimeError), whole_folder(path) as temporary:
        (temporary / "graph").write_text("half")
        raise RuntimeError
    assert (path / "graph").read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folders_digest_is_of_names_and_contents_wherever_it_lies(tmp_path):
    def made(name, files):
        folder = tmp_path / name
        for file, content in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(content)
        return digest(folder)

    one = made("one", {"a": "1", "b/c": "2"})
    assert one == made("two", {"b/c": "2", "a": "1"})
    assert one != made("three", {"a": "1", "b/d": "2"})
    assert one != made("four", {"a": "1", "b/c": "3"})


def test_what_is_not_there_has_no_digest(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing: no such file, or an empty folder"):
        digest(tmp_path / "nothing")


def test_a_changed_file_is_refused_by_name(tmp_path):
    path = tmp_path / "rows.parquet"
    path.write_text("rows")
    expected = digest(path)
    assert verify(path, expected) == path
    path.write_text("other rows")
    with pytest.raises(
        DigestError,
        match=rf"rows\.parquet: digest {digest(path)[:12]} instead of {expected[:12]}; restore it",
    ):
        verify(path, expected)


def test_json_comes_back_and_equal_values_give_equal_bytes(tmp_path):
    write_json(tmp_path / "one.json", {"b": [1, 2.5], "a": None})
    write_json(tmp_path / "two.json", {"a": None, "b": [1, 2.5]})
    assert read_json(tmp_path / "one.json") == {"a": None, "b": [1, 2.5]}
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_a_folder_is_closed_to_others_with_all_that_is_in_it_and_nothing_behind_a_link(tmp_path):
    outside, home = tmp_path / "outside", tmp_path / "home"
    (home / "predictions").mkdir(parents=True)
    for path in (outside, home / "predictions" / "rows.parquet", home / "run.sh"):
        path.write_text("")
        path.chmod(0o755)
    (home / "link").symlink_to(outside)
    assert close_to_others(home) == 4
    assert [path.stat().st_mode & 0o777 for path in (home, home / "predictions")] == [0o700, 0o700]
    assert [path.stat().st_mode & 0o777 for path in (home / "run.sh", outside)] == [0o700, 0o755]
    assert close_to_others(home) == 0
