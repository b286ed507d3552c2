"""One of several classes."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from configs.result import ClassificationResultConfig
from tasks.result import Answers, Postprocessing

BINS = 10
"""Of confidence, in a reliability picture."""


class Choose(Postprocessing):
    """[batch, classes] logits -> the most probable class [batch] int64 and all probabilities [batch, classes] float32."""

    weight: Tensor | None

    def __init__(self, classes: int, balanced: bool, smoothing: float) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.register_buffer("weight", torch.ones(classes) if balanced else None)

    def fit(self, targets: npt.NDArray[Any]) -> None:
        """Where classes are balanced.

        Each class weighs rows / (classes x its own rows), one without any row nothing.
        """
        if self.weight is not None:
            counts = np.bincount(targets, minlength=len(self.weight))
            share = np.divide(
                len(targets), counts * (counts > 0).sum(), out=np.zeros(len(counts)), where=counts > 0
            )
            self.weight.copy_(torch.from_numpy(share))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy, weighted where classes are balanced.

        Targets are class indexes [batch] or probabilities [batch, classes].
        """
        losses = nn.functional.cross_entropy(
            outputs, targets, reduction="none", label_smoothing=self.smoothing
        )
        if self.weight is None:
            return losses
        return losses * (self.weight[targets] if targets.ndim == 1 else targets @ self.weight)

    def distance(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """Kullback-Leibler divergence of the softened probabilities, times temperature squared.

        Hinton et al., Distilling the Knowledge in a Neural Network (2015).
        """
        mine = nn.functional.log_softmax(outputs / temperature, dim=1)
        theirs = nn.functional.log_softmax(taught / temperature, dim=1)
        divergence = nn.functional.kl_div(mine, theirs, reduction="none", log_target=True)
        return divergence.sum(dim=1) * temperature**2

    def forward(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Softmax and argmax."""
        return outputs.argmax(dim=1), outputs.softmax(dim=1)


class Classes:
    """See tasks/result/__init__.py: Result. Targets are class indexes, int64."""

    names: tuple[str, ...] = ("class", "probability")
    metric = "accuracy"

    def __init__(self, section: ClassificationResultConfig) -> None:
        self._classes = list(section.classes)
        self.classes: list[str] | None = self._classes
        self.label, self.soft_label = section.label, section.soft_label
        self.outputs = len(self._classes)
        self._balanced = section.class_weights == "balanced"
        self._smoothing = section.label_smoothing

    def targets(self, labels: pd.Series) -> npt.NDArray[Any]:
        """Indexes into `classes`; labels are compared as text."""
        indexes = pd.Index(self._classes).get_indexer(pd.Index(labels.astype(str)))
        if (indexes < 0).any():
            strange = sorted(set(labels.astype(str)[indexes < 0]))
            raise ValueError(
                f"column {self.label!r} holds {', '.join(map(repr, strange[:5]))}; result.classes allows {', '.join(self._classes)}"
            )
        return indexes.astype(np.int64)

    def learned(self, frame: pd.DataFrame) -> npt.NDArray[Any]:
        """Class indexes [rows], or probabilities [rows, classes] float32.

        A row without them is sure of its label.
        """
        targets = self.targets(frame[self.label])
        if self.soft_label is None:
            return targets
        given, empty = frame[self.soft_label], frame[self.soft_label].isna()
        soft: npt.NDArray[np.float32] = np.eye(self.outputs, dtype=np.float32)[targets]
        if not empty.all():
            soft[~empty] = [self._distribution(values) for values in given[~empty]]
        return soft

    def _distribution(self, values: Any) -> npt.NDArray[np.float64]:
        found = np.asarray(values, dtype=np.float64)
        if found.shape != (self.outputs,) or not (found >= 0).all() or abs(found.sum() - 1) > 1e-3:
            raise ValueError(
                f"column {self.soft_label!r} holds {found.tolist()}; want {self.outputs} probabilities, one a class, whose sum is 1"
            )
        return found

    def postprocessing(self) -> Postprocessing:
        """Probabilities and the most probable class."""
        return Choose(self.outputs, self._balanced, self._smoothing)

    def metrics(self, answers: Answers, targets: npt.NDArray[Any]) -> dict[str, float]:
        """Accuracy, its mean over classes, macro F1 over the classes that occur, log loss in nats and the expected calibration error.

        Of two classes that both occur also ROC AUC, and average precision and F1 of the rarer one.
        """
        from sklearn.metrics import f1_score

        probability = answers["probability"][np.arange(len(targets)), targets]
        sure, share, rows = reliability(answers["probability"].max(axis=1), answers["class"] == targets)
        found = {
            "accuracy": float(self.scores(answers, targets).mean()),
            "balanced_accuracy": mean_recall(answers["class"], targets),
            "macro_f1": float(f1_score(targets, answers["class"], average="macro")),
            "log_loss": float(-np.log(np.clip(probability, 1e-12, 1)).mean()),
            "calibration_error": float((np.abs(sure - share) * rows).sum() / len(targets)),
        }
        return found | (
            self._of_two(answers, targets) if self.outputs == 2 and len(np.unique(targets)) == 2 else {}
        )

    def _of_two(self, answers: Answers, targets: npt.NDArray[Any]) -> dict[str, float]:
        from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

        rarer = int(targets.mean() < 0.5)
        probability, truth = answers["probability"][:, rarer], targets == rarer
        return {
            "roc_auc": float(roc_auc_score(truth, probability)),
            "average_precision": float(average_precision_score(truth, probability)),
            "f1": float(f1_score(truth, answers["class"] == rarer)),
        }

    def scores(self, answers: Answers, targets: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """1 where the class is right, else 0."""
        right: npt.NDArray[np.float64] = np.asarray(answers["class"] == targets, dtype=np.float64)
        return right

    def parity(self, mine: Answers, theirs: Answers) -> float:
        """Of the probabilities; classes follow from them."""
        return float(np.abs(mine["probability"] - theirs["probability"]).max())

    def describe(self, answers: Answers) -> pd.DataFrame:
        """The answered class and its probability."""
        return pd.DataFrame(
            {
                "answer": np.array(self._classes)[answers["class"]],
                "confidence": answers["probability"].max(axis=1),
            }
        )

    def readable(self, answers: Answers) -> pd.DataFrame:
        """The class by name, and its probability."""
        return self.describe(answers)

    def picture(self, answers: Answers, targets: npt.NDArray[Any]) -> bytes:
        """The confusion matrix, and how often answers of each confidence are right."""
        from matplotlib.figure import Figure
        from sklearn.metrics import ConfusionMatrixDisplay

        side = 1.8 + 0.55 * self.outputs
        figure = Figure(figsize=(side + 4, max(side, 3.6)), layout="constrained")
        matrix, curve = figure.subplots(1, 2, width_ratios=(side, 4))
        ConfusionMatrixDisplay.from_predictions(
            targets,
            answers["class"],
            labels=range(self.outputs),
            display_labels=self._classes,
            ax=matrix,
            colorbar=False,
            cmap="Blues",
        )
        matrix.set(
            xlabel="answer",
            ylabel="truth",
            title=f"accuracy {self.scores(answers, targets).mean():.3f} on {len(targets)} test rows",
        )
        sure, share, rows = reliability(answers["probability"].max(axis=1), answers["class"] == targets)
        curve.plot([0, 1], [0, 1], color="#777777", linewidth=1)
        curve.scatter(sure, share, s=15 + 300 * rows / rows.sum(), alpha=0.7)
        curve.set(
            xlim=(0, 1.02),
            ylim=(0, 1.02),
            xlabel="confidence",
            ylabel="share that is right",
            title="reliability",
            aspect="equal",
        )
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=120)
        return image.getvalue()


def mean_recall(given: npt.NDArray[Any], targets: npt.NDArray[Any]) -> float:
    """Share of right answers, averaged over the classes that occur."""
    rows = np.bincount(targets)
    right = np.bincount(targets[given == targets], minlength=len(rows))
    return float((right[rows > 0] / rows[rows > 0]).mean())


def reliability(
    confidence: npt.NDArray[Any], right: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean confidence, share of right answers and rows of each tenth of confidence that occurs.

    Guo et al., On Calibration of Modern Neural Networks (2017).
    """
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = np.bincount(bins, minlength=BINS).astype(np.float64)
    there = rows > 0
    sums = [np.bincount(bins, values, minlength=BINS)[there] / rows[there] for values in (confidence, right)]
    return sums[0], sums[1], rows[there]
