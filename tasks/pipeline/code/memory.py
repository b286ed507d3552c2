"""What was parsed before, kept beside Python's byte code.

Parsing all files takes half a second, reading this a few milliseconds.
"""

import hashlib
import importlib.util
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from infra.files import whole_file
from tasks.pipeline.code.syntax import Facts, parse

KEPT = Path(__file__).parent / "__pycache__" / f"closure.{sys.implementation.cache_tag}.json"
MOST = 2000
"""Files that are kept at most: every edit of one adds another; past that, those that this process asked for.
"""


class Memory:
    """Facts by the digest of a file's bytes, so that what is kept is never out of date.

    Losing it costs time, nothing else.
    """

    def __init__(self) -> None:
        self.known: dict[str, Facts] = {}
        self.distributions: dict[str, list[str]] = {}
        self.used: set[str] = set()
        self.files: dict[Path, Facts] = {}
        self.versions: dict[str, str] = {}
        self.is_new = False
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            kept = json.loads(KEPT.read_bytes())
            files = {
                key: Facts(each["digest"], tuple(each["imports"]), tuple(each["texts"]))
                for key, each in kept["files"].items()
            }
            self.known, self.distributions = files, kept["distributions"]

    def facts(self, path: Path) -> Facts:
        """Of a file, which is read once."""
        if path not in self.files:
            source = path.read_bytes()
            key = hashlib.sha256(source).hexdigest()
            if key not in self.known:
                self.known[key] = parse(source)
                self.is_new = True
            self.used.add(key)
            self.files[path] = self.known[key]
        return self.files[path]

    def version(self, library: str) -> str:
        """Of the distributions that bring a library; empty where none is installed."""
        if library not in self.versions:
            self.versions[library] = self.look_up(library)
        return self.versions[library]

    def look_up(self, library: str) -> str:
        """As `version`.

        Which distribution brings a library of another name is kept: asking all of them takes 0.3 s.
        """
        with suppress(PackageNotFoundError):
            return versions_of(self.distributions.get(library, [library]))
        found = packages_distributions().get(library, []) if is_there(library) else []
        if found:
            self.distributions[library] = sorted(set(found))
            self.is_new = True
        return versions_of(sorted(set(found)))

    def keep(self) -> None:
        """Writes what is new, where Python may write its byte code."""
        if self.is_new and not sys.dont_write_bytecode and os.access(KEPT.parent, os.W_OK):
            kept = self.known if len(self.known) < MOST else self.used
            files = {key: asdict(self.known[key]) for key in kept}
            with suppress(OSError), whole_file(KEPT) as temporary:
                temporary.write_text(json.dumps({"files": files, "distributions": self.distributions}))
            self.is_new = False


def versions_of(distributions: list[str]) -> str:
    """Their versions. Raises PackageNotFoundError."""
    return ", ".join(f"{name} {version(name)}" for name in distributions)


def is_there(library: str) -> bool:
    """Whether a library can be imported, found without importing it."""
    try:
        return importlib.util.find_spec(library) is not None
    except (ImportError, ValueError):
        return False
