"""The demo's production: scans that no training saw, and the day the scanner is replaced."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scans:
    """Held-out digits with their truth."""

    ids: list[str]
    images: Images
    """[scans, 8, 8, 1]."""
    labels: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def replaced_scanner(self) -> "Scans":
        """The same sheets under the new scanner.

        Paper that was black comes out grey, ink fainter (120 + 0.35 x, so 120 to 209).
        """
        return Scans(self.ids, (120 + 0.35 * self.images.astype(np.float32)).astype(np.uint8), self.labels)


def held_out(start: int, stop: int) -> Scans:
    """Scans `start` to `stop` of the bundled digits; `configs/digits.yaml` trains on the first 1,000."""
    from tasks.ingestion.readers.digits import images

    pixels, labels, ids = images(start, stop)
    return Scans(list(ids), pixels, list(labels))
