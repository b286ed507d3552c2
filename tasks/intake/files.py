"""Records of a person's file as raw rows, by the intake itself: images, and rows of a user's own kind."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tasks.intake import Intake, Rows


def decoded_rows(records: Sequence[Any], name: str, intake: Intake) -> Rows:
    """Raw rows of what `decode` takes, such as a file's path.

    Raises ValueError naming the file and the row.
    """
    rows = []
    for number, value in enumerate(records):
        try:
            rows.append(intake.decode(value))
        except (ValueError, KeyError, OSError) as error:
            raise ValueError(f"{name}, row {number}: {error}") from error
    return np.concatenate(rows)
