"""How a network is trained: the training section of a project's YAML."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from configs.section import ImportPath, Section, Share

Strategy = Literal["horovod", "ddp", "fsdp", "single"]
"""How ranks train one network."""
ProcessGroup = Literal["horovod", "torch", "none"]
"""What connects ranks."""
PROCESS_GROUPS: dict[Strategy, ProcessGroup] = {
    "horovod": "horovod",
    "ddp": "torch",
    "fsdp": "torch",
    "single": "none",
}
"""What connects the ranks of each strategy."""


class TrainingConfig(Section):
    """How a network is trained."""

    network: ImportPath | None = None
    """The user's own network, called with (shape of one preprocessed row, outputs); timm:<model>, such as
    timm:resnet18, or transformers:<configuration>, such as transformers:DistilBertConfig, where these are
    installed; none: the intake's default."""
    network_options: dict[str, Any] = {}
    """Keyword arguments of the network, such as {dim: 64, n_layers: 2}; default networks take a width, such as
    {width: 0.5} for layers half as wide."""
    warm_start: str | None = Field(default=None, pattern=r"^[^/\s]+/([1-9]\d*|champion)$")
    """Registered model to start from, such as digits/2, or digits/champion for the one that serves (from
    nothing, as long as none does): its layers are kept. Its rows must be the same kind as this project's; for
    other classes the last layer is new."""
    backbone_lr_factor: Share = 1.0
    """Learning rate of the kept layers as a share of `learning_rate`; 0 leaves them as they are."""
    strategy: Strategy = "horovod"
    """How ranks train one network: Horovod; torch's own data parallelism; fsdp, where each rank holds a part
    of the network, for one that is too large for a device; or a single rank by itself."""
    ranks: int = Field(default=2, ge=1, le=4096)
    """Ranks, one a Dask worker."""
    min_ranks: int | None = Field(default=None, ge=1)
    """Elastic: a training that loses ranks, workers or hosts goes on from its last commit with no fewer than these; none: it ends."""
    max_ranks: int | None = Field(default=None, ge=1)
    """Elastic: workers that come later are used from the next commit on, up to so many ranks.

    None: as many as `ranks`.
    """
    wait_seconds: float = Field(default=300, gt=0)
    """How long an elastic training waits for workers before it fails, with a commit that another can resume.
    """
    epochs: int | None = Field(default=None, ge=1)
    """Times that every training row is seen; none: as many as make 400,000 rows, but 5 at least and 60 at
    most. With a validation split, the weights of the epoch that did best there are kept."""
    epochs_factor: float = Field(default=1.0, gt=0)
    """Times as many epochs as that. The search for smaller networks sets it for its students: an epoch of theirs
    is cheaper, and they need more of them."""
    batch_size: int = Field(default=64, ge=1)
    """Rows of all ranks together, so the result does not depend on how many there are."""
    accumulation_steps: int = Field(default=1, ge=1)
    """Pieces that a rank's share of a batch is computed in, one after the other: less memory, the same
    result."""
    learning_rate: float = Field(default=0.002, gt=0)
    """Peak of the schedule. It belongs to `batch_size`, so it need not grow with the number of ranks."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after its warm-up."""
    warmup: Share = 0.3
    """Share of all steps in which the learning rate rises."""
    weight_decay: float = Field(default=0.01, ge=0)
    sample_weight: str | None = None
    """Column that says how much a row counts in the loss, from 0 on; their mean counts as 1."""
    max_grad_norm: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient; a larger one is scaled down."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's arithmetic in training; weights and checkpoint stay float32."""
    compile: bool = False
    """Has torch compile the network for the machine before it trains: for GPUs. On two cores it took 5 to 110
    s, and made the default networks slower (0.73 to 0.76 of their steps a second)."""
    compression: Literal["none", "fp16"] = "none"
    """How gradients travel between ranks."""
    patience: int | None = Field(default=None, ge=1)
    """Epochs without a better metric on the validation split after which training stops; none: a third of all
    epochs, 8 at least."""
    minutes: float | None = Field(default=None, gt=0)
    """Budget of time: after its first steps a training plans as many more as fit, and its learning rate falls
    in that time. How many those are depends on the machine, so equal trainings no longer give equal weights.
    """
    commit_seconds: float = Field(default=60, gt=0)
    """Time between two commits, which a killed training goes on from; there is one after each epoch as well.
    """
    resume: Path | None = None
    """Folder of a commit to go on from, of a training of the same network on the same rows; any number of
    ranks."""
    seed: int = 7

    @model_validator(mode="after")
    def strategy_suits_the_ranks(self) -> "TrainingConfig":
        """One rank by itself is one rank; gradients are compressed by Horovod alone."""
        if self.strategy == "single" and self.ranks > 1:
            raise ValueError(f"strategy single is one rank; ranks is {self.ranks}")
        if self.strategy != "horovod" and self.compression != "none":
            raise ValueError(
                f"compression {self.compression} goes with strategy horovod; strategy is {self.strategy}"
            )
        return self

    @model_validator(mode="after")
    def ranks_share_a_batch(self) -> "TrainingConfig":
        """Every rank has a row of every full batch, and elastic bounds hold the number that the training begins with."""
        low, high = self.min_ranks or self.ranks, self.max_ranks or self.ranks
        if not low <= self.ranks <= high:
            raise ValueError(
                f"min_ranks {low}, ranks {self.ranks}, max_ranks {high}: none may be smaller than the one before"
            )
        if self.batch_size < high:
            raise ValueError(
                f"batch_size {self.batch_size} is smaller than the {high} ranks that share a batch"
            )
        return self
