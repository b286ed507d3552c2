"""What a client is told of why its rows were answered so."""

import base64
import io
from typing import Any

import numpy as np

from tasks.rows.raw import Rows
from tasks.serving.explain.occlusion import Occlusion, Part
from tasks.serving.model_server import Prediction
from tasks.serving.rest.messages import prediction

LARGEST = 512
"""Pixels of a picture's longer side, about."""


def explained(found: Prediction, occlusion: Occlusion) -> dict[str, Any]:
    """Each row's answer, and what each of its parts weighs, the heaviest first; of images a picture too."""
    told = prediction(found)
    every = told["rows"]
    rows: list[dict[str, Any]] = []
    for begin, parts in zip(occlusion.firsts, occlusion.parts, strict=True):
        whole, hidden = every[begin], every[begin + 1 : begin + 1 + len(parts)]
        is_number = found.classes is None
        first = score(whole, whole["answer"], is_number)
        weights = [first - score(each, whole["answer"], is_number) for each in hidden]
        row = {name: value for name, value in whole.items() if name not in ("row", "id")}
        row |= {"row": len(rows), "score": first, "weights": heaviest(parts, weights)}
        if parts and parts[0].box is not None and occlusion.hidden is not None:
            row["picture"] = picture(occlusion.hidden, begin, parts, weights)
        rows.append(row)
    return told | {"rows": rows, "method": "occlusion", "notices": occlusion.notices}


def score(row: dict[str, Any], answer: str, is_number: bool) -> float:
    """How sure a row is of an answer: its probability, or what the row was answered where that is a number.

    Where the model tells no probabilities: 1 for the same answer, 0 for another.
    """
    if "probabilities" in row:
        return float(row["probabilities"][answer])
    return float(row["answer"]) if is_number else float(row["answer"] == answer)


def heaviest(parts: list[Part], weights: list[float]) -> list[dict[str, Any]]:
    """Parts with what they weigh: positive where they speak for the answer."""
    found = []
    for number in sorted(range(len(parts)), key=lambda index: -abs(weights[index])):
        part = parts[number]
        told: dict[str, Any] = {"part": part.name, "weight": weights[number]}
        if part.box is not None:
            told["box"] = list(part.box)
        elif part.span is not None:
            told["span"] = list(part.span)
        else:
            told["value"] = part.value
        found.append(told)
    return found


def picture(rows: Rows, number: int, parts: list[Part], weights: list[float]) -> str:
    """A data URL of a PNG: the image in grey, red where a patch speaks for the answer, blue against it."""
    from PIL import Image

    (name,) = rows.dtype.names or ("",)
    image = rows[name][number].astype(np.float32)
    low, high = float(image.min()), float(image.max())
    grey = (image.mean(axis=-1) - low) / ((high - low) or 1.0)
    drawn = np.repeat(grey[..., None], 3, axis=-1) * 255
    strongest = max(map(abs, weights), default=0.0) or 1.0
    for part, weight in zip(parts, weights, strict=True):
        assert part.box  # noqa: S101 - patches have one
        top, left, bottom, right = part.box
        colour = np.array([255, 0, 0] if weight > 0 else [0, 0, 255], np.float32)
        share = 0.7 * abs(weight) / strongest
        drawn[top:bottom, left:right] = (1 - share) * drawn[top:bottom, left:right] + share * colour
    times = max(1, LARGEST // max(drawn.shape[:2]))
    shown = Image.fromarray(drawn.astype(np.uint8).repeat(times, axis=0).repeat(times, axis=1))
    file = io.BytesIO()
    shown.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
