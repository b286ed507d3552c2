"""Prefect tasks of monitoring: look at production, decide about the drift episode, claim and close it."""

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from configs.intake import IntakeConfig
from configs.monitoring import MonitoringConfig, RetrainingConfig
from configs.result import ResultConfig
from infra.settings import Settings
from tasks.monitoring.episode_store import EpisodeStore
from tasks.monitoring.episodes import (
    Announced,
    ClaimRequested,
    Instruction,
    Observed,
    Released,
    RetrainingEnded,
)
from tasks.monitoring.policy.decide import News
from tasks.monitoring.skip_unchanged import remember_look, sight_digest
from tasks.pipeline.stage import announce, show, stage, table
from tasks.production.releases import Releases
from tasks.records import Champion, DescriptorDrift, DriftReport, Episode, Release
from tasks.records.events import DRIFT_DETECTED

TOGETHER = ("all together", "unlikeness")
"""Descriptors of whole rows."""
SHOWN = 3
"""Moved descriptors that a look's artifact says first."""


@stage(cached=False)
def observe(
    project: str,
    champion: Champion | None,
    intake: IntakeConfig,
    result: ResultConfig,
    monitoring: MonitoringConfig,
) -> DriftReport:
    """A verdict on the newest predictions of the champion, or of the version that answers while its files are damaged."""
    from tasks.monitoring import drift
    from tasks.production.prediction_log import PredictionLog

    settings = Settings()
    # Before anything is read: what comes while this looks is news to the next look.
    seen = sight_digest(project, intake, result, monitoring, settings.home)
    log = PredictionLog(settings.home.prediction_log(project))
    folder = settings.home.report_folder(project, "drift")
    report = drift.observe(
        project,
        champion.whole if champion else None,
        released_at(settings, project),
        intake=intake,
        result=result,
        monitoring=monitoring,
        log=log,
        report_folder=folder,
    )
    drift.draw_performance(report, log, promotions(settings, project))
    links = {"Evidently_report": settings.report_url(Path(report.report))} if report.report else {}
    show(project, "drift", description(report, monitoring) + pictures(report, settings), **links)
    return report.model_copy(update={"seen": seen})


@stage(cached=False)
def decide(
    report: DriftReport, champion: Champion | None, monitoring: MonitoringConfig, retraining: RetrainingConfig
) -> Episode | None:
    """The episode that is not over, if there is one; sends the drift event when it is time to.

    champion: what served when the look began; a look at what serves no more decides nothing.
    """
    ledger = EpisodeStore(Settings().database_url)
    held = ledger.history(report.project).current
    ended: tuple[Instruction, ...] = ()
    if held and held.state == "claimed" and held.flow_run_id and is_over(held.flow_run_id):
        _, ended = ledger.apply(report.project, RetrainingEnded(held.flow_run_id))
    serves = Releases(Settings().home.releases).champion(report.project)
    superseded_by = serves.version if serves and champion and serves.version != champion.version else None
    news = news_of(champion, report) if champion else None
    observed = Observed(report, datetime.now(UTC), monitoring, retraining, superseded_by, news)
    history, instructions = ledger.apply(report.project, observed)
    if history.current and any(instruction.kind == "announce" for instruction in instructions):
        history, _ = ledger.apply(
            report.project, Announced(history.current.id, announce_drift(history.current, report))
        )
    remember_look(report, history, Settings().home)
    show(report.project, "drift episode", what_happens(history.current, (*ended, *instructions)))
    return history.current


def news_of(champion: Champion, report: DriftReport) -> News:
    """What is labelled beyond the rows that the champion learned from."""
    learned = champion.dataset.rows
    return News(learned=learned, known=learned + report.labels)


@stage(cached=False)
def claim(project: str, episode: str) -> bool:
    """Whether the running flow run is the one that answers this episode.

    A repeated, forged or late event gets False.
    """
    granted, reason = False, "only a flow run can claim an episode"
    ledger = EpisodeStore(Settings().database_url)
    if runtime.flow_run.id:
        _, (answer,) = ledger.apply(project, ClaimRequested(episode, runtime.flow_run.id))
        granted, reason = answer.kind == "grant", answer.reason
    show(project, "episode claim", f"**{'Granted' if granted else 'Refused, nothing to do'}**: {reason}.")
    return granted


@stage(cached=False)
def close(project: str, episode: str, release: Release) -> Episode | None:
    """The episode after a release.

    Closed by a newer version that serves, otherwise left for the next look to try again.
    """
    ledger = EpisodeStore(Settings().database_url)
    served = release.version if release.status != "rolled-back" else release.previous
    if served is not None:
        ledger.apply(project, Released(served, datetime.now(UTC)))
    found = ledger.episode(episode)
    show(
        project, "drift episode", f"**{episode}** is {found.state if found else 'unknown'}: {release.reason}"
    )
    return found


def released_at(settings: Settings, project: str) -> datetime | None:
    """When the champion began to serve, by the release manifest."""
    text = Releases(settings.home.releases).read(project).released_at
    return datetime.fromisoformat(text) if text else None


def promotions(settings: Settings, project: str) -> list[tuple[datetime, int]]:
    """When versions began to serve, by the release manifest."""
    decisions = Releases(settings.home.releases).read(project).decisions
    return [
        (datetime.fromisoformat(each.at), each.version) for each in decisions if each.outcome == "promoted"
    ]


