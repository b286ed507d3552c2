"""What a flow run is asked to do, and who asks.

What the gyre command did not sign names neither code nor files.
"""

from typing import Any

from configs.load import ConfigError, load
from configs.project import Project
from configs.unsigned import UNSIGNED, check_unsigned
from infra.settings import Settings

PURPOSE = "flow run"


def sign_parameters(
    flow: str,
    project: str,
    overrides: dict[str, str],
    settings: Settings,
    asked: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The parameters of a flow run, with this installation's signature.

    asked: parameters of this flow alone, such as the files that it reads
    """
    signature = settings.credential.signature(PURPOSE, signed_value(flow, project, overrides, asked))
    return {"project": project, "overrides": overrides, "signature": signature} | (asked or {})


def signed_value(
    flow: str, project: str, overrides: dict[str, str], asked: dict[str, Any] | None
) -> list[Any]:
    """What a signature is made of."""
    return [flow, project, overrides] + ([asked] if asked is not None else [])


def load_requested(
    flow: str,
    project: str,
    overrides: dict[str, str] | None,
    signature: str | None,
    asked: dict[str, Any] | None = None,
) -> Project:
    """The project that a flow run is about.

    Raises ConfigError, before any of it is read, where it may not ask so.

    asked: parameters of this flow alone, which name files: nobody may ask for them without a signature
    """
    settings, changes = Settings(), overrides or {}
    instead = f"start it with `gyre {'run' if flow == 'cycle' else flow} PROJECT --set KEY=VALUE`"
    if asked is not None:
        instead = f"start it with `gyre {flow} PROJECT`"
    if signature is None and asked is not None:
        raise ConfigError(f"{', '.join(asked)}: can name files; {UNSIGNED} reads and writes none; {instead}")
    if signature is None:
        check_unsigned(project, changes, settings.projects, instead)
    elif not settings.credential.signed(PURPOSE, signed_value(flow, project, changes, asked), signature):
        wrong = (
            f"it was made for other parameters than these, or by another installation than {settings.home}"
        )
        raise ConfigError(f"signature: {wrong}; {instead}")
    return load(project, changes, settings.projects)
