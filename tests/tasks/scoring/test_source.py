"""How a file to be scored is written: as the training rows' was, with a header line, or without the label."""

from configs.intake import TabularIntakeConfig, TextIntakeConfig
from configs.source import CsvConfig, SourceConfig
from tasks.scoring.source import reading_notices, source_at

NAMES = ("age", "work", "pay")
TRAINING = SourceConfig(reader="csv", path="/nowhere/train.csv", csv=CsvConfig(delimiter=";", names=NAMES))
SECTION = TabularIntakeConfig(kind="tabular", numeric=("age",), categorical=("work",))


def form_of(path, text, training=TRAINING, intake=SECTION, label="pay"):
    path.write_text(text)
    source = source_at(str(path), training, intake, label=label)
    return source.csv, reading_notices(source, training)


def test_a_file_as_the_training_rows_is_read_by_the_yamls_names(tmp_path):
    assert form_of(tmp_path / "rows.csv", "39;Private;low\n40;State;high\n") == (TRAINING.csv, ())


def test_a_file_without_the_label_has_the_other_names_and_that_is_told(tmp_path):
    form, told = form_of(tmp_path / "rows.csv", "39;Private\n40;State\n")
    assert form.names == ("age", "work")
    assert told == (
        "the file has 2 columns and no header line; they are taken for those of source.csv.names without 'pay', the label",
    )


def test_a_file_with_a_header_line_is_read_by_that(tmp_path):
    form, told = form_of(tmp_path / "rows.csv", "work;age\nPrivate;39\n")
    assert (form.names, form.delimiter, told) == ((), ";", ())
    sniffed, _ = form_of(tmp_path / "other.csv", "work,age\nPrivate,39\nState,40\n")
    assert sniffed.delimiter == ","


def test_a_file_of_texts_alone_needs_no_delimiter(tmp_path):
    training = SourceConfig(
        reader="csv",
        path="/nowhere/sms.tsv",
        csv=CsvConfig(delimiter="\t", quote="", names=("label", "text")),
    )
    words = TextIntakeConfig(kind="text", column="text")
    text = "Free, free; prize | now\nsee you, later\nok; fine\n"
    form, told = form_of(tmp_path / "bare.tsv", text, training, words, "label")
    assert form.names == ("text",)
    assert "without 'label'" in told[0]
    form, told = form_of(tmp_path / "named.tsv", f"text\n{text}", training, words, "label")
    assert (form.names, told) == ((), ())
