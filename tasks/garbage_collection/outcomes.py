"""What runs left under the home and nothing asks for any more.

Outcomes of stages, and rows that were set aside.

An outcome goes with its record, so a run that wants it makes it again. Registered models have copies of their
own elsewhere.
"""

import json
import re
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from infra.files import read_json
from infra.home import Home
from tasks.rows.versions import Versions

KEPT = re.compile(r"[0-9a-f]{24}")
"""Name of a file of quarantined rows. What is known of validations, and what people decided, is small and
stays."""


def unused_outcomes(home: Home, records: Path, days: float, gone: Collection[str] = ()) -> list[Path]:
    """Outcomes that no run asked for within the last days, and quarantines as old.

    None that something lasting or an outcome in use names.

    records: folder of Prefect's results, a file an outcome; gone: tags of versions that are about to go
    """
    oldest, named = time.time() - days * 86_400, "".join(names_to_keep(home, gone))
    outcomes = sorted(home.outcomes.glob("*"))
    old = [folder for folder in outcomes if folder.stat().st_mtime < oldest and folder.name not in named]
    in_use = [records / folder.name for folder in outcomes if folder not in old]
    named += "".join(record.read_text(encoding="utf-8") for record in in_use if record.is_file())
    files = [file for file in sorted(home.quarantines.glob("*/*")) if KEPT.fullmatch(file.stem)]
    return old + [file for file in files if file.stat().st_mtime < oldest and file.stem not in named]


def names_to_keep(home: Home, gone: Collection[str]) -> Iterator[str]:
    """Texts that name what must stay: what versions know of themselves, the newest validations, decisions."""
    known = Versions(home.data_repository)
    tags = known.git("tag", "--list").split() if (known.root / ".git").is_dir() else []
    for project in sorted({tag.partition("/")[0] for tag in tags}):
        yield from (
            json.dumps(facts)
            for number, facts in known.all_facts(project).items()
            if f"{project}/v{number}" not in gone
        )
    for latest in home.quarantines.glob("*/latest.json"):
        yield (latest.parent / read_json(latest)["about"]).read_text(encoding="utf-8")
    for decision in home.quarantines.glob("*/decisions/*.json"):
        yield decision.read_text(encoding="utf-8")


def remove_outcomes(found: list[Path], records: Path) -> None:
    """Removes what `unused` found; an outcome's record goes first, without which there is no outcome."""
    for path in found:
        if path.is_dir():
            (records / path.name).unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
