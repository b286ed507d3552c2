"""The sections of a project of images.

What was inferred from the files, and rules learned from how a sample of them looks.
"""

import io
from collections.abc import Iterator

import numpy as np
import pandas as pd

from tasks.ingestion.schema_inference.images import InferredImages, sampled_files
from tasks.intake import build_intake
from tasks.rows.images import image_row
from tasks.validation.proposal.image_rules import image_rules
from tasks.validation.proposal.report import to_yaml


def image_sections(inferred: InferredImages) -> Iterator[str]:
    """The YAML's lines: source, intake, result and validation."""
    yield from inferred.yaml.splitlines()
    yield ""
    try:
        yield from to_yaml(image_rules(described_images(inferred))).splitlines()
    except ValueError as error:  # too few images
        yield f"# no rules are proposed: {error}"


def described_images(inferred: InferredImages) -> pd.DataFrame:
    """The sample's images, a line each: file, label, and the intake's descriptors."""
    names, labels, rows = [], [], []
    for name, data in sampled_files(inferred):
        try:
            row, _ = image_row(io.BytesIO(data), inferred.intake)
        except ValueError:  # a run counts those that cannot be read: checks.unreadable_images
            continue
        names.append(name)
        labels.append(inferred.sample[name])
        rows.append(row)
    if not rows:
        return pd.DataFrame({"file": []})
    described = build_intake(inferred.intake).describe(np.concatenate(rows))
    return pd.DataFrame({"file": names, "label": labels}).join(described)
