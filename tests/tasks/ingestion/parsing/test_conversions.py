"""What a source's values lose on the way to the intake's columns is counted and named."""

import pytest

from configs.intake import TabularIntakeConfig
from configs.source import SourceConfig

ID = "20260101123456789"


@pytest.fixture
def found(run, tmp_path):
    """The findings, by check and column, of CSV files that are read by two workers."""

    def ingested(*files, **intake):
        for number, text in enumerate(files):
            (tmp_path / f"{number}.csv").write_text(text)
        made, _, _ = run(
            SourceConfig(reader="csv", path=str(tmp_path / "*.csv")),
            intake=TabularIntakeConfig(kind="tabular", **intake),
        )
        return {(each.check, each.about): each for each in made.rows.findings}

    return ingested


def test_a_text_column_named_as_numeric_loses_every_value_and_says_so(found):
    lost = found("id,name,kind\n1,Ann,cat\n2,Bob,dog\n", numeric=("name",))[("unreadable_values", "name")]
    assert (lost.count, lost.total) == (2, 2)
    assert lost.examples == ("'Ann' in line 2", "'Bob' in line 3")


def test_missing_values_are_not_lost_ones(found):
    assert found("id,size,kind\n1,,cat\n2, ,dog\n3,4.5,dog\n", numeric=("size",)) == {}


def test_an_identifier_named_as_numeric_is_told_from_a_large_amount(found):
    checks = found(f"id,code,gross,kind\n1,{ID},760507625,cat\n2,{ID},1000,dog\n", numeric=("code", "gross"))
    assert checks[("identifier_numbers", "code")].count == 2
    assert checks[("rounded_numbers", "gross")].examples == ("'760507625' in line 2",)
    assert len(checks) == 2


def test_fractions_and_small_whole_numbers_are_nothing_to_tell(found):
    assert found("id,a,b,kind\n1,0.1234567891234567,16777216,cat\n2,1e-9,-3,dog\n", numeric=("a", "b")) == {}


def test_counts_of_several_files_are_added_up_and_kept_for_a_run_that_reads_none_again(found):
    files = "id,size,kind\n1,x,cat\n2,2,dog\n", "id,size,kind\n3,y,cat\n4,4,dog\n"
    first, again = (found(*files, numeric=("size",))[("unreadable_values", "size")] for _ in range(2))
    assert (first.count, first.total) == (2, 4)
    assert first == again
