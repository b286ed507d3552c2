"""One label from several annotators' answers: Dawid and Skene (1979), by crowd-kit."""

import pandas as pd

from tasks.records import AnnotatorQuality

TASK, WORKER, ANSWER = "task", "worker", "label"


def answers_of(frame: pd.DataFrame, annotators: tuple[str, ...]) -> pd.DataFrame:
    """The answers in long form, [task, worker, label] as crowd-kit takes them; an empty cell is no answer.

    Raises ValueError naming an annotator whose column is missing.
    """
    if missing := [name for name in annotators if name not in frame]:
        raise ValueError(
            f"labeling.annotators: the rows have no column {missing[0]!r}; they have {', '.join(frame.columns)}"
        )
    melted = (
        frame[["id", *annotators]]
        .melt(id_vars="id", value_vars=list(annotators), var_name=WORKER, value_name=ANSWER)
        .rename(columns={"id": TASK})
    )
    return melted.dropna(subset=[ANSWER]).astype(str).reset_index(drop=True)


def majority(answers: pd.DataFrame) -> pd.Series:
    """The most frequent answer of each task; ties go to the first in alphabetical order."""
    counts = answers.groupby([TASK, ANSWER]).size().reset_index(name="votes")
    best = counts.sort_values([TASK, "votes", ANSWER], ascending=[True, False, True]).drop_duplicates(TASK)
    return best.set_index(TASK)[ANSWER]


def beliefs(answers: pd.DataFrame) -> pd.DataFrame:
    """How probable each label is, [tasks, labels], weighing each annotator by the confusions that it shows.

    A task with one answer is sure of it.
    """
    from crowdkit.aggregation.classification.dawid_skene import DawidSkene

    sure = pd.get_dummies(majority(answers), dtype=float).reindex(
        columns=sorted(answers[ANSWER].unique()), fill_value=0.0
    )
    several = answers[answers.groupby(TASK)[ANSWER].transform("size") > 1]
    if len(several):
        sure.update(DawidSkene(n_iter=50).fit_predict_proba(several.sort_values([TASK, WORKER])))
    return sure


def consensus(believed: pd.DataFrame) -> pd.Series:
    """The most probable label of each task."""
    return believed.idxmax(axis=1).rename(ANSWER)


def quality(
    answers: pd.DataFrame, agreed: pd.Series, annotators: tuple[str, ...]
) -> tuple[AnnotatorQuality, ...]:
    """How each annotator did against the consensus."""
    right = answers[ANSWER] == answers[TASK].map(agreed)
    return tuple(
        AnnotatorQuality(
            name=name, answers=int(mine.sum()), agreement=float(right[mine].mean()) if mine.any() else 0.0
        )
        for name in annotators
        for mine in [answers[WORKER] == name]
    )
