"""What is known of data set versions: read from the data repo's git alone, by whichever stage asks.

A version is a tag `<project>/v<N>`; what it knows is `<project>.json` in its commit
(tasks/versioning/version.py writes it).
"""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.home import Home
from infra.settings import Settings
from tasks.records import DatasetVersion, Finding

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
NUMBERED = re.compile(r"v(\d+)")


@dataclass(frozen=True)
class Versions:
    """The data repo, to read. Each project is a folder of it."""

    root: Path

    def git(self, *arguments: str, given: str | None = None) -> str:
        """What a git command prints. Raises RuntimeError with git's own words."""
        done = subprocess.run(
            ["git", "-C", str(self.root), *arguments],
            env=os.environ | GIT_ENVIRONMENT,
            input=given,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(
                f"git {' '.join(arguments)} in {self.root}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout.strip()

    def numbers(self, project: str) -> list[int]:
        """The versions of a project, oldest first."""
        if not (self.root / ".git").is_dir():
            return []
        names = [tag.partition("/")[2] for tag in self.git("tag", "--list", f"{project}/*").split()]
        return sorted(int(found[1]) for name in names if (found := NUMBERED.fullmatch(name)))

    def all_facts(self, project: str) -> dict[int, dict[str, Any]]:
        """What each version of a project knows, oldest first; one git process however many there are."""
        numbers = self.numbers(project)
        if not numbers:
            return {}
        asked = "".join(f"{project}/v{number}:{project}.json\n" for number in numbers)
        answer, found = self.git("cat-file", "--batch", given=asked).encode() + b"\n", {}
        for number in numbers:
            head, _, answer = answer.partition(b"\n")
            size = int(head.split()[2])
            found[number], answer = json.loads(answer[:size]), answer[size + 1 :]
        return found

    def facts(self, project: str, version: int) -> dict[str, Any]:
        """What a version knows. Raises ValueError naming those that there are."""
        found: dict[str, Any] = json.loads(
            self.git("show", f"{self.tag_of(project, version)}:{project}.json")
        )
        return found

    def findings(self, project: str, version: int) -> list[Finding]:
        """What the stages before a version found when it was made."""
        return [Finding.model_validate(each) for each in self.facts(project, version).get("findings", [])]

    def content(self, project: str) -> tuple[str, ...]:
        """The source's columns by which rows of the newest version were split.

        None where there is no version yet.
        """
        numbers = self.numbers(project)
        return tuple(self.facts(project, numbers[-1]).get("content", ())) if numbers else ()

    def tag_of(self, project: str, version: int) -> str:
        """`<project>/v<N>`. Raises ValueError where there is no such version."""
        if version not in (known := self.numbers(project)):
            raise ValueError(
                f"{project}: no version {version}; there are {', '.join(map(str, known)) or 'none'}"
            )
        return f"{project}/v{version}"

    def versions(self, project: str) -> dict[int, str]:
        """Digest of each version of a project, oldest first."""
        return {number: facts["digest"] for number, facts in self.all_facts(project).items()}

    def names(self, project: str) -> dict[str, int]:
        """Names that people gave to versions (see `Repository.tag`)."""
        lines = self.git(
            "tag", "--list", f"{project}/*", "--format=%(refname:strip=2) %(objectname)"
        ).splitlines()
        commits = {tag.partition("/")[2]: commit for tag, commit in map(str.split, lines)}
        numbers = {
            commit: int(found[1]) for tag, commit in commits.items() if (found := NUMBERED.fullmatch(tag))
        }
        return {
            tag: numbers[commit]
            for tag, commit in commits.items()
            if not NUMBERED.fullmatch(tag) and commit in numbers
        }

    def described(self, project: str) -> list[dict[str, Any]]:
        """Each version, oldest first: its tag, names, commit, time, rows and rows a split."""
        facts, names = self.all_facts(project), self.names(project)
        wanted = "--format=%(refname:strip=2) %(objectname:short) %(creatordate:iso-strict)"
        commits = {
            tag: rest
            for tag, *rest in map(str.split, self.git("tag", "--list", f"{project}/v*", wanted).splitlines())
        }
        lines = []
        for version, known in facts.items():
            commit, when = commits[f"{project}/v{version}"]
            named = ", ".join(name for name, number in names.items() if number == version)
            head = {"version": f"{project}/v{version}", "names": named, "commit": commit, "made": when}
            lines.append(
                head
                | {
                    "rows": known["rows"],
                    **known["splits"],
                    "quarantined": known.get("validation", {}).get("quarantined", ""),
                }
            )
        return lines

    def record(self, project: str, version: int, datasets: Path) -> DatasetVersion:
        """A version's record.

        Its rows lie in `datasets`/<project>/v<N>. Raises ValueError where there is no such version.
        """
        tag, facts = self.tag_of(project, version), self.facts(project, version)
        return DatasetVersion(
            uri=str(datasets / project / f"v{version}"),
            digest=facts["digest"],
            project=project,
            version=version,
            tag=tag,
            commit=self.git("rev-list", "-n", "1", tag),
            rows=facts["rows"],
            splits=facts["splits"],
        )


def last_version(
    project: str, other_than: str | None = None, home: Home | None = None
) -> DatasetVersion | None:
    """The newest version made from other raw rows than those with the digest `other_than`.

    None where there is none.

    home: the installation's; by default the one of the settings
    """
    home = home or Settings().home
    known = Versions(home.data_repository)
    others = [
        number
        for number, facts in known.all_facts(project).items()
        if other_than is None or facts.get("raw") != other_than
    ]
    return known.record(project, others[-1], home.datasets) if others else None
