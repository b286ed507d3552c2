"""Versions on their way to and from a remote, and into folders."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from infra.files import digest, link_or_copy, whole_folder
from tasks.rows.parts import part_paths
from tasks.versioning.repository import Repository

NOTHING: Mapping[str, str] = MappingProxyType({})

ELSEWHERE = "elsewhere"
"""DVC's name, in one process, of a remote that is not the repository's own."""


def push(
    repository: Repository, project: str, url: str | None = None, options: Mapping[str, str] = NOTHING
) -> int:
    """Every version's files to the remote, or to `url`; returns how many were not there."""
    with repository.opened(elsewhere=remote(repository, url, options)) as repo:
        return int(
            repo.push(
                targets=[f"{project}.dvc"], revs=tags(repository, project), remote=ELSEWHERE, workspace=False
            )
        )


def pull(
    repository: Repository,
    project: str,
    datasets: Path,
    url: str | None = None,
    options: Mapping[str, str] = NOTHING,
) -> int:
    """Every version's files from the remote, or from `url`, laid out in `datasets`.

    Returns how many files were fetched.

    Raises ValueError naming the first version of which the remote lacks files.
    """
    from dvc.exceptions import DownloadError

    with repository.opened(elsewhere=remote(repository, url, options)) as repo:
        fetched, revisions = 0, tags(repository, project)
        # What is missing is told below, by version.
        with suppress(DownloadError):
            fetched = int(
                repo.fetch(targets=[f"{project}.dvc"], revs=revisions, remote=ELSEWHERE, workspace=False)
            )
        for version, content in repository.versions(project).items():
            target, tag = datasets / project / f"v{version}", f"{project}/v{version}"
            if lacking := repository.lacking(tag, project):
                raise ValueError(
                    f"{tag}: {lacking} of its files are not in {url or repository.remote}; push them from where they were made"
                )
            if not (target.is_dir() and digest(target) == content):
                with whole_folder(target) as partial:
                    for name, source in repository.parts(tag, project).items():
                        link_or_copy(repository.cached(source), partial / name)
    return fetched


def remote(repository: Repository, url: str | None, options: Mapping[str, str]) -> dict[str, str]:
    """Settings of the remote to use. The one in the commit of an old version may have moved since."""
    return {"url": url, **options} if url else {"url": repository.remote, **repository.options}


def lay_out(source: Path, target: Path, content: str) -> Path:
    """A version's parts where the next version does not change them.

    Other names of the files in DVC's cache.
    """
    if not (target.is_dir() and digest(target) == content):
        with whole_folder(target) as partial:
            for part in part_paths(source):
                link_or_copy(part, partial / part.name)
    return target


def tags(repository: Repository, project: str) -> list[str]:
    """Of a project's versions."""
    return [f"{project}/v{version}" for version in repository.numbers(project)]
