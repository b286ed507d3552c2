"""The champion on the challenger's test rows.

Both answer the same source rows, each as its own intake reads them.

Where both read rows alike, the champion's graph takes the challenger's rows. Otherwise its rows are those of
its own data set version, which holds the same source rows as its intake made them: no source is read again,
and nothing more is kept for it. What cannot be had that way, and what the champion learned from, is left out,
counted and told.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from configs.intake import IntakeConfig
from infra.files import DigestError, read_json, verify
from tasks.compilation.signature import signature
from tasks.intake import Intake, Rows, build_intake
from tasks.model.onnx_session import answers, session
from tasks.records import Champion, DatasetVersion, Finding
from tasks.result import Result
from tasks.rows import content_hash
from tasks.rows.parts import read, read_places, schema_of

Mask = npt.NDArray[np.bool_]
ROWS_CHECKED = 256
"""Rows on which two ways of reading are compared."""


@dataclass(frozen=True)
class ChampionScores:
    """What is known of the champion on the test rows."""

    scores: npt.NDArray[np.float64]
    """[rows]; NaN where it is not compared."""
    findings: tuple[Finding, ...] = ()
    """What could not be compared, and why."""

    @property
    def compared(self) -> Mask:
        """The rows that both answered [rows]."""
        found: Mask = ~np.isnan(self.scores)
        return found


@dataclass(frozen=True)
class Test:
    """The challenger's test rows."""

    dataset: DatasetVersion
    rows: Rows
    targets: npt.NDArray[Any]
    names: pd.DataFrame = field(init=False)
    """`id`, and `origin_content` where the data set has it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", names_of(self.dataset, "test"))


class NotComparableError(ValueError):
    """Why the champion's answers to the test rows cannot be had; the message follows `: `."""


def compare_champion(champion: Champion, test: Test, intake: Intake, result: Result) -> ChampionScores:
    """The champion's scores on the test rows.

    Raises DigestError where its bundle or the challenger's data set was changed.
    """
    folder = verify(champion.uri, champion.digest)
    scores = np.full(len(test.rows), np.nan)
    try:
        check_answers(folder, intake, result)
        rows, there = champion_rows(champion, folder, test, intake)
    except NotComparableError as error:
        return ChampionScores(scores, (not_compared(champion, len(scores), len(scores), str(error)),))
    seen = learned_from(champion, test)
    compared = there & ~seen
    if compared.any():
        # `rows` holds those that are there alone, in the order of the test rows.
        taken = rows[compared[there]]
        scores[compared] = result.scores(
            answers(session(folder / "model.onnx"), taken), test.targets[compared]
        )
    findings = []
    if seen.any():
        findings.append(known_rows(champion, int(seen.sum()), len(seen)))
    if missing := int((~there).sum()):
        reason = "takes another input, and its own data set does not have these rows as they are now"
        findings.append(not_compared(champion, missing, len(there), reason))
    elif not compared.any():
        findings.append(not_compared(champion, len(there), len(there), "learned from every one of them"))
    return ChampionScores(scores, tuple(findings))


def check_answers(folder: Path, intake: Intake, result: Result) -> None:
    """Raises NotComparableError where the champion's answers mean something else than the challenger's."""
    found, wanted = read_json(folder / "signature.json"), signature(intake, result)
    for name in ("outputs", "classes"):
        if found.get(name) != wanted[name]:
            raise NotComparableError(
                f"gives other answers ({name} {quote_list(found.get(name))} instead of {quote_list(wanted[name])})"
            )
    label = sections(folder).get("result", {}).get("label", result.label)
    if label != result.label:
        raise NotComparableError(f"answers what {label!r} is, not {result.label!r}")


