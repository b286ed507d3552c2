"""Versions on their way to and from a remote, and into folders."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from infra.files import digest, shared, whole_folder
from tasks.dataset import part_paths
from tasks.versioning.repository import Repository

NOTHING: Mapping[str, str] = MappingProxyType({})

ELSEWHERE = "elsewhere"
"""DVC's name, in one process, of a remote that is not the repository's own."""


def push(repository: Repository, project: str, url: str | None = None, options: Mapping[str, str] = NOTHING) -> int:
    """Every version's files to the remote, or to `url`; returns how many were not there."""
    with repository.opened(elsewhere={"url": url, **options} if url else None) as repo:
        return int(repo.push(targets=[f"{project}.dvc"], revs=tags(repository, project), remote=ELSEWHERE if url else None))


def pull(repository: Repository, project: str, datasets: Path, url: str | None = None, options: Mapping[str, str] = NOTHING) -> int:
    """Every version's files from the remote, or from `url`, laid out in `datasets`; returns how many files were fetched.

    Raises ValueError where the remote lacks some of them.
    """
    from dvc.exceptions import DownloadError

    with repository.opened(elsewhere={"url": url, **options} if url else None) as repo:
        try:
            fetched = repo.fetch(targets=[f"{project}.dvc"], revs=tags(repository, project), remote=ELSEWHERE if url else None)
        except DownloadError as error:
            source = url or repository.remote
            raise ValueError(f"{project}: {error.amount} files are not in {source}; push them from where they were made") from None
        for version, content in repository.versions(project).items():
            target = datasets / project / f"v{version}"
            if not (target.is_dir() and digest(target) == content):
                with whole_folder(target) as partial:
                    for name, source in repository.parts(f"{project}/v{version}", project).items():
                        shared(repository.cached(source), partial / name)
    return int(fetched)


def lay_out(source: Path, target: Path, content: str) -> Path:
    """A version's parts where the next version does not change them: other names of the files in DVC's cache."""
    if not (target.is_dir() and digest(target) == content):
        with whole_folder(target) as partial:
            for part in part_paths(source):
                shared(part, partial / part.name)
    return target


def tags(repository: Repository, project: str) -> list[str]:
    """Of a project's versions."""
    return [f"{project}/v{version}" for version in repository.numbers(project)]
