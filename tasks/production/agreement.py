"""Whether two versions answer alike, as far as it matters.

For the model server, which compares live rows, and for deployment, which judges.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

SHARE_OF_SPREAD = 0.1
"""Numbers agree within this share of a standard deviation of the answers."""


def agree(one: npt.NDArray[Any], other: npt.NDArray[Any], spread: float) -> npt.NDArray[np.bool_]:
    """Row by row [rows] of two first outputs [rows, ...].

    spread: standard deviation of the answers where they are numbers; 0 for classes, which agree where they
    are equal
    """
    if one.shape != other.shape:
        return np.zeros(len(one), bool)
    near = SHARE_OF_SPREAD * spread
    same = np.isclose(one, other, rtol=0, atol=near, equal_nan=True) if spread else one == other
    return np.asarray(same.reshape(len(one), -1).all(axis=1))
