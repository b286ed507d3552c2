"""What may go on unseen: the checks section of a project's YAML.

Whatever a stage drops, guesses, converts, merges or does not compare is a finding (tasks/pipeline/findings/).
Each check says what such a finding does to the run.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from configs.section import Section


def parse_tolerance(value: Any) -> Any:
    """A word or a share. Raises ValueError."""
    share = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1
    if not share and value not in ("refuse", "warn", "allow"):
        allowed = "refuse, warn, allow, or a share such as 0.01 above which it refuses"
        raise ValueError(f"{value!r} is not allowed; use {allowed}")
    return value


Action = Literal["refuse", "warn", "allow"]
Tolerance = Annotated[
    Action | float,
    PlainValidator(parse_tolerance, json_schema_input_type=Action | Annotated[float, Field(gt=0, lt=1)]),
]
"""`refuse` stops the run, `warn` shows the finding, `allow` notes it without a word in the terminal; a share, such as 0.01, refuses
what concerns more than that part of the whole, and warns of less."""


class ChecksConfig(Section):
    """What a finding does to the run: refuse, warn, allow, or the share above which it refuses."""

    repeated_keys: Tolerance = 0.01
    """Rows left out because a later row has the same key (with key "*": is the same row)."""
    unreadable_values: Tolerance = 0.01
    """Values of a column that the intake cannot read, such as a text where numbers are wanted: they count as
    missing."""
    found_date_formats: Tolerance = "allow"
    """Date columns whose format was found over all rows, not declared."""
    unreadable_images: Tolerance = 0.01
    """Files that are no images, or are cut off: left out."""
    resized_images: Tolerance = "warn"
    """Images of another size than the intake's, which intake.resize fits to it."""
    lost_colours: Tolerance = 0.01
    """Images with colours that became grey, because intake.channels is 1."""
    converted_images: Tolerance = "warn"
    """Images that were changed otherwise: turned, 16 bits or CMYK, transparent, or of several frames."""
    unlabelled_images: Tolerance = "warn"
    """Images without a line in source.images.labels, left out."""
    absent_images: Tolerance = 0.01
    """Lines of source.images.labels without an image, or of an image that has another line."""
    identical_files: Tolerance = "refuse"
    """Files of a source that hold the same bytes as another of its files."""
    blank_lines: Tolerance = "warn"
    """Lines of a CSV file without anything in them, which are no rows."""
    ragged_lines: Tolerance = "refuse"
    """Lines of a CSV file with fewer fields than columns, or with values behind the last: they are left out.
    """
    trailing_delimiters: Tolerance = "warn"
    """Lines of a CSV file that end with delimiters behind the last column, which are cut."""
    header_rows: Tolerance = "refuse"
    """Rows that are the header line again, as where files were put one behind the other."""
    totals_rows: Tolerance = "warn"
    """Last rows of a file that are the sums or means of those above them."""
    undeclared_missing: Tolerance = "warn"
    """Values that look like marks of missing ones, such as NA among words or -999 far from all numbers, which
    no contract declares."""
    unmarked_rows: Tolerance = 0.01
    """Rows without a value in source.watermark: no run reads them."""
    unmatched_dropped: Tolerance = 0.01
    """Rows that a source.join with how: inner leaves out, because the joined source has no row for them."""
    unmatched_kept: Tolerance = 0.5
    """Rows beside which the columns of a source.join with how: left are empty."""
    unmatched_joined: Tolerance = "allow"
    """Rows of a joined source that no row wants."""
    rounded_numbers: Tolerance = "warn"
    """Whole numbers of intake.numeric with more digits than float32 holds (7): they are rounded."""
    identifier_numbers: Tolerance = "refuse"
    """Whole numbers of intake.numeric with more digits than any float holds (16 and more): identifiers, not
    quantities."""
    missing_labels: Tolerance = 0.01
    """Rows without a label (with annotators: without any answer), which are left out."""
    constant_label: Tolerance = "refuse"
    """All rows have the same label."""
    alike_classes: Tolerance = "warn"
    """Classes whose names differ only in upper and lower case, blanks or punctuation: usually one class,
    written in several ways."""
    absent_classes: Tolerance = "warn"
    """Classes of result.classes that no row has."""
    constant_inputs: Tolerance = "warn"
    """Columns of the intake that have one value, or none, in all rows."""
    leaking_inputs: Tolerance = "warn"
    """Columns of the intake that all but determine the label: usually the answer itself in other words."""
    unusable_baselines: Tolerance = "warn"
    """Baselines that the model is not compared with, as their scores are no finite numbers, or that may not
    serve, as their graph answers otherwise than they do."""
    changed_splits: Tolerance = "warn"
    """Rows that are split anew because the source lost the columns by which they were split
    (versioning.split.columns)."""
    unmade_formats: Tolerance = "warn"
    """Formats of optimization.quantize that cannot be made of a network."""
    failed_candidates: Tolerance = "warn"
    """Graphs that are no candidates, because they cannot be run: they crash, hang, take too much memory or give
    answers that are no numbers."""
    choice_on_test_rows: Tolerance = "warn"
    """Several graphs of which one is chosen on the test rows that judge it, because there are no validation
    rows."""
    not_compared: Tolerance = 0.2
    """Test rows on which a challenger is not compared with the champion, because that takes another input or
    gives other answers."""
    damaged_champion: Tolerance = "warn"
    """A released version whose files are damaged: the challenger is compared with the newest whole one before
    it. Where there is none it is compared with nothing, which `not_compared` decides about; the same graph
    made again restores the files."""
    champion_learned_rows: Tolerance = 0.5
    """Test rows that the champion learned from; they are left out of the comparison."""
    incompatible_input: Tolerance = "refuse"
    """Inputs that clients of the version that serves do not send: allowed, the version is a new major one,
    and the last one before goes on answering the requests that fit it."""
    label_proxies: Tolerance = "warn"
    """Columns outside the intake that nearly are the label; weak slices are not looked for in them."""
    unusable_late_labels: Tolerance = "warn"
    """Late labels of served rows that the intake cannot read, as after a change of its inputs, or that the
    result does not have."""
    refused_rows: Tolerance = 0.5
    """Rows of a source that `gyre score` could not read or answer: they have no score. The others have theirs
    whatever this says; refused, the run does not end as completed."""
    unseen_categories: Tolerance = "warn"
    """Rows of a source that `gyre score` answers and that have a category which training rows did not have: it
    counts as missing."""
