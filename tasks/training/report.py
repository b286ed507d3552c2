"""A training for people: its messages in words, and its curves."""

import io
from datetime import timedelta
from typing import Any

NOT_MEASURED = ("epoch", "epochs", "progress", "samples_per_s", "seconds_left")
"""Entries of a message that say where and how fast, not how well."""
History = list[dict[str, Any]]
"""The messages of tasks/training/loop.py, one an epoch."""


def describe(message: dict[str, Any]) -> str:
    """A message about an epoch, or about the progress within one: epoch 3/11, loss 0.42, accuracy 0.81, 1,900 samples/s, 0:01:30 left."""
    words = [f"epoch {message['epoch']}/{message['epochs']}"] if "epoch" in message else []
    words += [f"{name} {value:.4g}" for name, value in message.items() if name not in NOT_MEASURED]
    words.append(f"{message['samples_per_s']:,.0f} samples/s")
    if "seconds_left" in message:
        words.append(f"{timedelta(seconds=round(message['seconds_left']))} left")
    return ", ".join(words)


def curves(history: History) -> bytes:
    """A PNG: the mean training loss of each epoch, and the metric on the validation split, where there is one, with the epoch kept."""
    from matplotlib.figure import Figure

    measured = [name for name in history[0] if name not in NOT_MEASURED]
    figure = Figure(figsize=(4.5 * len(measured), 3), layout="constrained")
    for panel, name in zip(figure.subplots(1, len(measured), squeeze=False)[0], measured, strict=True):
        panel.plot(
            [message["epoch"] for message in history], [message[name] for message in history], marker="."
        )
        if name != "loss":
            kept = max(history, key=lambda message: (message[name], message["epoch"]))
            panel.plot(kept["epoch"], kept[name], marker="o", markerfacecolor="none", markersize=10)
        panel.set(
            xlabel="epoch", title="training loss" if name == "loss" else f"validation {name} (ring: kept)"
        )
        panel.grid(alpha=0.3)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()
