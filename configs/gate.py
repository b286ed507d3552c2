"""What a challenger must reach before it may serve: the gate section of a project's YAML."""

from typing import Literal

from pydantic import Field

from configs.section import Section, Share


class GateConfig(Section):
    """The playbook: what a challenger must reach on the test rows, as the compiled artifact, before it may serve."""

    min_score: float | None = None
    """Least value of the result's first metric; none: whatever the baselines leave."""
    min_gain: float | None = 0.0
    """What the lower end of the paired 95 % interval over every trivial baseline (a constant, the label
    before) must lie above; null: they refuse nothing."""
    max_behind: Share | None = 0.0
    """How far the upper end of that interval may lie under a simple baseline's (linear, trees); null: they
    refuse nothing."""
    max_drop: Share = 0.02
    """How far the lower end of the paired 95 % interval may lie under the champion on the same rows."""
    max_slice_drop: Share | None = 0.02
    """How far the upper end of that interval may lie under the champion on any slice of evaluation.slices;
    the intervals are as wide as all of them together need. null: slices refuse nothing."""
    max_loss: Share = 0.01
    """How far a candidate's score may lie under the fp32 graph's on the validation rows."""
    max_latency_ms: float = Field(default=50.0, gt=0)
    """Median time of a batch of one row on one thread."""
    max_p99_ms: float | None = Field(default=None, gt=0)
    """Time that 99 of 100 such batches must stay within; null: no limit."""
    max_megabytes: float = Field(default=500.0, gt=0)
    prefer: Literal["size", "latency", "throughput", "score"] = "latency"
    """Which candidate is chosen of those that keep these rules by their means on the validation rows; a rule
    that none keeps chooses nothing. The test rows are asked about the chosen one alone, and with intervals.
    """
