"""Prefect tasks of deployment."""

from configs.project import Deployment, Intake
from infra.settings import Settings
from tasks.records import Bundle, Champion, Release
from tasks.release import Releases
from tasks.stage import show, stage, table


@stage(cached=False)
def serving_champion(project: str) -> Champion | None:
    """The version that serves now; None before the first release."""
    return Releases(Settings().home / "releases").champion(project)


@stage(cached=False)
def deploy(bundle: Bundle, intake: Intake, deployment: Deployment) -> Release:
    """The bundle on trial in the model server, then promoted or rolled back."""
    from tasks.deployment.rollout import roll_out
    from tasks.deployment.trial import test_rows
    from tasks.intake import build

    settings = Settings()
    rollout = roll_out(bundle, lambda count: test_rows(bundle.model.dataset, build(intake), count), deployment, settings)
    release, figures = rollout.release, rollout.figures()
    show(
        bundle.project,
        "Release",
        f"{headline(release)}\n\n{table(figures) if figures else ''}\n\nBack to the version before: `gyre rollback {bundle.project}`",
        model_server=f"{settings.server_url}/v2/models/{bundle.project}",
        MLflow_version=f"{settings.mlflow_url}/#/models/{bundle.project}/versions/{release.version}",
    )
    return release


def headline(release: Release) -> str:
    """A release in a sentence."""
    before = f"version {release.previous}" if release.previous is not None else "nothing"
    match release.status:
        case "promoted":
            return f"**Version {release.version} is promoted**, before it {before} served: {release.reason}."
        case "unchanged":
            return f"**Nothing changed**: {release.reason}."
        case _:
            return f"**Version {release.version} is rolled back, {before} serves**: {release.reason}."
