"""scikit-learn's bundled handwritten digits as a source: 1,797 scans of 8 x 8 pixels, no download.

The bundled order groups the writers, so scans are numbered in a fixed shuffled order: any range of them is a
fair sample. The annotators are derived from the truth and stand in for people; no person labelled these scans
for Gyre.
"""

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.ingestion.partitions.sources import checked_range

SCANS = 1797
SCANS_A_PARTITION = 250
SKIPPED = 0.05
"""Share of the scans that an annotator leaves out."""
HABIT = 0.7
"""Share of an annotator's errors that are its preferred confusion; the others are any wrong digit."""
SHUFFLE_SEED = 20
ANNOTATOR_SEED = 100


def scans(
    rows: list[int] | None = None, annotators: int = 0, error_rate: float = 0.12
) -> list[Callable[[], pd.DataFrame]]:
    """Partitions of the scans rows[0] to rows[1] (all by default).

    Id, image (64 uint8), label, annotator_1 ... annotator_<annotators>.

    annotators: stand-ins for people, each derived from the truth with its own habits of error; None where it
    skipped a scan
    error_rate: about the share of an annotator's answers that are wrong; the first errs half as often, the
    last half as often again Raises ValueError for a range that is not among the scans.
    """
    start, stop = checked_range("rows", rows or [0, SCANS], SCANS)
    ranges = [
        (first, min(first + SCANS_A_PARTITION, stop)) for first in range(start, stop, SCANS_A_PARTITION)
    ]
    return [partial(partition, *part, annotators, error_rate) for part in ranges]


def partition(start: int, stop: int, annotators: int, error_rate: float) -> pd.DataFrame:
    """The scans `start` to `stop` as rows."""
    pixels, labels, ids = images(start, stop)
    frame = pd.DataFrame({"id": ids, "image": list(pixels.reshape(len(ids), -1)), "label": labels})
    for number in range(1, annotators + 1):
        factor = 0.5 + (number - 1) / max(annotators - 1, 1) if annotators > 1 else 1.0
        frame[f"annotator_{number}"] = answers(number, error_rate * factor)[start:stop]
    return frame


def images(start: int, stop: int) -> tuple[npt.NDArray[np.uint8], list[str], list[str]]:
    """Scans `start` to `stop`: grey levels [scans, 8, 8, 1] uint8, their digits as text, their ids.

    Raises ValueError.
    """
    start, stop = checked_range("scans", [start, stop], SCANS)
    pixels, digits = shuffle_scans()
    return (
        pixels[start:stop],
        [str(digit) for digit in digits[start:stop]],
        [f"scan-{number:04d}" for number in range(start, stop)],
    )


@cache
def shuffle_scans() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """All scans in the fixed shuffled order.

    Grey levels [1797, 8, 8, 1], 0 to 255 for the bundled 0 to 16, and their digits [1797].
    """
    from sklearn.datasets import load_digits

    intensities, digits = load_digits(return_X_y=True)
    order = np.random.RandomState(SHUFFLE_SEED).permutation(
        SCANS
    )  # RandomState's streams never change between versions
    return np.rint(intensities[order] * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1), digits[order]


def answers(number: int, error_rate: float) -> npt.NDArray[np.object_]:
    """What annotator `number` says to every scan [1797]: a digit as text, or None.

    The same for a scan whichever range is read.
    """
    random = np.random.RandomState(ANNOTATOR_SEED + number)
    truth = shuffle_scans()[1]
    preferred = (np.arange(10) + random.randint(1, 10, size=10)) % 10
    other = (truth + random.randint(1, 10, size=SCANS)) % 10
    wrong = np.where(random.rand(SCANS) < HABIT, preferred[truth], other)
    given = np.where(random.rand(SCANS) < error_rate, wrong, truth).astype(str).astype(object)
    given[random.rand(SCANS) < SKIPPED] = None
    return given
