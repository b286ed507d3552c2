"""A training for people: its messages in words, and its curves."""

import io
from datetime import timedelta

from tasks.training.messages import EpochEnded, Progress


def describe(message: EpochEnded | Progress) -> str:
    """How it goes, such as: epoch 3/11, loss 0.42, accuracy 0.81, 1,900 samples/s."""
    speed = f"{message.samples_per_s:,.0f} samples/s"
    if isinstance(message, Progress):
        left = timedelta(seconds=round(message.seconds_left))
        return f"loss {message.loss:.4g}, {speed}, {left} left"
    metrics = [f"{name} {value:.4g}" for name, value in message.metrics.items()]
    where = f"epoch {message.epoch}/{message.epochs}"
    return ", ".join([where, f"loss {message.loss:.4g}", *metrics, speed])


def curves(history: list[EpochEnded]) -> bytes:
    """A PNG: the mean training loss of each epoch, and the metric on the validation split, where there is one, with the epoch kept."""
    from matplotlib.figure import Figure

    epochs = [ended.epoch for ended in history]
    metrics = list(history[0].metrics)
    figure = Figure(figsize=(4.5 * (1 + len(metrics)), 3), layout="constrained")
    panels = figure.subplots(1, 1 + len(metrics), squeeze=False)[0]
    panels[0].plot(epochs, [ended.loss for ended in history], marker=".")
    panels[0].set(title="training loss")
    for panel, name in zip(panels[1:], metrics, strict=True):
        panel.plot(epochs, [ended.metrics[name] for ended in history], marker=".")
        kept = best_epoch(history, name)
        panel.plot(kept.epoch, kept.metrics[name], marker="o", markerfacecolor="none", markersize=10)
        panel.set(title=f"validation {name} (ring: kept)")
    for panel in panels:
        panel.set(xlabel="epoch")
        panel.grid(alpha=0.3)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()


def best_epoch(history: list[EpochEnded], metric: str) -> EpochEnded:
    """The epoch whose weights are kept: the best, of equal ones the last."""
    return max(history, key=lambda ended: (ended.metrics[metric], ended.epoch))
