"""When production counts as drifted, and what follows: the monitoring and retraining sections of a project's YAML."""

from pydantic import Field, model_validator

from configs.section import Section, Share


class MonitoringConfig(Section):
    """When production counts as drifted."""

    window: int = Field(default=200, ge=1)
    """The latest predictions that are compared."""
    min_predictions: int = Field(default=100, ge=1)
    """Fewer than this and the verdict is `insufficient`, which never means `ok` and says how many are missing."""
    reference: int = Field(default=2000, ge=1)
    """Training rows that the predictions are compared with, 2,000 at most: a seeded sample of the source's,
    each class in its share; and, where a model learned from at least `min_predictions` late-labelled rows, the newest
    of these by themselves. The nearer of the two counts: a retrained model is not found drifted because it
    knows the old world too. Answers are compared with those to held-out rows."""
    drift_share: Share = 0.0
    """Share of the watched descriptors that must drift. 0: a single one is enough."""
    threshold: float = Field(default=0.05, gt=0)
    """Distance that is tolerated: Wasserstein in standard deviations of the reference, or Jensen-Shannon (0 to 0.83) for what has no
    order. A descriptor drifts where chance cannot explain its distance and the distance lies surely above this; one below
    it never does, however many predictions show it. Of production that never changes, at most one in twenty is ever
    found drifted, whatever the window and the number of descriptors and looks."""
    performance_tolerance: Share = 0.05
    """Rise of the error share over the test's that late labels may show. One surely above is `drifted` by performance, whatever the
    inputs do. 1: labels never start a retraining."""
    confirmations: int = Field(default=1, ge=1)
    """Drifted verdicts in a row, none sharing a prediction with another, before an episode opens."""

    @model_validator(mode="after")
    def window_holds_the_minimum(self) -> "MonitoringConfig":
        """A window that can never fill would never judge."""
        if self.min_predictions > self.window:
            raise ValueError(f"min_predictions {self.min_predictions} is larger than window {self.window}")
        return self


class RetrainingConfig(Section):
    """What a drift episode may start."""

    minimum_labels: int = Field(default=100, ge=1)
    """Late labels since the champion was released that a retraining needs; until then the episode waits."""
    cooldown_seconds: float = Field(default=3600, ge=0)
    """No episode opens sooner than this after the last one closed."""
    max_attempts: int = Field(default=3, ge=1)
    """Retrainings of one episode that may fail before a person is asked."""
