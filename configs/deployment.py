"""How a new version takes over: the deployment section of a project's YAML."""

from pydantic import Field

from configs.section import Section, Share


class DeploymentConfig(Section):
    """How a new version takes over."""

    canary_share: Share = 0.2
    """Share of the requests that the challenger answers while it is on trial."""
    canary_requests: int = Field(default=20, ge=0)
    """Requests the challenger must answer before it is promoted; replayed test rows count, live ones too."""
    canary_seconds: float = Field(default=30.0, gt=0)
    """The trial ends after this time at the latest."""
    max_errors: Share = 0.0
    """Share of the challenger's answers that may fail before it is rolled back."""
    sandbox_seconds: float = Field(default=120.0, gt=0)
    """A new version is loaded and asked rows by a server process of its own before it sees traffic; one that
    takes longer than this for both is refused."""
    sandbox_megabytes: int = Field(default=4096, ge=256)
    """Memory that this process may take before the version is refused."""
