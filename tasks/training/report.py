"""Pictures of a training, for reports."""

import io
from typing import Any

History = list[dict[str, Any]]
"""The messages of tasks/training/loop.py, one an epoch."""


def curves(history: History) -> bytes:
    """A PNG: the mean training loss of each epoch, and the metric on the validation split where there is one."""
    from matplotlib.figure import Figure

    measured = [name for name in history[0] if name not in ("epoch", "epochs", "samples_per_s")]
    figure = Figure(figsize=(4.5 * len(measured), 3), layout="constrained")
    for panel, name in zip(figure.subplots(1, len(measured), squeeze=False)[0], measured, strict=True):
        panel.plot([message["epoch"] for message in history], [message[name] for message in history], marker=".")
        panel.set(xlabel="epoch", title="training loss" if name == "loss" else f"validation {name}")
        panel.grid(alpha=0.3)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()
