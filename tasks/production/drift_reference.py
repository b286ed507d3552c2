"""What production is compared with.

What a model version was trained on, and what it makes of rows that it did not learn from.

Kept in the bundle as small Parquet files of descriptors, so that a look at production reads neither the
data set nor, where rows are images, a single pixel; and the same every time, because it belongs to the
version. Rows of the source are a seeded sample, with every class in its share: rows come in any order, often
a class after another. Late-labelled rows come in the order of their labels, so the newest of them are kept:
they stand for the world as it was last seen.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.files import verify
from tasks.records import DatasetVersion
from tasks.rows.parts import part_paths, read_places

if TYPE_CHECKING:
    # They bring torch, which a look at too few predictions does without.
    from tasks.intake import Intake
    from tasks.model.embedding import Seen
    from tasks.result import Result
    from tasks.rows.raw import Rows

Places = npt.NDArray[np.intp]
INPUTS, ANSWERS, SEEN = "reference-inputs.parquet", "reference-answers.parquet", "reference-seen.parquet"
ORIGIN = "gyre.origin"
"""Column of all files."""
EMBEDDING = "gyre.embedding."
"""How columns of what the graph's last layer is given begin."""
ERROR = "gyre.error"
"""Column of the answers, where a graph gave them.

How wrong each was, 0 or 1, or for numbers the distance to the truth.
"""
SOURCE, FEEDBACK = "source", "feedback"
MOST = 2000
"""Rows of each origin that are kept."""
SEED = 11


class Reference(NamedTuple):
    """Descriptors, each frame with its ORIGIN."""

    inputs: pd.DataFrame
    """Of training rows."""
    answers: pd.DataFrame
    """Of the graph's answers to held-out rows, with their ERROR; without a graph or such rows, of the labels."""
    seen: pd.DataFrame | None = None
    """Of the same held-out rows: inputs, what the encoder made of them, and the embedding. None where there are none, and
    in a bundle that was made before they were kept."""


def write(folder: Path, dataset: DatasetVersion, intake: "Intake", result: "Result", graph: Path) -> None:
    """The files of a version, into its bundle. Raises DigestError where the data set was changed."""
    for name, frame in zip((INPUTS, ANSWERS, SEEN), frames(dataset, intake, result, graph), strict=True):
        if frame is not None:
            pq.write_table(
                pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None),
                folder / name,
                compression="zstd",
            )


def read(bundle: Path) -> Reference | None:
    """What a bundle keeps; None for one that was made before it was kept."""
    if not (bundle / INPUTS).is_file():
        return None
    inputs, given = (pq.read_table(bundle / name).to_pandas() for name in (INPUTS, ANSWERS))
    seen = pq.read_table(bundle / SEEN).to_pandas() if (bundle / SEEN).is_file() else None
    return Reference(inputs, given, seen)


def frames(dataset: DatasetVersion, intake: "Intake", result: "Result", graph: Path | None) -> Reference:
    """Descriptors of training rows, and of what the graph makes of the other splits' rows.

    Answers to training rows are surer and more often right than production's can be, and a network knows
    its training rows' words. Without a graph, or without other rows, the labels stand for the answers.
    """
    from tasks.model.embedding import see

    folder = verify(dataset.uri, dataset.digest)
    labels, origins, splits = about_rows(folder, result)
    columns = [*intake.columns, result.label]
    inputs, given, seen = [], [], []
    for origin in (SOURCE, FEEDBACK):
        mine = origins == origin
        rows = read_places(folder, columns, choose_rows((splits == "train") & mine, origin, labels))
        if len(rows):
            inputs.append(intake.describe(intake.rows(rows)).assign(**{ORIGIN: origin}))
        others = read_places(folder, columns, choose_rows((splits != "train") & mine, origin, labels))
        if graph and len(others):
            raw = intake.rows(others)
            found = see(graph, raw)
            wrong = errors_of(result, found.answers, others[result.label])
            answered = answer_descriptors(result, found.answers)
            given.append(answered.assign(**{ORIGIN: origin}).assign(**{ERROR: wrong}))
            seen.append(seen_descriptors(intake, raw, found).assign(**{ORIGIN: origin}))
        elif len(rows):
            given.append(label_descriptors(result, rows[result.label]).assign(**{ORIGIN: origin}))
    return Reference(
        pd.concat(inputs, ignore_index=True),
        pd.concat(given, ignore_index=True),
        pd.concat(seen, ignore_index=True) if seen else None,
    )


