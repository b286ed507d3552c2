"""Versions that nothing needs, and how they leave.

Their tags first, then the files that no other version has.

Files of the remote are removed one by one and by name. A remote may be shared with other installations, whose
versions this one does not know: sweeping it of whatever no tag here needs would destroy theirs.
"""

import shutil
from pathlib import Path
from typing import Any

from infra.files import read_json, write_json
from tasks.versioning.repository import Repository


def surplus_versions(repository: Repository, project: str, keep: int, needed: set[int]) -> list[int]:
    """Versions that nothing needs.

    Not among the last `keep`, without a name, not in `needed` (registered models learned from those).
    """
    kept = needed | set(repository.names(project).values())
    return [version for version in repository.numbers(project)[:-keep] if version not in kept]


def files_of_these_alone(repository: Repository, project: str, versions: list[int]) -> set[str]:
    """DVC's names of the files that these versions have and no other version of any project."""
    mine, others = set[str](), set[str]()
    for owner, number in all_versions(repository):
        gone = owner == project and number in versions
        (mine if gone else others).update(files_of_version(repository, f"{owner}/v{number}", owner))
    return mine - others


def files_of_version(repository: Repository, tag: str, project: str) -> set[str]:
    """DVC's names of a version's list of parts and of the parts."""
    return {repository.listing(tag, project), *repository.parts(tag, project).values()}


def size_in_cache(repository: Repository, names: set[str]) -> int:
    """Bytes that files take in the local cache."""
    return sum(path.stat().st_size for name in names if (path := repository.cached(name)).is_file())


def remove_versions(
    repository: Repository, project: str, versions: list[int], datasets: Path | None = None
) -> None:
    """Forgets versions, and the data that no other version has.

    In the cache, in the remote, and laid out in `datasets`.

    What is to go is written down first: after a kill the next call finishes it.
    """
    with repository.opened() as repo:
        pending = repository.root / ".dvc" / "tmp" / "clearing.json"
        names = files_of_these_alone(repository, project, versions) | set(
            read_json(pending) if pending.is_file() else ()
        )
        write_json(pending, sorted(names))
        for version in versions:
            repository.git("tag", "--delete", f"{project}/v{version}")
            if datasets:
                shutil.rmtree(datasets / project / f"v{version}", ignore_errors=True)
        names -= set().union(
            *(
                files_of_version(repository, f"{owner}/v{number}", owner)
                for owner, number in all_versions(repository)
            )
        )
        delete_files(repo, repository, names)
        pending.unlink()


def all_versions(repository: Repository) -> list[tuple[str, int]]:
    """Project and number of all versions."""
    owners = {tag.partition("/")[0] for tag in repository.git("tag", "--list").split()}
    return [(owner, number) for owner in sorted(owners) for number in repository.numbers(owner)]


def delete_files(repo: Any, repository: Repository, names: set[str]) -> None:
    """Files out of the remote, then out of the cache."""
    from dvc_data.hashfile.db import get_index

    remote = repo.cloud.get_remote_odb(hash_name="md5")
    for name in list(remote.list_oids_exists(sorted(names))) if names else ():
        remote.delete(name)
    get_index(remote).clear()
    for name in names:
        repository.cached(name).unlink(missing_ok=True)
