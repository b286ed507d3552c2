"""Rows that come twice: how many went, which, what it did to the classes; and a key that keeps them all."""

import pytest

from configs.source import SourceConfig

HEAD = "code,height,kind\n"


@pytest.fixture
def source(tmp_path):
    """A source of CSV files, `name: text`, with a key."""

    def written(key, **files):
        for name, text in files.items():
            path = tmp_path / "data" / f"{name}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text(HEAD + text)
        return SourceConfig(reader="csv", path=str(tmp_path / "data" / "*.csv"), key=key)

    return written


def repeated(made):
    (found,) = (each for each in made.rows.findings if each.check == "repeated_keys")
    return found


def test_repeated_keys_are_named_with_how_often_they_come(run, source):
    made, _, _ = run(source("code", a="x,1,cat\ny,2,dog\nx,3,cat\nx,4,cat\n", b="y,5,dog\n"))
    found = repeated(made)
    assert (found.count, found.total) == (3, 5)
    assert found.examples == ("'x' 3 times", "'y' 2 times")
    assert (
        "set source.key to columns that name a row, or to origin_line, which keeps every row" in found.advice
    )


def test_rows_that_are_wholly_alike_are_named_by_their_first_line(run, source):
    found = repeated(run(source("*", a="x,1,cat\n" * 4 + "y,2,dog\n"))[0])
    assert found.examples == ("line 2 of a.csv 4 times",)
    assert found.told.startswith("rows are the same as a later row and were left out")


def test_what_left_out_rows_do_to_the_classes_is_said(run, source):
    rows = "x,1,cat\n" * 6 + "".join(f"y{number},2,dog\n" for number in range(4))
    found = repeated(run(source("*", a=rows))[0])
    assert found.told.endswith("by that class 'cat' goes from 60.0% to 20.0% of the rows (-40.0 points)")


def test_a_row_is_kept_by_its_place_however_often_it_comes(run, source):
    made, frame, _ = run(source("origin_line", a="x,1,cat\n" * 3, b="x,1,cat\n"))
    assert frame["id"].to_list() == ["a.csv:2", "a.csv:3", "a.csv:4", "b.csv:2"]
    assert frame["code"].to_list() == ["x"] * 4
    assert not [each for each in made.rows.findings if each.check == "repeated_keys"]


def test_a_file_that_grows_keeps_the_names_of_its_rows(run, source):
    _, before, _ = run(source("origin_line", a="x,1,cat\n" * 3))
    _, after, _ = run(source("origin_line", a="x,1,cat\n" * 5), name="again")
    assert after["id"].to_list()[:3] == before["id"].to_list()


def test_a_file_under_two_names_is_told(run, source):
    same = "x,1,cat\ny,2,dog\n"
    made, _, _ = run(source("code", rows=same, rows_backup=same, other="z,1,cat\n"))
    (found,) = (each for each in made.rows.findings if each.check == "identical_files")
    assert (found.count, found.total, found.examples) == (1, 3, ("rows_backup.csv is rows.csv",))


def test_files_of_one_name_cannot_be_keyed_by_line(run, source, tmp_path):
    source("origin_line", a="x,1,cat\n")
    (tmp_path / "data" / "more").mkdir()
    (tmp_path / "data" / "more" / "a.csv").write_text(HEAD + "x,1,cat\n")
    with pytest.raises(
        ValueError,
        match=r"data/a.csv and .*more/a.csv have one name, so key: origin_line cannot tell their rows apart",
    ):
        run(SourceConfig(reader="csv", path=str(tmp_path / "data"), key="origin_line"))
    appended = SourceConfig(reader="csv", path=str(tmp_path / "data" / "more" / "a.csv"))
    with pytest.raises(ValueError, match=r"a.csv is the name of a file of source .*data/a.csv too"):
        run(
            SourceConfig(
                reader="csv", path=str(tmp_path / "data" / "a.csv"), key="origin_line", append=(appended,)
            )
        )
