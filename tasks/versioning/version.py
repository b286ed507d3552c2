"""Makes a version of labelled rows: split, committed, tagged, pushed; the same rows again are the same version."""

import logging
from pathlib import Path

from configs.data import Versioning
from infra.files import digest, shared, whole_folder, write_json
from tasks.dataset import part_paths, rewrite
from tasks.records import DatasetVersion, LabelReport
from tasks.versioning.repository import Repository
from tasks.versioning.split import splitter

log = logging.getLogger("gyre.versioning")


def make_version(
    project: str, labels: LabelReport, columns: tuple[str, ...], versioning: Versioning, repository: Repository, datasets: Path
) -> DatasetVersion:
    """The rows as `<project>/v<N>` of the data repo, and laid out in `<datasets>/<project>/v<N>`, which nothing changes later.

    columns: the intake's, by which rows are split
    Parts whose rows are those of an earlier version are the same files. Killed at any point, the same call finishes what is missing.
    Raises ValueError for an empty split, DigestError for changed rows.
    """
    put = splitter(Path(labels.uri), versioning.split, columns)
    with repository.opened() as repo:
        folder = repository.root / project
        with whole_folder(folder) as partial:
            rows = rewrite(labels, partial, put)
            splits = put.checked()
        content = digest(folder)
        versions = repository.versions(project)
        number = next((known for known, found in versions.items() if found == content), max(versions, default=0) + 1)
        tag = f"{project}/v{number}"
        repo.add(str(folder))
        repo.checkout(targets=[f"{folder}.dvc"], relink=True, force=True)
        if number not in versions:
            write_json(repository.root / f"{project}.json", {"digest": content, "rows": rows, "splits": splits})
            repository.commit(f"{project} v{number}: {rows} rows")
            repository.git("tag", tag)
        repo.push(targets=[f"{folder}.dvc"])
        commit = repository.git("rev-list", "-n", "1", tag)
        laid_out = lay_out(folder, datasets / project / f"v{number}", content)
    log.info("%s: %d rows, commit %s", tag, rows, commit[:12])
    return DatasetVersion(
        uri=str(laid_out), digest=content, project=project, version=number, tag=tag, commit=commit, rows=rows, splits=splits
    )


def lay_out(source: Path, target: Path, content: str) -> Path:
    """A version's parts where the next version does not change them: other names of the files in DVC's cache."""
    if not (target.is_dir() and digest(target) == content):
        with whole_folder(target) as partial:
            for part in part_paths(source):
                shared(part, partial / part.name)
    return target
