"""An exported graph and how it is asked: values by input in, outputs by name out.

Needs onnxruntime and numpy alone.

Values are taken as they are given or refused with their input and row. A number or text that is missing is
null (NaN, "").
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

Values = npt.NDArray[Any]
TOLERANCE = 0.01
"""How far answers may lie from those that the graph gave where it was judged.

8-bit sums differ between processors.
"""


class Graph:
    """The graph of a folder with model.onnx and model.json."""

    def __init__(self, folder: Path) -> None:
        """Raises RuntimeError where neither graph of the folder answers here as it was judged."""
        self.facts: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        for name in ("model.onnx", "portable.onnx"):
            if not (folder / name).is_file():
                continue
            self.session = onnxruntime.InferenceSession(folder / name, providers=["CPUExecutionProvider"])
            if self.moved(folder / "probe", name) <= TOLERANCE:
                return
        raise RuntimeError(f"{folder}: on this machine its answers are not those that it was judged by")

    def moved(self, probe: Path, name: str) -> float:
        """How far the answers to the probe's rows lie from those that are kept with them.

        0 without a probe.
        """
        if not (probe / f"{name}.npz").is_file():
            return 0.0
        with np.load(probe / "rows.npz", allow_pickle=False) as numbers:
            inputs = dict(numbers)
        texts = json.loads((probe / "texts.json").read_text(encoding="utf-8"))
        inputs |= {each: np.array(values, dtype=object) for each, values in texts.items()}
        outputs = [output.name for output in self.session.get_outputs()]
        found = dict(zip(outputs, self.session.run(outputs, inputs), strict=True))
        largest = 0.0
        with np.load(probe / f"{name}.npz", allow_pickle=False) as known:
            for output, values in known.items():
                apart = np.abs(found[output].astype(np.float64) - values) / np.maximum(1, np.abs(values))
                largest = max(largest, float(np.nanmax(apart, initial=0.0)))
        return largest

    def answer(self, columns: dict[str, Values]) -> dict[str, Values]:
        """The outputs by name, and what the first one means in words as `answer`.

        Columns as `column` gives them.
        """
        names = self.facts["outputs"]
        found = dict(zip(names, self.session.run(names, columns), strict=True))
        classes, first = self.facts["classes"], found[names[0]]
        words = [classes[index] if classes else str(index) for index in first.tolist()]
        return found | {"answer": np.array(words, dtype=object)}

    def column(self, taken: dict[str, Any], values: list[Any]) -> Values:
        """Flat values of one input as [rows, *shape].

        Raises ValueError for one that would have to be changed or guessed.
        """
        dtype, size = taken["dtype"], int(np.prod(taken["shape"]))
        wrong = next((place for place, value in enumerate(values) if not self.fits(value, dtype)), None)
        if wrong is not None or not size or len(values) % size:
            told = (
                f"row {wrong // size}: {values[wrong]!r:.60}"
                if wrong is not None
                else f"{len(values)} values"
            )
            raise ValueError(f"input {taken['name']!r}, {told}; want {dtype}, {size} a row")
        if dtype == "str":
            made = np.empty(len(values), dtype=object)
            made[:] = [value or "" for value in values]
        else:
            made = np.array([np.nan if value is None else value for value in values], dtype)
        return made.reshape(-1, *taken["shape"])

    def fits(self, value: Any, dtype: str) -> bool:
        """Whether a JSON value can be a value of `dtype`."""
        if dtype == "str":
            return value is None or (isinstance(value, str) and len(value) <= self.facts["longest_text"])
        if dtype == "bool" or isinstance(value, bool):
            return dtype == "bool" and isinstance(value, bool)
        if np.dtype(dtype).kind == "f":
            # Said so, a NaN is within it too: it is a missing value.
            limit = np.finfo(dtype).max
            return value is None or (isinstance(value, (int, float)) and not abs(value) > limit)
        return isinstance(value, int) and bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max)
