"""The data repo: git and DVC in one folder, written by one process at a time."""

import fcntl
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml

from tasks.rows.versions import NUMBERED, Versions

log = logging.getLogger("gyre.versioning")

WAIT_S = 1800.0
"""How long a writer waits for another one: as long as a large version may take to be pushed."""
GIT_GRACE_S = 10.0
"""A git command of a writer that was killed ends by itself within this time; a lock file older than that has
nobody behind it."""
LEFT = re.compile(r"\.[\w.-]+\.[a-z0-9_]{8}")
"""Temporary names (infra/files.py) that a killed writer leaves behind."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Repository(Versions):
    """The data repo, to write.

    A version is a tag `<project>/v<N>`, made last: what has a tag is complete, here and in the remote.
    """

    remote: str
    """Where DVC pushes to: a folder or URL."""
    options: Mapping[str, str] = field(default_factory=dict)
    """DVC's settings of the remote."""

    @contextmanager
    def opened(self, wait_s: float = WAIT_S, elsewhere: Mapping[str, str] | None = None) -> Iterator[Any]:
        """A dvc.repo.Repo, made first where there is none; other writers wait until it is closed.

        Raises TimeoutError.

        elsewhere: settings of a remote named `elsewhere`, which are kept nowhere
        """
        from dvc.repo import Repo

        # Its advice on which git commands come next is not for the readers of a run's log.
        logging.getLogger("dvc").setLevel(logging.WARNING)
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root.parent / f".{self.root.name}.lock").open("a+") as lock:
            self.wait(lock, wait_s)
            self.clean()
            if not (self.root / ".git").is_dir():
                self.git("init", "--quiet", "--initial-branch=main")
            if not (self.root / ".dvc" / "config").is_file():
                Repo.init(str(self.root), force=True).close()
            self.configure()
            with Repo(
                str(self.root), config={"remote": {"elsewhere": dict(elsewhere)}} if elsewhere else None
            ) as repo:
                yield repo

    def wait(self, lock: IO[str], wait_s: float) -> None:
        """Takes the lock; its file says who has it. A killed writer lets go by dying."""
        deadline, told = time.monotonic() + wait_s, False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                lock.seek(0)
                holder = lock.read().strip() or "another process"
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{self.root}: {holder} has been writing for {wait_s:g} s; wait for it or end it, then run again"
                )
            if not told:
                log.warning("%s: %s is writing; waiting up to %g s", self.root, holder, wait_s)
                told = True
            time.sleep(0.1)
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()

    def clean(self) -> None:
        """Removes what a killed writer left.

        Half-written parts, lock files of git and DVC. Nobody else writes while the lock is held.
        """
        for path in self.root.iterdir():
            if LEFT.fullmatch(path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in (self.root / ".git").rglob("*.lock"):
            while path.exists() and time.time() - path.stat().st_mtime < GIT_GRACE_S:
                time.sleep(0.1)
            path.unlink(missing_ok=True)
        (self.root / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)

    def configure(self) -> None:
        """DVC's settings, before it is opened: it reads them once."""
        from dvc.config import Config

        with Config(str(self.root / ".dvc")).edit() as config:
            config["core"] = {"remote": "storage", "analytics": False, "autostage": False}
            config["remote"] = {"storage": {"url": self.remote, **self.options}}
            # One file under several names: a part that versions share takes its space once.
            config["cache"] = {"type": "reflink,hardlink,copy"}

    def commit(self, project: str, message: str) -> None:
        """Commits a project's files and DVC's own.

        Nothing where nothing changed (a run before was killed after its commit).
        """
        files = (
            ".dvc/config",
            ".dvc/.gitignore",
            ".dvcignore",
            ".gitignore",
            f"{project}.dvc",
            f"{project}.json",
        )
        self.git("add", "--", *(name for name in files if (self.root / name).exists()))
        if self.git("diff", "--cached", "--name-only"):
            self.git("commit", "--quiet", "--message", message)

    def tag(self, project: str, version: int, name: str) -> str:
        """Gives a version a name, `<project>/<name>`, which keeps it from being cleared; returns that tag.

        Raises ValueError for a name that is taken by another version or is none.
        """
        if not NAME.fullmatch(name) or NUMBERED.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name for a version; want letters, digits, dots and dashes, and not a number such as v3"
            )
        tag, given = self.tag_of(project, version), self.names(project)
        if given.get(name, version) != version:
            raise ValueError(f"{project}/{name} is version {given[name]} already; choose another name")
        if name not in given:
            self.git("tag", f"{project}/{name}", tag)
        return f"{project}/{name}"

    def parts(self, tag: str, project: str) -> dict[str, str]:
        """DVC's names (md5) of a version's parts, by their file names.

        Raises ValueError where the cache lacks the list of them.
        """
        listed = self.cached(self.listing(tag, project))
        if not listed.is_file():
            raise ValueError(
                f"{tag}: its list of parts is not in {listed.parents[3]}; `gyre data pull {project}` fetches it"
            )
        return {part["relpath"]: part["md5"] for part in json.loads(listed.read_text(encoding="utf-8"))}

    def listing(self, tag: str, project: str) -> str:
        """DVC's name of a version's list of parts."""
        return str(yaml.safe_load(self.git("show", f"{tag}:{project}.dvc"))["outs"][0]["md5"])

    def lacking(self, tag: str, project: str) -> int:
        """How many of a version's files the cache lacks; 1 where it lacks the list of them."""
        if not self.cached(self.listing(tag, project)).is_file():
            return 1
        return sum(not self.cached(name).is_file() for name in self.parts(tag, project).values())

    def cached(self, name: str) -> Path:
        """Where DVC's cache keeps a file."""
        return self.root / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:]

    def checkout(self, project: str, version: int, folder: Path) -> None:
        """A version's parts in a new folder.

        Raises ValueError where there is no such version, FileExistsError where the folder is.
        """
        from dvc.repo import Repo

        tag = self.tag_of(project, version)
        if folder.exists():
            raise FileExistsError(f"{folder}: is there already; name a new folder")
        Repo.get(str(self.root), project, out=str(folder), rev=tag)