def champion_rows(champion: Champion, folder: Path, test: Test, intake: Intake) -> tuple[Rows, Mask]:
    """The test rows that the champion can be asked, as it reads them, and which they are [rows].

    Raises NotComparableError.

    The challenger's data set serves where it gives the very rows that the champion's own has.
    """
    alike = read_json(folder / "signature.json")["inputs"] == signature_inputs(intake)
    own = own_intake(folder) or (intake if alike else None)
    if own is None:
        raise NotComparableError("takes another input, and its bundle does not say how it reads a row")
    direct = rows_from_challenger(test, own, intake)
    places, there = places_of_its_own(champion, test)
    if direct is not None:
        some = np.flatnonzero(there)[:ROWS_CHECKED]
        if not len(some) or same_rows(direct[some], rows_at(champion, own, places[some])):
            return direct, np.ones(len(test.rows), np.bool_)
    if not there.any():
        raise NotComparableError("takes another input, and no data set has these rows as it reads them")
    return rows_at(champion, own, places[there]), there


def rows_from_challenger(test: Test, own: Intake, intake: Intake) -> Rows | None:
    """All test rows as the champion's intake reads them from the challenger's data set.

    None where that has not what it takes.
    """
    mine, theirs = ({spec.name: spec for spec in each.inputs} for each in (intake, own))
    if not set(own.columns) <= set(schema_of(Path(test.dataset.uri)).names):
        return None
    if any(mine[name] != theirs[name] for name in mine.keys() & theirs.keys()):
        return None
    try:
        return own.rows(read(test.dataset, list(own.columns), "test"))
    except (ValueError, TypeError):
        return None


def places_of_its_own(champion: Champion, test: Test) -> tuple[npt.NDArray[np.intp], Mask]:
    """Where the champion's data set has each test row with the same content, and whether it has it [rows]."""
    try:
        names = names_of(champion.dataset)
    except (FileNotFoundError, DigestError):
        return np.zeros(len(test.rows), np.intp), np.zeros(len(test.rows), np.bool_)
    both = [name for name in ("id", content_hash.COLUMN) if name in names and name in test.names]
    keys = [pd.MultiIndex.from_frame(each[both]) for each in (names, test.names)]
    known = pd.Series(np.arange(len(names)), keys[0])
    found = known[~known.index.duplicated(keep="last")].reindex(keys[1]).to_numpy(dtype=np.float64)
    there: Mask = ~np.isnan(found)
    return np.where(there, found, 0).astype(np.intp), there


def rows_at(champion: Champion, own: Intake, places: npt.NDArray[np.intp]) -> Rows:
    """Rows of the champion's data set.

    Raises NotComparableError where its intake cannot read them any more.
    """
    try:
        return own.rows(read_places(Path(champion.dataset.uri), list(own.columns), places))
    except (ValueError, KeyError) as error:
        raise NotComparableError(
            f"takes another input, and its rows cannot be read: {type(error).__name__}: {error}"
        ) from None


def learned_from(champion: Champion, test: Test) -> Mask:
    """Which test rows the champion learned from, by name or by content [rows].

    None where its data set is gone.
    """
    try:
        trained = names_of(champion.dataset, "train")
    except (FileNotFoundError, DigestError):
        return np.zeros(len(test.rows), np.bool_)
    seen = test.names["id"].isin(trained["id"])
    if content_hash.COLUMN in trained and content_hash.COLUMN in test.names:
        seen |= test.names[content_hash.COLUMN].isin(trained[content_hash.COLUMN])
    found: Mask = seen.to_numpy(dtype=np.bool_)
    return found


def names_of(dataset: DatasetVersion, split: Any = None) -> pd.DataFrame:
    """Id and content of rows; data sets of before contents were kept have the id alone."""
    there = schema_of(Path(dataset.uri)).names
    return read(dataset, [name for name in ("id", content_hash.COLUMN) if name in there], split)


def own_intake(bundle: Path) -> Intake | None:
    """The intake that a bundle was made with; None where it does not say.

    Raises NotComparableError where it can no longer be built.
    """
    section = sections(bundle).get("intake")
    if section is None:
        return None
    try:
        return build_intake(TypeAdapter(IntakeConfig).validate_python(section))
    except (ValidationError, ImportError, AttributeError, TypeError) as error:
        raise NotComparableError(
            f"takes another input, and its intake cannot be built any more: {error}"
        ) from None