def seen_descriptors(intake: "Intake", rows: "Rows", found: "Seen") -> pd.DataFrame:
    """Descriptors of inputs, of what the encoder made of them where the intake has any, and the embedding."""
    described = [intake.describe(rows)]
    of_encoded = getattr(intake, "describe_encoded", None)
    if of_encoded and found.encoded is not None:
        described.append(of_encoded(found.encoded))
    if found.embedding is not None:
        names = [f"{EMBEDDING}{place}" for place in range(found.embedding.shape[1])]
        described.append(pd.DataFrame(found.embedding, columns=names))
    return pd.concat(described, axis=1)


def answer_descriptors(result: "Result", given: dict[str, npt.NDArray[Any]]) -> pd.DataFrame:
    """Descriptors of answers, under names that no input has."""
    return result.describe(given).rename(columns=lambda name: f"model {name}")


def errors_of(
    result: "Result", given: dict[str, npt.NDArray[Any]], labels: pd.Series
) -> npt.NDArray[np.float64]:
    """How wrong each answer is."""
    answered = result.readable(given)["answer"].to_numpy()
    if result.classes is None:
        return np.asarray(np.abs(answered.astype(float) - labels.to_numpy().astype(float)))
    return np.asarray(answered.astype(str) != labels.astype(str).to_numpy(), dtype=np.float64)


def label_descriptors(result: "Result", labels: pd.Series) -> pd.DataFrame:
    """Labels as if the model had given them."""
    return pd.DataFrame({"model answer": labels.astype(float if result.classes is None else str).to_numpy()})


def about_rows(folder: Path, result: "Result") -> tuple[Places, npt.NDArray[Any], npt.NDArray[Any]]:
    """Of all rows in their order.

    Number of the class (0 where answers are numbers), SOURCE or FEEDBACK, and the split's name.
    """
    parts = [pq.read_table(path, columns=[result.label, "origin", "split"]) for path in part_paths(folder)]
    rows = pa.concat_tables(parts, promote_options="permissive")
    classes = pc.cast(rows[result.label], pa.string()).combine_chunks().dictionary_encode()
    codes = classes.indices.fill_null(-1).to_numpy() if result.classes else np.zeros(len(rows), np.intp)
    origins = np.where(pc.equal(rows["origin"], "feedback").to_numpy(), FEEDBACK, SOURCE)
    splits = rows["split"].combine_chunks().dictionary_encode()
    return codes, origins, np.array(splits.dictionary.to_pylist())[splits.indices.to_numpy()]


def choose_rows(mine: npt.NDArray[np.bool_], origin: str, labels: Places) -> Places:
    """Places of at most MOST of the rows.

    Of late-labelled ones the newest, the newest last, of the source's a stratified sample.
    """
    places = np.flatnonzero(mine)
    return places[-MOST:] if origin == FEEDBACK else places[stratified_order(labels[places])[:MOST]]


def stratified_order(labels: Places) -> Places:
    """Places in an order whose every beginning is a random sample with each label in about its share.

    Seeded.
    """
    draw = np.random.RandomState(SEED)  # its streams never change between versions
    shuffled = draw.permutation(len(labels))
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        mine = np.flatnonzero(labels[shuffled] == label)
        rank[mine] = (np.arange(len(mine)) + draw.rand()) / len(mine)
    found: Places = shuffled[np.argsort(rank, kind="stable")]
    return found
