"""Makes a version of labelled rows: split, committed, tagged, pushed; the same rows again are the same version."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from configs.data import Versioning
from infra.files import digest, whole_folder, write_json
from tasks.dataset import ROWS_A_PART, part_paths, read, write
from tasks.records import DatasetVersion, LabelReport, Stored
from tasks.versioning.repository import Repository
from tasks.versioning.split import counts, split_of

log = logging.getLogger("gyre.versioning")


@dataclass(frozen=True)
class Changes:
    """Against the version before, by id."""

    added: int
    removed: int
    changed: int


def make_version(project: str, labels: LabelReport, versioning: Versioning, repository: Repository, datasets: Path) -> DatasetVersion:
    """The rows as `<project>/v<N>` of the data repo, and laid out in `<datasets>/<project>/v<N>`, which nothing changes later.

    Killed at any point, the same call finishes what is missing. Raises ValueError for an empty split, DigestError for changed rows.
    """
    frame = read(labels)
    frame = frame.assign(split=split_of(frame["id"], versioning.split))
    splits = counts(frame["split"], versioning.split)
    with repository.opened() as repo:
        folder = repository.root / project
        with whole_folder(folder) as partial:
            write((frame[start : start + ROWS_A_PART] for start in range(0, len(frame), ROWS_A_PART)), partial)
        content = digest(folder)
        versions = repository.versions(project)
        number = next((known for known, found in versions.items() if found == content), max(versions, default=0) + 1)
        tag = f"{project}/v{number}"
        repo.add(str(folder))
        if number not in versions:
            write_json(repository.root / f"{project}.json", {"digest": content, "rows": len(frame), "splits": splits})
            repository.commit(f"{project} v{number}: {len(frame)} rows")
            repository.git("tag", tag)
        repo.push(targets=[f"{folder}.dvc"])
        commit = repository.git("rev-list", "-n", "1", tag)
        laid_out = lay_out(folder, datasets / project / f"v{number}", content)
    log.info("%s: %d rows, commit %s", tag, len(frame), commit[:12])
    return DatasetVersion(
        uri=str(laid_out), digest=content, project=project, version=number, tag=tag, commit=commit, rows=len(frame), splits=splits
    )


def lay_out(source: Path, target: Path, content: str) -> Path:
    """A copy of a version's parts that the next version does not change."""
    if not (target.is_dir() and digest(target) == content):
        with whole_folder(target) as partial:
            for part in part_paths(source):
                shutil.copyfile(part, partial / part.name)
    return target


def changes(now: Stored, before: Stored | None) -> Changes | None:
    """What a version changed; None for a first one."""
    if before is None:
        return None
    old, new = (fingerprints(read(rows)) for rows in (before, now))
    both = new.index.intersection(old.index)
    return Changes(len(new) - len(both), len(old) - len(both), int((new.loc[both] != old.loc[both]).sum()))


def fingerprints(frame: pd.DataFrame) -> pd.Series:
    """A hash of each row by its id."""
    plain = frame.map(lambda value: value.tobytes().hex() if hasattr(value, "tobytes") else str(value))
    return pd.Series(pd.util.hash_pandas_object(plain.reindex(columns=sorted(plain)), index=False).to_numpy(), index=frame["id"])
