"""Marks of missing values that nothing declares are named with their column, count and the YAML that declares them."""

import pytest
import yaml

from configs.intake import TabularIntakeConfig
from configs.source import ColumnConfig, SourceConfig
from tasks.ingestion.preview import preview

HEAD = "id,size,colour,country,kind\n"
INTAKE = TabularIntakeConfig(kind="tabular", numeric=("size",), categorical=("colour", "country"))

TEXT = ColumnConfig(type="text")
CONTRACT = {"id": TEXT, "size": ColumnConfig(type="number"), "colour": TEXT, "country": TEXT, "kind": TEXT}


def pets(sizes=(), colours=(), countries=()):
    """Forty rows, the first of them with these values."""
    usual = [str(20 + number % 17 / 2) for number in range(40)], ["red", "blue"] * 20, ["Norway", "Peru"] * 20
    columns = [
        [*given, *rest[len(given) :]] for given, rest in zip((sizes, colours, countries), usual, strict=True)
    ]
    return HEAD + "".join(
        f"{number},{','.join(row)},cat\n" for number, row in enumerate(zip(*columns, strict=True))
    )


@pytest.fixture
def look(tmp_path):
    """Findings by column of a look at some rows."""

    def found(rows, **source):
        (tmp_path / "pets.csv").write_text(rows)
        made = SourceConfig(reader="csv", path=str(tmp_path / "pets.csv"), **source)
        (looked,) = preview(made, INTAKE, "kind")
        return {each.about: each for each in looked.findings if each.check == "undeclared_missing"}

    return found


@pytest.mark.parametrize("mark", ["NA", "n/a", "null", "-", "?", ".", "ukjent"])
def test_texts_among_numbers(look, mark):
    found = look(pets(sizes=[mark, "3", mark]))["size"]
    assert (found.count, found.total, found.examples) == (2, 40, (f"{mark!r} (2)",))


@pytest.mark.parametrize("mark", ["-999", "9999", "99999.0", "-99.9", "2147483647"])
def test_numbers_far_from_all_others_that_repeat(look, mark):
    found = look(pets(sizes=[mark, "3", mark]))
    assert found["size"].count == 2


def test_minus_one_where_nothing_else_is_negative(look):
    assert look(pets(sizes=["-1", "3", "-1"]))["size"].examples == ("'-1' (2)",)


@pytest.mark.parametrize(
    "sizes",
    [["999"], ["28.5", "29"], ["60", "60", "60"], ["-1", "-2", "-1"], ["0", "0", "0"], ["99", "98", "99"]],
)
def test_large_and_frequent_values_like_the_others_are_none(look, sizes):
    rest = [str(number * 2.5) for number in range(40)]
    assert look(pets(sizes=[*sizes, *rest[len(sizes) :]])) == {}


def test_usual_marks_among_words(look):
    found = look(pets(colours=["?", " ?", "N/A"], countries=["-"]))
    assert (found["colour"].examples, found["country"].examples) == (("'?' (2)", "'N/A' (1)"), ("'-' (1)",))


def test_a_word_that_may_be_an_answer_takes_evidence(look):
    assert look(pets(colours=["None", "unknown"])) == {}
    assert look(pets(sizes=["None"], colours=["None"])).keys() == {"size", "colour"}
    assert look(pets(countries=["NA"])).keys() == {"country"}
    assert look(pets(countries=["NA", "DE", "FR"])) == {}


@pytest.mark.parametrize("contract", [{}, CONTRACT])
@pytest.mark.parametrize("column", [{"sizes": ["-999.0", "3", "-999.0"]}, {"colours": ["?", "red", "?"]}])
def test_the_advice_declares_them(look, contract, column):
    rows = pets(**column)
    (found,) = look(rows, columns=contract).values()
    section = yaml.safe_load(found.advice.partition("declare them: ")[2])["source"]
    section["columns"] = {name: spec.model_dump() for name, spec in contract.items()} | section["columns"]
    assert look(rows, **section) == {}


def test_a_run_counts_those_of_all_files(run, tmp_path):
    for number, text in enumerate([pets(sizes=["-999", "NA"]), pets(sizes=["-999"])]):
        (tmp_path / f"{number}.csv").write_text(text.replace("id,", "number,", 1))
    made, _, _ = run(
        SourceConfig(reader="csv", path=str(tmp_path / "*.csv"), key="origin_line"), intake=INTAKE
    )
    (found,) = [each for each in made.rows.findings if each.check == "undeclared_missing"]
    assert (found.about, found.count, found.total) == ("size", 3, 80)
