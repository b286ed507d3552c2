"""The protocol's classification extension: a row's largest values with their classes, as texts."""

import numpy as np

from tasks.serving.protocol.tensors import Values


def strongest_classes(values: Values, count: int, classes: tuple[str, ...] | None) -> list[str]:
    """Texts `value:index:class` of the `count` largest values of each row, the largest first.

    Equal ones by index.

    values: [rows, n]; where the model has no n classes, a text ends with the index
    """
    width = values.shape[1]
    named = classes is not None and len(classes) == width
    order = np.argsort(-values.astype(np.float64), axis=1, kind="stable")[:, :count]
    texts = []
    for row, places in zip(values, order.tolist(), strict=True):
        for place in places:
            label = f":{classes[place]}" if named and classes else ""
            texts.append(
                f"{row[place]:f}:{place}{label}" if row.dtype.kind == "f" else f"{row[place]}:{place}{label}"
            )
    return texts
