"""A picture of some rows, so that a person sees what came in: the source's and the newest."""

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from configs.intake import IntakeConfig
from infra.files import whole_file
from tasks.intake import build_intake
from tasks.records import RawRows
from tasks.rows.parts import part_paths

ROWS_A_PART_SHOWN = 250


def write_picture(rows: RawRows, intake: IntakeConfig, label: str, path: Path) -> None:
    """A PNG of the first rows of the first part and the last of the last (late-labelled ones, when there are any)."""
    paths = part_paths(Path(rows.uri))
    first, last = paths[0], paths[-1]
    oldest = pq.read_table(first).to_pandas().head(ROWS_A_PART_SHOWN)
    newest = pq.read_table(last).to_pandas().tail(ROWS_A_PART_SHOWN)
    frame = pd.concat([oldest, newest]) if first != last else oldest
    titles = frame[label].astype(str).to_list() if label in frame else [""] * len(frame)
    built = build_intake(intake)
    image = built.picture(built.rows(frame), titles)
    with whole_file(path) as temporary:
        temporary.write_bytes(image)
