"""A picture of the rows whose labels are doubted."""

from pathlib import Path

import pandas as pd

from infra.files import whole_file
from tasks.intake import Intake
from tasks.records import LabelReport
from tasks.rows.parts import read


def write_picture(found: LabelReport, doubtful: pd.DataFrame, intake: Intake, path: Path) -> None:
    """The doubtful rows as the intake draws them, titled with label and suggestion."""
    rows = read(found, ["id", *intake.columns]).set_index("id").loc[doubtful["id"]]
    titles = [
        f"{label}? {suggested}"
        for label, suggested in zip(doubtful["label"], doubtful["suggested"], strict=True)
    ]
    with whole_file(path) as temporary:
        temporary.write_bytes(intake.picture(intake.rows(rows.reset_index()), titles))
