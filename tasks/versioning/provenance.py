"""Where a version's rows come from: what the stages before found, as far as it explains the version later."""

import hashlib
import os
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from configs.section import Section
from infra.home import Home
from tasks.records import LabelReport, RawRows, SourceSnapshot, Stored, ValidationReport

GIT_TIMEOUT_S = 10
MOST_PARTITIONS = 1000


def origin(
    snapshot: SourceSnapshot,
    rows: RawRows,
    report: ValidationReport,
    labels: LabelReport,
    sections: Mapping[str, Section],
    home: Home,
    projects: Path,
) -> dict[str, Any]:
    """JSON for `make_version`.

    Sections of the YAML are known by their digests alone: their options may hold secrets.

    home: files are named relative to it
    projects: folder of the project's YAML, whose git commit is noted where it is in one
    """
    return {
        "raw": rows.digest,
        "content": list(rows.content),
        "source": {
            "fingerprint": snapshot.fingerprint,
            "partitions": list(snapshot.partitions[:MOST_PARTITIONS]),
            "rows": rows.rows,
        },
        "feedback_rows": rows.feedback_rows,
        "validation": {
            "rules": [rule.model_dump(mode="json") for rule in report.rules],
            "quarantined": report.quarantined,
            "quarantine": relative(report.quarantine, home),
            "report": os.path.relpath(report.report, home),
            "decisions": (relative(report.decisions, home) or {})
            | {"rows": report.decided, "lapsed": report.lapsed},
        },
        "labeling": labels.model_dump(
            mode="json", include={"agreement", "annotators", "relabelled", "suspected"}
        )
        | {"suspects": relative(labels.suspects, home)},
        "findings": [
            each.model_dump(mode="json") for each in (*rows.findings, *report.findings, *labels.findings)
        ],
        "config": {name: digest_of(section) for name, section in sections.items()},
        "code": {"gyre": installed_version(), "commit": commit_of(projects)},
    }


def relative(stored: Stored | None, home: Home) -> dict[str, str] | None:
    """A file by its path in the home, and its digest."""
    return None if stored is None else {"path": os.path.relpath(stored.uri, home), "digest": stored.digest}


def digest_of(section: Section) -> str:
    """sha256 of a section's values, as they are used: defaults too."""
    return hashlib.sha256(to_json(section.model_dump(mode="json"))).hexdigest()


def installed_version() -> str:
    """Gyre's version; empty where it runs from a folder that is not installed."""
    try:
        return version("gyre")
    except PackageNotFoundError:
        return ""


def commit_of(folder: Path) -> str | None:
    """The git commit of a folder, with `+` where files differ from it; None where it is in no repository."""
    asked = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False)
    return done.stdout.strip() or None
