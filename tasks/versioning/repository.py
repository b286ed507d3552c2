"""The data repo: git and DVC in one folder, written by one process at a time."""

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GIT_TIMEOUT_S = 60
# A user's own git configuration (signing, hooks, templates) must not decide whether a data set can be kept.
GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Gyre",
    "GIT_AUTHOR_EMAIL": "gyre@localhost",
    "GIT_COMMITTER_NAME": "Gyre",
    "GIT_COMMITTER_EMAIL": "gyre@localhost",
}


@dataclass(frozen=True)
class Repository:
    """Each project is a folder of it; a version is a tag `<project>/v<N>`."""

    root: Path
    remote: str
    """Where DVC pushes to: a folder or URL."""
    options: Mapping[str, str] = field(default_factory=dict)
    """DVC's settings of the remote."""

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """A dvc.repo.Repo, made first where there is none; other writers wait until it is closed."""
        from dvc.repo import Repo

        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root.parent / f".{self.root.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (self.root / ".git").is_dir():
                self.git("init", "--quiet", "--initial-branch=main")
            if not (self.root / ".dvc" / "config").is_file():
                Repo.init(str(self.root), force=True).close()
            self.configure()
            with Repo(str(self.root)) as repo:
                yield repo

    def configure(self) -> None:
        """DVC's settings, before it is opened: it reads them once."""
        from dvc.config import Config

        with Config(str(self.root / ".dvc")).edit() as config:
            config["core"] = {"remote": "storage", "analytics": False, "autostage": False}
            config["remote"] = {"storage": {"url": self.remote, **self.options}}
            # One file under several names: a part that versions share takes its space once.
            config["cache"] = {"type": "reflink,hardlink,copy"}

    def git(self, *arguments: str) -> str:
        """What a git command prints. Raises RuntimeError with git's own words."""
        command = ["git", "-C", str(self.root), *arguments]
        done = subprocess.run(command, env=os.environ | GIT_ENVIRONMENT, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False)
        if done.returncode:
            raise RuntimeError(f"git {' '.join(arguments)} in {self.root}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout.strip()

    def checkout(self, project: str, version: int, folder: Path) -> None:
        """A version's parts in a new folder. Raises ValueError where there is no such version, FileExistsError where the folder is."""
        from dvc.repo import Repo

        if version not in (known := self.versions(project)):
            raise ValueError(f"{project}: no version {version}; there are {', '.join(map(str, known)) or 'none'}")
        if folder.exists():
            raise FileExistsError(f"{folder}: is there already; name a new folder")
        Repo.get(str(self.root), project, out=str(folder), rev=f"{project}/v{version}")

    def surplus(self, project: str, keep: int, needed: set[int]) -> list[int]:
        """Versions that nothing needs: not among the last `keep`, and no registered model was trained on them."""
        known = list(self.versions(project))
        return [version for version in known[:-keep] if version not in needed]

    def remove(self, project: str, versions: list[int]) -> None:
        """Forgets versions, and the data that no other version has, here and in the remote."""
        with self.opened() as repo:
            for version in versions:
                self.git("tag", "--delete", f"{project}/v{version}")
            repo.gc(all_tags=True, workspace=True, cloud=True, force=True)

    def described(self, project: str) -> list[dict[str, Any]]:
        """Each version, oldest first: its tag, commit, time, rows and rows a split."""
        lines = []
        for version in self.versions(project):
            tag = f"{project}/v{version}"
            facts = json.loads(self.git("show", f"{tag}:{project}.json"))
            commit, when = self.git("log", "-1", "--format=%h %cI", tag).split()
            lines.append({"version": tag, "commit": commit, "made": when, "rows": facts["rows"], **facts["splits"]})
        return lines

    def versions(self, project: str) -> dict[int, str]:
        """Digest of each version of a project, oldest first, as its commit tells."""
        tags = self.git("tag", "--list", f"{project}/v*", "--sort=v:refname").split()
        return {int(tag.rpartition("/v")[2]): json.loads(self.git("show", f"{tag}:{project}.json"))["digest"] for tag in tags}

    def commit(self, message: str) -> None:
        """Commits everything that changed; nothing where nothing did (a run before was killed after its commit)."""
        self.git("add", "--all")
        if self.git("status", "--porcelain"):
            self.git("commit", "--quiet", "--message", message)
