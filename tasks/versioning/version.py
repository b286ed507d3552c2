"""Makes a version of labelled rows: split, pushed, committed, tagged.

The same rows again are the same version.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.versioning import VersioningConfig
from infra.disk_guard import guard_disk
from infra.files import digest, whole_folder, write_json
from tasks.records import DatasetVersion, LabelReport
from tasks.rows.parts import part_paths, rewrite
from tasks.versioning.repository import Repository
from tasks.versioning.split import splitter
from tasks.versioning.statistics import leaks, statistics
from tasks.versioning.transfer import lay_out

log = logging.getLogger("gyre.versioning")
SPARE = 16 * 2**20
"""Bytes for git, DVC and lists of parts."""


def make_version(
    project: str,
    labels: LabelReport,
    columns: tuple[str, ...],
    versioning: VersioningConfig,
    repository: Repository,
    datasets: Path,
    label: str = "label",
    origin: Mapping[str, Any] | None = None,
) -> DatasetVersion:
    """The rows as `<project>/v<N>` of the data repo, and laid out in `<datasets>/<project>/v<N>`, which nothing changes later.

    columns: the intake's, in which copies across splits are looked for
    label: column with the truth of a row
    origin: where the rows come from (tasks/versioning/provenance.py), kept beside what is found in them
    Parts whose rows are those of an earlier version are the same files. The tag comes last: killed at any
    point, nothing half-made can be fetched, and the same call finishes what is missing. Raises ValueError for
    an empty split, DigestError for changed rows, OSError where there is no room, TimeoutError where another
    writer does not end.
    """
    put = splitter(Path(labels.uri), versioning.split)
    with (
        repository.opened() as repo,
        guard_disk(lambda: takes(labels), repository.root, datasets, repository.remote),
    ):
        folder = repository.root / project
        with whole_folder(folder) as partial:
            rows = rewrite(labels, partial, put)
            splits = put.checked()
        content = digest(folder)
        versions = repository.versions(project)
        number = next(
            (known for known, found in versions.items() if found == content), max(versions, default=0) + 1
        )
        tag = f"{project}/v{number}"
        repo.add(str(folder))
        repo.checkout(targets=[f"{folder}.dvc"], relink=True, force=True)
        repo.push(targets=[f"{folder}.dvc"])
        laid_out = lay_out(folder, datasets / project / f"v{number}", content)
        if number not in versions:
            found = {
                "digest": content,
                "rows": rows,
                "splits": splits,
                **describe_rows(folder, columns, label, versioning, project),
            }
            parent = f"{project}/v{max(versions)}" if versions else None
            write_json(repository.root / f"{project}.json", found | {"parent": parent} | dict(origin or {}))
            repository.commit(project, f"{project} v{number}: {rows} rows")
            repository.git("tag", tag)
        commit = repository.git("rev-list", "-n", "1", tag)
    log.info("%s: %d rows, commit %s", tag, rows, commit[:12])
    return DatasetVersion(
        uri=str(laid_out),
        digest=content,
        project=project,
        version=number,
        tag=tag,
        commit=commit,
        rows=rows,
        splits=splits,
    )


def describe_rows(
    folder: Path, columns: tuple[str, ...], label: str, versioning: VersioningConfig, project: str
) -> dict[str, Any]:
    """What is found in the rows.

    Schema, statistics, labels a split, and copies of training rows in the other splits.
    """
    parts, split = part_paths(folder), versioning.split
    copies = leaks(parts, columns)
    if copies:
        log.warning(
            "%s: %d rows of validation and test have the input of a training row, so scores are flattered",
            project,
            copies,
        )
    return {**statistics(parts, label), "leaks": copies, "split": split.model_dump(mode="json")}


def takes(rows: LabelReport) -> str:
    """How much a version of the rows takes at most: they are written about once in each place."""
    needed = sum(path.stat().st_size for path in Path(rows.uri).rglob("*") if path.is_file()) + SPARE
    return f"this version takes up to {needed / 1e6:.0f} MB"
