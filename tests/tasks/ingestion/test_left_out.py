"""Rows that no run reads, or that a join leaves out, are counted and named."""

import pytest
import sqlalchemy as sa

from configs.intake import TabularIntakeConfig
from configs.source import ColumnConfig, JoinConfig, SourceConfig, SqlConfig
from tasks.ingestion.preview import preview

HEAD = "id,height,kind,changed\n"
CONTRACT = {
    "id": ColumnConfig(type="text"),
    "height": ColumnConfig(type="number"),
    "kind": ColumnConfig(type="text"),
    "changed": ColumnConfig(type="integer"),
}
SIZES = TabularIntakeConfig(kind="tabular", numeric=("height",))


@pytest.fixture
def marked(tmp_path):
    """A source with a watermark, of one CSV file."""

    def write(text):
        (tmp_path / "pets.csv").write_text(HEAD + text)
        return SourceConfig(
            reader="csv", path=str(tmp_path / "pets.csv"), columns=CONTRACT, watermark="changed"
        )

    return write


@pytest.fixture
def findings(run):
    """The findings of a run, by check."""

    def ingested(source, name="rows"):
        made, frame, _ = run(source, name=name)
        return frame, {each.check: each for each in made.rows.findings}

    return ingested


def test_rows_without_a_watermark_are_counted(findings, marked):
    frame, found = findings(marked("1,1,cat,5\n2,2,dog,\n3,3,cat,6\n"))
    assert frame["id"].to_list() == ["1", "3"]
    assert (found["unmarked_rows"].count, found["unmarked_rows"].total) == (1, 3)
    assert found["unmarked_rows"].examples == ("line 3 of pets.csv",)


def test_blank_lines_are_counted_beside_a_watermark_too_and_once_however_many_runs_read_the_file(
    findings, marked
):
    _, first = findings(marked("1,1,cat,5\n\n"))
    assert (first["blank_lines"].count, first["blank_lines"].total) == (1, 2)
    frame, again = findings(marked("1,1,cat,5\n\n2,2,dog,6\n\n"), "again")
    assert frame["id"].to_list() == ["1", "2"]
    assert (again["blank_lines"].count, again["blank_lines"].total) == (2, 4)
    _, same = findings(marked("1,1,cat,5\n\n2,2,dog,6\n\n"), "same")
    assert same["blank_lines"] == again["blank_lines"]


def test_header_rows_are_counted_beside_a_watermark_too(findings, marked):
    contract = CONTRACT | {"changed": ColumnConfig(type="text"), "height": ColumnConfig(type="text")}
    source = marked("1,1,cat,a\nid,height,kind,changed\n2,2,dog,b\n").model_copy(update={"columns": contract})
    _, found = findings(source)
    assert (found["header_rows"].count, found["header_rows"].examples) == (1, ("line 3",))


def test_a_row_without_a_watermark_that_is_added_later_is_counted_though_nothing_new_is_read(
    findings, marked
):
    findings(marked("1,1,cat,5\n"))
    _, found = findings(marked("1,1,cat,5\n2,2,dog,\n"), "again")
    assert found["unmarked_rows"].count == 1


def test_a_source_without_any_watermark_is_an_error(run, marked):
    with pytest.raises(
        ValueError,
        match=r"no row has a value in 'changed' \(source.watermark\), so none is read; set source.watermark",
    ):
        run(marked("1,1,cat,\n"))


def test_rows_of_a_table_without_a_watermark_are_counted(findings, tmp_path):
    url = f"sqlite:///{tmp_path / 'pets.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as opened:
        opened.execute(sa.text("CREATE TABLE pets (id TEXT, height REAL, kind TEXT, changed INTEGER)"))
        opened.execute(sa.text("INSERT INTO pets VALUES ('1', 1, 'cat', 5), ('2', 2, 'dog', NULL)"))
    engine.dispose()
    frame, found = findings(
        SourceConfig(reader="sql", path=url, sql=SqlConfig(table="pets"), watermark="changed")
    )
    assert frame["id"].to_list() == ["1"]
    assert (found["unmarked_rows"].count, found["unmarked_rows"].total) == (1, 2)


def test_a_look_at_the_first_rows_tells_those_without_a_watermark(marked):
    (look,) = preview(marked("1,1,cat,5\n2,2,dog,\n"), SIZES, "kind")
    assert [(each.check, each.count) for each in look.findings] == [("unmarked_rows", 1)]


@pytest.fixture
def owned(tmp_path):
    """Pets of three kinds beside the owners of two."""

    def write(how, pets="1,1,cat,5\n2,2,dog,6\n3,3,,7\n", owners="cat,Ann\ncow,Bob\n\n"):
        (tmp_path / "pets.csv").write_text(HEAD + pets)
        (tmp_path / "owners.csv").write_text("kind,owner\n" + owners)
        other = SourceConfig(reader="csv", path=str(tmp_path / "owners.csv"))
        return SourceConfig(
            reader="csv",
            path=str(tmp_path / "pets.csv"),
            join=(JoinConfig(source=other, on="kind", how=how),),
        )

    return write


@pytest.mark.parametrize(
    ("how", "check", "kept"),
    [("inner", "unmatched_dropped", ["1"]), ("left", "unmatched_kept", ["1", "2", "3"])],
)
def test_rows_without_a_match_are_counted(findings, owned, how, check, kept):
    frame, found = findings(owned(how))
    assert frame["id"].to_list() == kept
    assert (found[check].count, found[check].total) == (2, 3)
    assert found[check].examples == ("'dog' in line 3", "no value in line 4")


def test_rows_of_a_joined_source_that_no_row_wants_are_counted_and_its_blank_lines(findings, owned):
    _, found = findings(owned("left"))
    assert (
        found["unmatched_joined"].count,
        found["unmatched_joined"].total,
        found["unmatched_joined"].examples,
    ) == (1, 2, ("'cow'",))
    assert found["blank_lines"].about == "owners.csv"


def test_a_join_in_which_all_rows_match_is_nothing_to_tell(findings, owned):
    _, found = findings(owned("inner", pets="1,1,cat,5\n2,2,cow,6\n", owners="cat,Ann\ncow,Bob\n"))
    assert found == {}


def test_a_join_that_leaves_no_row_says_so(run, owned):
    with pytest.raises(
        ValueError,
        match=r"holds no rows; .*on kind: 1 of 1 rows have no match in the joined source and were left out",
    ):
        run(owned("inner", pets="1,1,Cat,5\n"))
