"""Prefect tasks of deployment."""

from typing import TYPE_CHECKING

from configs.deployment import DeploymentConfig
from configs.intake import IntakeConfig
from configs.training import TrainingConfig
from infra.files import whole_file
from infra.settings import Settings
from tasks.pipeline.stage import StoppedError, announce, name_run, show, stage, table
from tasks.production.releases import Releases
from tasks.records import Bundle, Champion, Release, Stored
from tasks.records.events import RELEASE_DAMAGED, RELEASE_PROMOTED, RELEASE_ROLLED_BACK

if TYPE_CHECKING:
    from tasks.deployment.rollout import Rollout


@stage(cached=False)
def serving_champion(project: str) -> Champion | None:
    """The version that was released last, and what stands in for it where its files are damaged.

    None before the first release.
    """
    from tasks.deployment.release_health import champion_of

    return champion_of(project, Releases(Settings().home.releases))


@stage(cached=False)
def report_damage(project: str) -> str:
    """What does not serve as it was released, shown and announced (once a damage); empty where all does."""
    from tasks.deployment.release_health import damage, is_news

    settings = Settings()
    releases = Releases(settings.home.releases)
    told = damage(project, settings)
    if told:
        show(
            project,
            "Release",
            f"**Damaged**: {told}\n\nRestore the file, or run the cycle again to have it made again.",
        )
    if is_news(project, told, releases):
        announce(RELEASE_DAMAGED, project, {"project": project, "damage": told})
    releases.note_announced(project, told)
    return told


@stage(cached=False)
def demote(project: str, deployment: DeploymentConfig) -> Release | None:
    """The release that ends where late labels turned against what serves, shown and announced.

    None where they did not.
    """
    from tasks.deployment.demotion import demote as demote_champion
    from tasks.deployment.promotion import Production

    settings = Settings()
    production = Production.of(project, settings)
    found = demote_champion(production, deployment, settings.home.prediction_log(project))
    if found is None:
        return None
    release = found.release
    back = f"`gyre rollback {project}` takes that back"
    show(project, "Release", f"**{release.summary}**\n\n{table([found.measure.line()])}\n\n{back}")
    announce(RELEASE_ROLLED_BACK, project, release.model_dump(mode="json"))
    return release


@stage(cached=False)
def registered_checkpoint(training: TrainingConfig) -> Stored | None:
    """The checkpoint of the registered model that `training.warm_start` names.

    None where it names none, or a champion that is not there yet.
    """
    if training.warm_start is None:
        return None
    from tasks.deployment.registry import named_checkpoint

    return named_checkpoint(training.warm_start, Settings())


@stage(cached=False)
def deploy(bundle: Bundle, intake: IntakeConfig, deployment: DeploymentConfig) -> Release:
    """The bundle in a sandbox, then on trial in the model server, then promoted or rolled back.

    Raises StoppedError where the sandbox refuses it.
    """
    from tasks.deployment.canary import test_rows
    from tasks.deployment.rollout import roll_out
    from tasks.intake import build_intake

    settings = Settings()
    rollout = roll_out(
        bundle,
        lambda count: test_rows(bundle.model.dataset, build_intake(intake), count),
        deployment,
        settings,
    )
    release = rollout.release
    found = described(rollout, deployment, bundle.project, settings)
    back = f"Back to the version before: `gyre rollback {bundle.project}`"
    show(
        bundle.project,
        "Release",
        f"**{release.summary}**\n\n{found}\n\n{back}",
        model_server=f"{settings.server_url}/v2/models/{bundle.project}",
        MLflow_version=f"{settings.mlflow_url}/#/models/{bundle.project}/versions/{release.version}",
    )
    name_run(f"{bundle.project}: v{release.version} {release.status}, {bundle.headline}")
    if release.status != "unchanged":
        announce(
            RELEASE_PROMOTED if release.status == "promoted" else RELEASE_ROLLED_BACK,
            bundle.project,
            release.model_dump(mode="json"),
        )
    if release.status == "refused":
        serving = f"; version {release.previous} goes on serving" if release.previous is not None else ""
        raise StoppedError(f"the sandbox refuses version {release.version}{serving}", [release.reason])
    return release


def described(rollout: "Rollout", deployment: DeploymentConfig, project: str, settings: Settings) -> str:
    """What sandbox and trial found: tables, and a picture of the trial."""
    from tasks.deployment.trial_report import picture, tables

    parts = []
    for text, rows in tables(rollout, deployment):
        parts += [text, table(rows)]
    if rollout.trial and rollout.trial.looks:
        page = settings.home.make_report_folder(project, "deployment", f"v{rollout.release.version}")
        with whole_file(page / "trial.png") as temporary:
            temporary.write_bytes(picture(rollout.trial))
        parts.append(f"![trial]({settings.report_url(page / 'trial.png')})")
    return "\n\n".join(parts)
