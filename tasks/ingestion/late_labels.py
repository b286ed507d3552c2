"""What production taught.

Served rows whose truth arrived later, frozen so that a run that starts again sees the same.
"""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from infra.files import verify, whole_file
from tasks.intake import Intake
from tasks.production.prediction_log import PREFIX, PredictionLog, logged_rows
from tasks.records import Finding, Stored
from tasks.result import Result

EXAMPLES = 3


def freeze(
    log: PredictionLog, intake: Intake, result: Result, outcomes: Path
) -> tuple[Stored | None, int, tuple[Finding, ...]]:
    """The usable labelled rows of a log as `<outcomes>/feedback-<digest>/feedback.parquet` and their number.

    None while there are none.

    Clients send rows and labels: a row of other inputs than the intake's, as an older major version takes
    them, or with a label that the result does not allow, is left out, which is a finding.
    """
    frame = log.labelled()
    inputs = [PREFIX + spec.name for spec in intake.inputs if PREFIX + spec.name in frame]
    frame = frame[["request_id", *inputs, "label"]]
    findings: list[Finding] = []
    frame = keep_where(
        frame, logged_rows(frame, intake.inputs)[1], "of rows with other inputs than the intake's", findings
    )
    known = frame["label"].isin(allowed_labels(frame["label"], result)).to_numpy()
    frame = keep_where(frame, known, "that the result does not allow", findings)
    if frame.empty:
        return None, 0, tuple(findings)
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None),
        buffer,
        compression="zstd",
    )
    digest = hashlib.sha256(buffer.getbuffer()).hexdigest()
    path = outcomes / f"feedback-{digest[:24]}" / "feedback.parquet"
    with whole_file(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())
    return Stored(uri=str(path), digest=digest), len(frame), tuple(findings)


def rows(feedback: Stored, intake: Intake, label: str) -> pd.DataFrame:
    """Frozen feedback as rows of a source, by arrival of their labels.

    Id, the intake's columns and the label.
    """
    frame = pq.read_table(verify(feedback.uri, feedback.digest)).to_pandas()
    served = logged_rows(frame, intake.inputs)[0]
    return intake.frame(served).assign(**{"id": frame["request_id"], label: frame["label"]})


def keep_where(
    frame: pd.DataFrame,
    mask: "np.ndarray[tuple[int], np.dtype[np.bool_]]",
    fault: str,
    findings: list[Finding],
) -> pd.DataFrame:
    """The rows where `mask` holds; how many do not is added to the findings."""
    if not mask.all():
        findings.append(
            Finding(
                stage="ingest",
                check="unusable_late_labels",
                count=int((~mask).sum()),
                total=len(frame),
                told=f"late labels {fault} were left out",
                examples=tuple(frame["request_id"][~mask][:EXAMPLES]),
                advice="keep inputs and classes as the clients know them, or bring these rows into the source",
            )
        )
    return frame[mask]


def allowed_labels(labels: pd.Series, result: Result) -> list[str]:
    """The distinct labels that the result can learn from."""
    return [label for label in labels.unique() if fits(result.targets, label)]


def fits(targets: Callable[[pd.Series], object], label: str) -> bool:
    """Whether a label is one of the result's."""
    try:
        targets(pd.Series([label]))
    except ValueError:
        return False
    return True