def sections(bundle: Path) -> dict[str, Any]:
    """The sections of the YAML that a bundle was made with."""
    found: dict[str, Any] = read_json(bundle / "lineage.json").get("config", {})
    return found


def signature_inputs(intake: Intake) -> list[dict[str, Any]]:
    """As `signature` has them."""
    return [{"name": taken.name, "dtype": taken.dtype, "shape": list(taken.shape)} for taken in intake.inputs]


def same_rows(one: Rows, other: Rows) -> bool:
    """Whether raw rows are equal, missing numbers too."""
    if len(one) != len(other) or one.dtype != other.dtype:
        return False
    return all(
        np.array_equal(one[name], other[name], equal_nan=one.dtype[name].base.kind == "f")
        for name in one.dtype.names or ()
    )


KEEP = "keep what the model takes and gives, or bring the champion's rows back into the source"


def not_compared(champion: Champion, count: int, total: int, reason: str, advice: str = KEEP) -> Finding:
    """Test rows without the champion's answer."""
    return Finding(
        stage="compile",
        check="not_compared",
        about=f"champion v{champion.version}",
        count=count,
        total=total,
        told=f"test rows are not compared with the champion, which {reason}",
        advice=advice,
    )


def damaged_champion(champion: Champion, rows: int, *, remade: bool) -> tuple[Finding, ...]:
    """What is found where the champion's files are damaged; `remade`: the challenger is its very graph.

    Nothing where they are whole.
    """
    if not champion.damage:
        return ()
    advice = f"restore {champion.uri} from a copy"
    if remade:
        instead = "the challenger is its very graph, made again, and compared with nothing"
    elif champion.fallback:
        instead = (
            f"the challenger is compared with v{champion.fallback.version}, the newest whole one before it"
        )
    else:
        instead = "no version before it is whole"
    found = Finding(
        stage="compile",
        check="damaged_champion",
        about=f"champion v{champion.version}",
        count=1,
        total=1,
        told=f"released version has damaged files, so {instead} ({champion.damage})",
        advice=advice,
    )
    if remade or champion.fallback:
        return (found,)
    return found, not_compared(
        champion, rows, rows, "has damaged files, and no version before it is whole", advice
    )


def known_rows(champion: Champion, count: int, total: int) -> Finding:
    """Test rows that the champion would answer from memory."""
    return Finding(
        stage="compile",
        check="champion_learned_rows",
        about=f"champion v{champion.version}",
        count=count,
        total=total,
        told="test rows are rows that the champion learned from, and are left out of the comparison",
        advice="split rows as the champion's were (versioning.split)",
    )


def quote_list(value: Any) -> str:
    """A list in a message."""
    return ", ".join(map(str, value[:10])) + (", ..." if len(value) > 10 else "") if value else "numbers"


def incompatible_inputs(champion: Champion, intake: Intake) -> tuple[Finding, ...]:
    """The finding that clients of the champion do not fit what the challenger takes."""
    before = {each["name"]: each for each in read_json(Path(champion.uri) / "signature.json")["inputs"]}
    now = {each["name"]: each for each in signature_inputs(intake)}
    changes = [
        f"{name}: {kind(before.get(name))} becomes {kind(now.get(name))}"
        for name in before | now
        if before.get(name) != now.get(name)
    ]
    if not changes:
        return ()
    found = Finding(
        stage="compile",
        check="incompatible_input",
        about=f"champion v{champion.version}",
        count=len(changes),
        total=len(before | now),
        told="inputs are not those of the version that serves: its clients would be refused, so this is a new major version",
        examples=tuple(changes[:3]),
        advice="keep the inputs; once a new major version is allowed, the last one before goes on answering the clients that fit it",
    )
    return (found,)


def kind(given: dict[str, Any] | None) -> str:
    """Dtype and shape of an input."""
    return f"{given['dtype']} {given['shape']}" if given else "none"