def pictures(report: DriftReport, settings: Settings) -> str:
    """The pictures in a look's folder, as Markdown."""
    if report.report is None:
        return ""
    folder = Path(report.report).parent
    drawn = {"what moved most": "moved.png", "right answers over time": "performance.png"}
    return "".join(
        f"\n\n![{title}]({settings.report_url(folder / name)})"
        for title, name in drawn.items()
        if (folder / name).is_file()
    )


def is_over(flow_run_id: str) -> bool:
    """Whether a flow run has ended, however; one that the server does not know has."""
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(UUID(flow_run_id)).state
        except ObjectNotFound:
            return True
    return state is not None and state.is_final()


def announce_drift(episode: Episode, report: DriftReport) -> str:
    """Sends the drift event; returns its id."""
    payload = {
        "project": episode.project,
        "episode": episode.id,
        "version": episode.version,
        "share": report.share,
        "report": report.report,
    }
    return announce(DRIFT_DETECTED, episode.project, payload)


def description(report: DriftReport, monitoring: MonitoringConfig) -> str:
    """A drift report for people: the verdict, then a table of descriptors, the farthest first."""
    if report.version is None:
        return "**insufficient**: no model serves yet."
    seen = f"{report.rows} predictions of version {report.version}, {report.labels} late labels since its release"
    if report.unmatched:
        seen += f" ({report.unmatched} labels are of rows that the prediction log does not have)"
    if report.verdict == "insufficient":
        needed = f"a verdict takes {monitoring.min_predictions} predictions, {report.missing} more"
        return "\n\n".join(filter(None, [f"**insufficient**: {seen}; {needed}.", by_labels(report)]))
    nearest = {"feedback": "the newest late-labelled rows", "source": "a sample of the source's rows"}.get(
        report.reference, "nothing"
    )
    lines = [
        f"**{report.verdict}**: {len(report.drifted)} of {len(report.descriptors)} descriptors surely moved"
        f" further than {monitoring.threshold:g}, in {seen}, beside {nearest} that it was trained on."
    ]
    known = [by_labels(report), by_answers(report)]
    lines[:0] = [f"{each}\n" for each in known if each]
    if report.verdict == "ok" and report.drifted:
        lines.append(f"A verdict of `drifted` takes {monitoring.drift_share:.0%} of the descriptors.")
    if not report.drifted:
        lines.append(
            f"A number that moved by {report.smallest:.2g} standard deviations would have been found nine times in ten."
        )
    if report.matched:
        lines.append(
            f"These predictions are of other hours or weekdays than training rows: they are compared with rows that are alike in"
            f" {' and '.join(report.matched)} (`monitoring.matching_hours`)."
        )
    if report.unseen:
        lines.append(
            f"Not watched: {', '.join(report.unseen)}. This version was made before its bundle kept what to compare"
            " them with; the next one will have it."
        )
    lines += [f"- **{found.name}**: {told(found)}" for found in report.drifted[:SHOWN]]
    rows = [
        {
            "descriptor": found.name,
            "distance": found.distance,
            "without chance": f"{found.low:.3g} to {found.high:.3g}",
            "tolerated": monitoring.threshold,
            "chance": f"{found.p:.2g}",
            "then and now": found.moved,
            "drifted": "yes" if found.drifted else "",
        }
        for found in report.descriptors
    ]
    return "\n\n".join(["\n".join(lines), table(rows)])


def by_labels(report: DriftReport) -> str:
    """What late labels tell of the champion's errors, and where they tell nothing, why.

    Empty where there are none.
    """
    if not report.labels:
        return ""
    if report.performance is None:
        why = "its bundle has too few held-out rows with their errors (one made by an older Gyre has none), or no label is a number"
        return f"Late labels are compared with nothing: {why}."
    unusable = report.labels - report.performance.labels
    left = f"; {unusable} labels are no numbers, and count for nothing" if unusable else ""
    return f"By late labels, {report.performance.summary}{left}."


def by_answers(report: DriftReport) -> str:
    """What the answers alone tell of errors, and whether late labels say the same.

    Empty where they tell nothing.
    """
    estimated, known = report.estimated, report.performance
    if estimated is None:
        return ""
    told = estimated.summary[0].upper() + estimated.summary[1:]
    if any(found.name in TOGETHER for found in report.drifted):
        told += " (at least: these rows are unlike the test's, and a network may be sure of what it does not know)"
    if known is None:
        return f"{told}."
    agree = estimated.low <= known.high and known.low <= estimated.high
    both = (
        "which late labels agree with"
        if agree
        else "and late labels contradict it: what is true of such rows has changed"
    )
    return f"{told}, {both} ({known.errors:.1%} of {known.labels})."


def told(found: DescriptorDrift) -> str:
    """What moved, how far, how sure, and since when."""
    since = "since before the oldest prediction compared"
    if found.since:
        since = f"since {found.since[0]} (between {found.since[1]} and {found.since[2]})"
    return f"{found.moved}, {since}; distance {found.distance:.3g}, by chance {found.p:.1g}"


def what_happens(episode: Episode | None, instructions: tuple[Instruction, ...]) -> str:
    """The episode's state and what follows, for people."""
    state = (
        f"**{episode.id}** is {episode.state}, {episode.attempts} retrainings so far"
        if episode
        else "**No drift episode**"
    )
    event = f", event `{episode.event_id}`" if episode and episode.event_id else ""
    return f"{state}{event}\n\n" + "\n".join(
        f"- {instruction.kind}: {instruction.reason}" for instruction in instructions
    )
