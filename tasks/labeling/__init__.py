"""Labeling QC: several annotators' answers become one label, and doubtful labels are listed.

In: ValidationReport, whose rows have answers or labels. Out: LabelReport, a label a row, agreement, suspects.
`label` does it all. Open quality_control.py first, then consensus.py and label_errors.py; checks.py finds
inputs that give the label away.
"""

from typing import TYPE_CHECKING

from infra.imports import lazy

if TYPE_CHECKING:
    from tasks.labeling.quality_control import label
else:
    __getattr__ = lazy("tasks.labeling.quality_control:label")
__all__ = ["label"]
