"""When production counts as drifted, and what follows.

The monitoring and retraining sections of a project's YAML.
"""

from typing import Literal

from pydantic import Field, model_validator

from configs.section import Section, Share


class MonitoringConfig(Section):
    """When production counts as drifted."""

    window: int = Field(default=200, ge=1)
    """The latest predictions that are compared."""
    window_hours: float | None = Field(default=None, gt=0)
    """Of these, those alone that are at most so many hours older than the newest; none: all of them."""
    min_predictions: int = Field(default=100, ge=1)
    """Fewer than this and the verdict is `insufficient`, which never means `ok` and says how many are missing."""
    reference: int = Field(default=2000, ge=1)
    """Training rows that the predictions are compared with, 2,000 at most: a seeded sample of the source's,
    each class in its share; and, where a model learned from at least `min_predictions` late-labelled rows,
    the newest of these by themselves. The nearer of the two counts: a retrained model is not found drifted
    because it knows the old world too. Answers are compared with those to held-out rows.
    """
    drift_share: Share = 0.0
    """Share of the watched descriptors that must drift. 0: a single one is enough."""
    matching_hours: bool = True
    """Where the predictions are of other hours or weekdays than the training rows (a night's window), compare them with training
    rows of the same ones alone: a rhythm that training rows have is no drift. It takes a column of dates
    among the inputs.
    """
    threshold: float = Field(default=0.05, gt=0)
    """Distance that is tolerated: Wasserstein in standard deviations of the reference, or Jensen-Shannon (0 to 0.83) for what has no
    order. A descriptor drifts where chance cannot explain its distance and the distance lies surely above
    this; one below it never does, however many predictions show it, but `all together`, which a classifier
    judges, may drift by many small moves. Of production that never changes, at most one in twenty is ever
    found drifted, whatever the window and the number of descriptors and looks.
    """
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


class CausesConfig(Section):
    """What may start a retraining, each by itself."""

    performance: bool = True
    """Late labels show more errors than the test did and `monitoring.performance_tolerance` allows."""
    inputs: Literal["always", "unless_labels_deny", "never"] = "unless_labels_deny"
    """Inputs drifted. `unless_labels_deny`: but not where `minimum_labels` late labels show no more errors
    than are tolerated: a season in the inputs takes no new model."""
    answers: Literal["always", "unless_labels_deny", "never"] = "unless_labels_deny"
    """Answers drifted, and no input did."""
    gain: bool = True
    """The forecast of what newer rows would have brought since the release has reached `cost`."""


class BudgetConfig(Section):
    """How often a project may be retrained by itself."""

    share: Share = 0.2
    """Retrainings to looks that brought predictions or labels not seen before."""
    saved: float = Field(default=2.0, ge=1)
    """Retrainings that it may be ahead of that share, such as the first ones."""
    in_30_days: int = Field(default=10, ge=1)


class WorthConfig(Section):
    """What a score is worth beside a retraining, in any one currency."""

    point_day: float = Field(gt=0)
    """A point of score (0.01) for a day."""
    retraining: float = Field(gt=0)
    """A retraining, with all that it takes until it serves."""


class RetrainingConfig(Section):
    """What a drift episode may start."""

    causes: CausesConfig = CausesConfig()
    budget: BudgetConfig = BudgetConfig()
    worth: WorthConfig | None = None
    """Replaces `cost`: a retraining starts by its cause `gain` once what the newer rows would have brought, by the
    forecast, is worth one."""
    cost: float = Field(default=0.05, ge=0)
    """Of a retraining, in points of score over as many requests as the model learned from rows: 0.1 is one
    point for a tenth of them."""
    breaker: int = Field(default=3, ge=1)
    """Releases in a row that brought nothing on later labels, after which retrainings wait for more labels, twice
    as many each time, and a person is asked."""
    minimum_labels: int = Field(default=100, ge=1)
    """Late labels since the champion was released that a retraining needs; until then the episode waits."""
    cooldown_seconds: float = Field(default=3600, ge=0)
    """No episode opens sooner than this after the last one closed."""
    max_attempts: int = Field(default=3, ge=1)
    """Retrainings of one episode that may fail before a person is asked."""
