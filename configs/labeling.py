"""How several annotators' answers become one label: the labeling section of a project's YAML."""

from pydantic import Field

from configs.section import Section, Share


class LabelingConfig(Section):
    """How several annotators' answers become one label."""

    annotators: tuple[str, ...] = ()
    """Columns with one annotator's answers each, empty where the annotator gave none. None: the source's
    label is taken as it is."""
    min_agreement: Share = 0.5
    """The run stops when the annotators agree less often than this (share of answers equal to the consensus).
    """
    suspects: int = Field(default=50, ge=0)
    """How many suspected label errors are listed at most."""
    sample: int = Field(default=5_000, ge=100)
    """Rows among which suspected errors are looked for, drawn evenly over all."""
