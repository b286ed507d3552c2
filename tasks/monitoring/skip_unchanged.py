"""Whether another look at production could find anything that the last one did not.

If not, no process needs to start for it.

A look leaves `<home>/monitoring/<project>.json` where nothing is pending: no drift seen, so nothing waits for
time to pass. It holds the digest of all that the look could see. As long as the digest stays, the next look
would end as that one did.
"""

import hashlib
from datetime import UTC, datetime

from configs.intake import IntakeConfig
from configs.monitoring import MonitoringConfig
from configs.result import ResultConfig
from infra.files import read_json, write_json
from infra.home import Home
from tasks.monitoring.episodes import History
from tasks.production.releases import Releases
from tasks.records import DriftReport


def sight_digest(
    project: str, intake: IntakeConfig, result: ResultConfig, monitoring: MonitoringConfig, home: Home
) -> str:
    """Digest of what a look can see.

    The sections of the YAML, what serves, and the folders of the prediction log.

    Files of the log appear by rename and never change, so a folder's time of change tells of every new
    prediction and label.
    """
    parts = [section.model_dump_json() for section in (intake, result, monitoring)]
    parts.append(Releases(home.releases).read(project).model_dump_json())
    log = home.prediction_log(project)
    parts += [f"{day.name} {day.stat().st_mtime_ns}" for day in sorted(log.iterdir())] if log.is_dir() else []
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def remember_look(report: DriftReport, history: History, home: Home) -> None:
    """Remembers a look after which nothing is pending; forgets the last one where something is."""
    path = home.last_look(report.project)
    if history.current is None and history.streak <= 0:
        write_json(
            path,
            {
                "seen": report.seen,
                "at": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
                "summary": report.summary,
            },
        )
    else:
        path.unlink(missing_ok=True)


def last_look(
    project: str, intake: IntakeConfig, result: ResultConfig, monitoring: MonitoringConfig, home: Home
) -> str | None:
    """The last look's time and outcome, in a sentence, where another would end the same.

    None where it must be taken.
    """
    path = home.last_look(project)
    if not path.is_file():
        return None
    known = read_json(path)
    if known["seen"] != sight_digest(project, intake, result, monitoring, home):
        return None
    return f"No new prediction, label or release since the look at {known['at']}: {known['summary']}"
