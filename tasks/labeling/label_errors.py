"""Labels that a model trained on the other rows would not have given.

Confident learning (Northcutt et al., 2021), by cleanlab.
"""

from typing import Any

import numpy as np
import pandas as pd

from tasks.intake import Intake
from tasks.result import Result

FOLDS = 3
DIRECTIONS = 200
"""Of rows with more features, such as photos, those in which they differ most: all 3,072 of small photos
would take minutes."""
COLUMNS = ["id", "label", "suggested", "quality"]


def suspects(frame: pd.DataFrame, intake: Intake, result: Result, most: int) -> pd.DataFrame:
    """Suspected label errors, worst first, at most `most`: id, label, suggested, quality (0 worst, 1 best).

    Probabilities are out of sample: a logistic regression on the intake's features, cross-validated. Empty
    where the result has no classes, or where a class has too few rows to be left out.
    """
    classes = result.classes
    targets = result.targets(frame[result.label]) if classes else np.array([])
    present, counts = np.unique(targets, return_counts=True)
    if not classes or most == 0 or len(present) < 2 or counts.min() < FOLDS:
        return pd.DataFrame(columns=COLUMNS)
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    compact = np.searchsorted(present, targets)
    probabilities = out_of_sample(intake.features(intake.rows(frame)), compact)
    scores = get_label_quality_scores(compact, probabilities)
    worst = find_label_issues(compact, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)[
        :most
    ]
    names = np.array(classes)[present]
    found = {
        "id": frame["id"].to_numpy()[worst],
        "label": names[compact[worst]],
        "suggested": names[probabilities[worst].argmax(axis=1)],
    }
    return pd.DataFrame(found | {"quality": scores[worst]})[COLUMNS]


def out_of_sample(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Class probabilities [rows, classes] of each row by a model that never saw it.

    A missing feature counts as the mean.
    """
    from sklearn.decomposition import PCA
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps: list[Any] = [SimpleImputer(keep_empty_features=True), StandardScaler()]
    if min(features.shape) > DIRECTIONS * 2:
        steps.append(PCA(DIRECTIONS, svd_solver="randomized", random_state=0))
    model = make_pipeline(*steps, LogisticRegression(C=0.1, max_iter=300))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    probabilities: np.ndarray = cross_val_predict(model, features, targets, cv=folds, method="predict_proba")
    return probabilities
