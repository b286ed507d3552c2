"""How a new version takes over: the deployment section of a project's YAML."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from configs.section import Section, Share

Step = Annotated[float, Field(gt=0, le=1)]


class DeploymentConfig(Section):
    """How a new version takes over."""

    mode: Literal["canary", "shadow"] = "canary"
    """What a challenger does while it is on trial. `canary`: it answers its share of the requests. `shadow`: it
    is asked that share too and compared, but its answers are given to nobody; rows that it does not keep up
    with are dropped and counted. Only requests that are logged are compared."""
    canary_share: Share = 0.2
    """Share of the requests that the challenger answers while it is on trial."""
    canary_steps: tuple[Step, ...] = ()
    """Rising shares in the place of `canary_share`, such as [0.01, 0.05, 0.25, 1]: the trial's other keys hold
    for each of them, and what was seen adds up."""
    canary_requests: int = Field(default=20, ge=0)
    """Requests the challenger must answer before it is promoted; replayed test rows count, live ones too. The
    champion is asked each replayed row as well."""
    canary_hold_seconds: float = Field(default=0.0, ge=0)
    """A step lasts at least so long, so that clients, and late labels, have their say."""
    canary_seconds: float = Field(default=30.0, gt=0)
    """The trial (each step of it) ends after this time at the latest."""
    max_errors: Share = 0.0
    """Share of the challenger's answers that may fail before it is rolled back."""
    max_slowdown: float | None = Field(default=1.0, ge=0)
    """How much longer than the champion it may take for the same rows, in the median and in the slowest
    twentieth: 1 is twice as long. Differences under 5 ms count for nothing; gate.max_latency_ms is the limit
    that is absolute. null: it may take any time."""
    max_disagreement: Share = 1.0
    """Share of the same rows to which it may answer otherwise than the champion: another class, or a number
    that is further away than a tenth of a standard deviation. 1: any, as a retrained model may have to."""
    max_answer_shift: Share = 1.0
    """How much more often it may give one class than the champion does to the same rows, as a share of all; for
    numbers, how much more often the higher one than the lower one. 1: any."""
    max_label_loss: Share = 0.02
    """How far its share of right answers may lie under the champion's, by late labels of live requests that
    come while the trial lasts; for numbers, how much more often it may be the one further away."""
    log: Literal["buffered", "durable"] = "buffered"
    """When an answer is given that counts as production traffic. `buffered`: at once; a killed server loses
    what came in the half second before. `durable`: once it is on the disk, some milliseconds later, together
    with those that came meanwhile; where the disk takes nothing the request is refused (503)."""
    demotion: bool = True
    """Whether the version before serves again where late labels, on the rows that the newer one answered since
    its release, show it to be surely better by more than `max_label_loss`. The drift flow looks."""
    false_alarm: float = Field(default=0.01, gt=0, le=0.5)
    """Probability with which a challenger that keeps all these limits is rolled back, over all measures and
    however often it is looked."""
    sandbox_seconds: float = Field(default=120.0, gt=0)
    """A new version is loaded and asked rows by a server process of its own before it sees traffic; one that
    takes longer than this for both is refused."""
    sandbox_megabytes: int = Field(default=4096, ge=256)
    """Memory that this process may take before the version is refused."""

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the requests, step by step."""
        return self.canary_steps or (self.canary_share,)

    @model_validator(mode="after")
    def steps_take_the_place_of_the_share(self) -> "DeploymentConfig":
        """One trial has one list of shares."""
        if self.canary_steps and "canary_share" in self.model_fields_set:
            raise ValueError(
                f"canary_steps {list(self.canary_steps)} take the place of canary_share {self.canary_share}; write one of the two"
            )
        if list(self.canary_steps) != sorted(set(self.canary_steps)):
            raise ValueError(f"canary_steps {list(self.canary_steps)} must rise, such as 0.01, 0.05, 0.25")
        return self

    @model_validator(mode="after")
    def a_step_can_be_held(self) -> "DeploymentConfig":
        """A step that ends before it may end would never be held."""
        if self.canary_hold_seconds > self.canary_seconds:
            raise ValueError(
                f"canary_hold_seconds {self.canary_hold_seconds:g} is longer than canary_seconds {self.canary_seconds:g}"
            )
        return self
