"""What a flow run is asked to do, and who asks: what the gyre command did not sign names neither code nor files."""

from typing import Any

from configs.load import ConfigError, load
from configs.project import Project
from configs.unsigned import check_unsigned
from infra.settings import Settings

PURPOSE = "flow run"


def sign_parameters(flow: str, project: str, overrides: dict[str, str], settings: Settings) -> dict[str, Any]:
    """The parameters of a flow run, with this installation's signature."""
    signature = settings.credential.signature(PURPOSE, [flow, project, overrides])
    return {"project": project, "overrides": overrides, "signature": signature}


def load_requested(
    flow: str, project: str, overrides: dict[str, str] | None, signature: str | None
) -> Project:
    """The project that a flow run is about.

    Raises ConfigError, before any of it is read, where it may not ask so.
    """
    settings, changes = Settings(), overrides or {}
    instead = f"start it with `gyre {'run' if flow == 'cycle' else flow} PROJECT --set KEY=VALUE`"
    if signature is None:
        check_unsigned(project, changes, settings.projects, instead)
    elif not settings.credential.signed(PURPOSE, [flow, project, changes], signature):
        wrong = (
            f"it was made for other parameters than these, or by another installation than {settings.home}"
        )
        raise ConfigError(f"signature: {wrong}; {instead}")
    return load(project, changes, settings.projects)
