"""The schema of a project's YAML: strict, frozen, every key documented where it is declared.

A section is handed to its stage as it stands here, and its contents are part of the stage's cache key: a changed value runs the stage
again, an unchanged one does not.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from configs.baselines import Baselines
from configs.checks import Checks
from configs.data import Source, Validation, Versioning
from configs.evaluation import Evaluation
from configs.search import Search
from configs.section import ImportPath, Name, Section, Share, import_path_or


class ImageIntake(Section):
    """Rows are images of one size."""

    kind: Literal["image"]
    column: str = "image"
    """Column with the pixels: height x width x channels unsigned bytes, row by row."""
    height: int = Field(ge=1, le=4096)
    """Pixels."""
    width: int = Field(ge=1, le=4096)
    """Pixels."""
    channels: Literal[1, 3] = 1
    """1 = grey, 3 = RGB."""
    resize: Literal["stretch", "pad", "crop", "error"] = "stretch"
    """What becomes of an image of another size, in training and for clients alike: `stretch` forgets its proportions, `pad` keeps all of it
    on the background, `crop` keeps its middle, `error` stops the run. How many, of which sizes, is a finding (checks.resized_images)."""
    background: int = Field(default=255, ge=0, le=255)
    """Grey level behind transparent pixels and around padded images."""
    shift: int | None = Field(default=None, ge=0, le=64)
    """Augmentation: training images move by up to this many pixels in each direction; none: an eighth of the shorter side; 0: none."""
    flip: bool = False
    """Augmentation: half of the training images are mirrored, left to right; not for writing, or whatever else has a hand."""


class TabularIntake(Section):
    """Rows are values in named columns, each an input of the graph. A value may be missing; training rows say what stands for it."""

    kind: Literal["tabular"]
    numeric: tuple[str, ...] = ()
    """Columns of numbers; a missing one takes the training median."""
    categorical: tuple[str, ...] = ()
    """Columns of texts or codes without an order; a value that training rows do not have counts as missing."""
    dates: tuple[str, ...] = ()
    """Columns of moments: timestamps, texts such as 2026-01-31T12:00 (UTC where they name no zone), or numbers."""
    date_formats: dict[str, str] = {}
    """How values of `dates` columns are written, such as {booked: "%d/%m/%Y"}: as strptime has it, or for numbers seconds, milliseconds,
    microseconds, nanoseconds (since 1970) or excel (days). Of a column that is not named here, and whose contract names no format, the one
    format of all its values is found; where two fit alike, the run stops and shows both. Years of two digits are 1969 to 2068."""

    @model_validator(mode="after")
    def names_columns_once(self) -> "TabularIntake":
        """A column is an input, and an input has one kind."""
        columns = (*self.numeric, *self.categorical, *self.dates)
        if not columns:
            raise ValueError("names no column; give at least one in `numeric`, `categorical` or `dates`")
        if twice := [column for number, column in enumerate(columns) if column in columns[:number]]:
            raise ValueError(f"names column {twice[0]!r} twice; a column is either numeric, categorical or a date")
        if other := [column for column in self.date_formats if column not in self.dates]:
            raise ValueError(f"date_formats names {other[0]!r}, which is none of `dates` ({', '.join(self.dates) or 'it is empty'})")
        return self


class TextIntake(Section):
    """Rows are texts."""

    kind: Literal["text"]
    column: str = "text"
    """Column with the text, also the name of the graph's input."""
    vocabulary: int = Field(default=20_000, ge=3, le=1_000_000)
    """At most so many different tokens are told apart, the most frequent of the training rows; the others are all one, the unknown."""
    length: int = Field(default=64, ge=1, le=4096)
    """Tokens of a text that are read, from its beginning."""


class CustomIntake(Section):
    """A user's own intake class by import path, called with `options`."""

    kind: Annotated[str, import_path_or("image", "tabular", "text")]
    options: dict[str, Any] = {}
    """Keyword arguments of the class."""


class ClassificationResult(Section):
    """One of several classes."""

    kind: Literal["classification"]
    classes: tuple[str, ...] = Field(min_length=2)
    """Class names, in the order of the network's outputs."""
    label: str = "label"
    """Column with the class of a row: written by labeling QC when there are annotators, else read from the source."""
    soft_label: str | None = None
    """Column with the probabilities of the classes (a list in their order; empty: the label is sure), which training learns from instead of
    the label. Where there are annotators, labeling QC writes it: how sure their consensus is."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: every class counts the same in the loss, however few rows it has."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the truth that is spread over all classes while training: labels that may be wrong are learned less firmly."""


class RegressionResult(Section):
    """A number."""

    kind: Literal["regression"]
    label: str = "label"
    """Column with the number, in the unit that answers are given in."""
    log: bool = False
    """Learn, and measure r2 of, log(1 + number), for amounts whose ratios matter, such as counts and prices; none may be under 0."""


class CustomResult(Section):
    """A user's own result class by import path, called with `options`."""

    kind: Annotated[str, import_path_or("classification", "regression")]
    label: str = "label"
    """Column with the truth of a row."""
    options: dict[str, Any] = {}
    """Keyword arguments of the class."""


class Labeling(Section):
    """How several annotators' answers become one label."""

    annotators: tuple[str, ...] = ()
    """Columns with one annotator's answers each, empty where the annotator gave none. None: the source's label is taken as it is."""
    min_agreement: Share = 0.5
    """The run stops when the annotators agree less often than this (share of answers equal to the consensus)."""
    suspects: int = Field(default=50, ge=0)
    """How many suspected label errors are listed at most."""
    sample: int = Field(default=5_000, ge=100)
    """Rows among which suspected errors are looked for, drawn evenly over all."""


class Training(Section):
    """How a network is trained."""

    network: ImportPath | None = None
    """The user's own network, called with (shape of one preprocessed row, outputs); timm:<model>, such as timm:resnet18, or
    transformers:<configuration>, such as transformers:DistilBertConfig, where these are installed; none: the intake's default."""
    network_options: dict[str, Any] = {}
    """Keyword arguments of the network, such as {dim: 64, n_layers: 2}."""
    start: str | None = Field(default=None, pattern=r"^[^/\s]+/([1-9]\d*|champion)$")
    """Registered model to start from, such as digits/2, or digits/champion for the one that serves (from nothing, as long as none does):
    its layers are kept. Its rows must be the same kind as this project's; for other classes the last layer is new."""
    trunk_rate: Share = 1.0
    """Learning rate of the kept layers as a share of `learning_rate`; 0 leaves them as they are."""
    strategy: Literal["horovod", "ddp", "fsdp", "single"] = "horovod"
    """How ranks train one network: Horovod; torch's own data parallelism; fsdp, where each rank holds a part of the network, for one that
    is too large for a device; or a single rank by itself."""
    ranks: int = Field(default=2, ge=1, le=4096)
    """Ranks, one a Dask worker."""
    min_ranks: int | None = Field(default=None, ge=1)
    """Elastic: a training that loses ranks, workers or hosts goes on from its last commit with no fewer than these; none: it ends."""
    max_ranks: int | None = Field(default=None, ge=1)
    """Elastic: workers that come later are used from the next commit on, up to so many ranks; none: as many as `ranks`."""
    wait_seconds: float = Field(default=300, gt=0)
    """How long an elastic training waits for workers before it fails, with a commit that another can resume."""
    epochs: int | None = Field(default=None, ge=1)
    """Times that every training row is seen; none: as many as make 400,000 rows, but 5 at least and 60 at most. With a validation split,
    the weights of the epoch that did best there are kept."""
    batch_size: int = Field(default=64, ge=1)
    """Rows of all ranks together, so the result does not depend on how many there are."""
    accumulate: int = Field(default=1, ge=1)
    """Pieces that a rank's share of a batch is computed in, one after the other: less memory, the same result."""
    learning_rate: float = Field(default=0.002, gt=0)
    """Peak of the schedule. It belongs to `batch_size`, so it need not grow with the number of ranks."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after its warm-up."""
    warmup: Share = 0.3
    """Share of all steps in which the learning rate rises."""
    weight_decay: float = Field(default=0.01, ge=0)
    sample_weight: str | None = None
    """Column that says how much a row counts in the loss, from 0 on; their mean counts as 1."""
    clip: float | None = Field(default=None, gt=0)
    """Largest norm of the gradient; a larger one is scaled down."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of the network's arithmetic in training; weights and checkpoint stay float32."""
    compile: bool = False
    """Has torch compile the network for the machine before it trains: for GPUs. On two cores it took 5 to 110 s, and made the default
    networks slower (0.73 to 0.76 of their steps a second)."""
    compression: Literal["none", "fp16"] = "none"
    """How gradients travel between ranks."""
    patience: int | None = Field(default=None, ge=1)
    """Epochs without a better metric on the validation split after which training stops; none: a third of all epochs, 8 at least."""
    minutes: float | None = Field(default=None, gt=0)
    """Budget of time: after its first steps a training plans as many more as fit, and its learning rate falls in that time. How many
    those are depends on the machine, so equal trainings no longer give equal weights."""
    commit_seconds: float = Field(default=60, gt=0)
    """Time between two commits, which a killed training goes on from; there is one after each epoch as well."""
    resume: Path | None = None
    """Folder of a commit to go on from, of a training of the same network on the same rows; any number of ranks."""
    seed: int = 7

    @model_validator(mode="after")
    def strategy_suits_the_ranks(self) -> "Training":
        """One rank by itself is one rank; gradients are compressed by Horovod alone."""
        if self.strategy == "single" and self.ranks > 1:
            raise ValueError(f"strategy single is one rank; ranks is {self.ranks}")
        if self.strategy != "horovod" and self.compression != "none":
            raise ValueError(f"compression {self.compression} goes with strategy horovod; strategy is {self.strategy}")
        return self

    @model_validator(mode="after")
    def ranks_share_a_batch(self) -> "Training":
        """Every rank has a row of every full batch, and elastic bounds hold the number that the training begins with."""
        low, high = self.min_ranks or self.ranks, self.max_ranks or self.ranks
        if not low <= self.ranks <= high:
            raise ValueError(f"min_ranks {low}, ranks {self.ranks}, max_ranks {high}: none may be smaller than the one before")
        if self.batch_size < high:
            raise ValueError(f"batch_size {self.batch_size} is smaller than the {high} ranks that share a batch")
        return self


class Optimization(Section):
    """Smaller and faster variants of the trained model."""

    quantize: tuple[Literal["int8"], ...] = ("int8",)
    """Static quantization, calibrated on real rows."""
    calibration_rows: int = Field(default=256, ge=1)
    """Training rows shown to the calibrator."""


class Gate(Section):
    """The playbook: what a challenger must reach on the test rows, as the compiled artifact, before it may serve."""

    min_score: float | None = None
    """Least value of the result's first metric; none: whatever the baselines leave."""
    min_gain: float | None = 0.0
    """What the lower end of the paired 95 % interval over every trivial baseline (a constant, the label before) must lie above; null: they
    refuse nothing."""
    max_behind: Share | None = 0.0
    """How far the upper end of that interval may lie under a simple baseline's (linear, trees); null: they refuse nothing."""
    max_drop: Share = 0.02
    """How far the lower end of the paired 95 % interval may lie under the champion on the same rows."""
    max_slice_drop: Share | None = 0.02
    """How far the upper end of that interval may lie under the champion on any slice of evaluation.slices; the intervals are as wide as
    all of them together need. null: slices refuse nothing."""
    max_loss: Share = 0.01
    """How far a candidate's score may lie under the fp32 graph's on the validation rows."""
    max_latency_ms: float = Field(default=50.0, gt=0)
    """Median time of a batch of one row on one thread."""
    max_megabytes: float = Field(default=500.0, gt=0)
    prefer: Literal["size", "latency", "score"] = "latency"
    """Which candidate is chosen of those that keep these rules by their means on the validation rows; a rule that none keeps chooses
    nothing. The test rows are asked about the chosen one alone, and with intervals."""


class Deployment(Section):
    """How a new version takes over."""

    canary_share: Share = 0.2
    """Share of the requests that the challenger answers while it is on trial."""
    canary_requests: int = Field(default=20, ge=0)
    """Requests the challenger must answer before it is promoted; replayed test rows count, live ones too."""
    canary_seconds: float = Field(default=30.0, gt=0)
    """The trial ends after this time at the latest."""
    max_errors: Share = 0.0
    """Share of the challenger's answers that may fail before it is rolled back."""


class Monitoring(Section):
    """When production counts as drifted."""

    window: int = Field(default=200, ge=1)
    """The latest predictions that are compared."""
    minimum: int = Field(default=100, ge=1)
    """Fewer than this and the verdict is `insufficient`, which never means `ok`."""
    reference: int = Field(default=500, ge=1)
    """Training rows that the predictions are compared with, 2,000 at most: a seeded sample of the source's, each class in its share; and,
    where a model learned from at least `minimum` late-labelled rows, the newest of these by themselves. The nearer of the two counts:
    a retrained model is not found drifted because it knows the old world too. Answers are compared with those to held-out rows."""
    drift_share: Share = 0.5
    """Share of the watched descriptors that must drift."""
    threshold: float = Field(default=0.3, gt=0)
    """Distance from which a descriptor counts as drifted: Wasserstein in standard deviations of the reference, or Jensen-Shannon (0 to
    0.83) for classes. A window of 200 lies up to 0.3 from a reference of 250 by chance alone."""
    confirmations: int = Field(default=1, ge=1)
    """Drifted verdicts in a row, each on new predictions, before an episode opens."""

    @model_validator(mode="after")
    def window_holds_the_minimum(self) -> "Monitoring":
        """A window that can never fill would never judge."""
        if self.minimum > self.window:
            raise ValueError(f"minimum {self.minimum} is larger than window {self.window}")
        return self


class Retraining(Section):
    """What a drift episode may start."""

    minimum_labels: int = Field(default=100, ge=1)
    """Late labels since the champion was released that a retraining needs; until then the episode waits."""
    cooldown_seconds: float = Field(default=3600, ge=0)
    """No episode opens sooner than this after the last one closed."""
    max_attempts: int = Field(default=3, ge=1)
    """Retrainings of one episode that may fail before a person is asked."""


class Schedule(Section):
    """When flows run by themselves."""

    nightly: str | None = "0 3 * * *"
    """Cron line (UTC) of the whole cycle; null: it runs when someone starts it, or on drift."""
    drift_seconds: Annotated[float, Field(ge=5)] | None = 3600
    """Interval of the drift flow; null: it runs when someone starts it."""


class Cluster(Section):
    """The Dask cluster that partitions and ranks run on."""

    kind: Annotated[str, import_path_or("local", "address")] = "local"
    """`local`, `address` of a running scheduler, or any Dask cluster class such as `dask_jobqueue:SLURMCluster`."""
    address: str | None = None
    """For `address`: such as tcp://10.0.0.1:8786."""
    workers: int = Field(default=2, ge=1)
    """Workers to start or scale to."""
    options: dict[str, Any] = {}
    """Keyword arguments of the cluster class."""

    @model_validator(mode="after")
    def address_is_given(self) -> "Cluster":
        """An address is needed by `address` alone."""
        if (self.kind == "address") != (self.address is not None):
            raise ValueError("`address` goes with kind: address, and only with it; such as tcp://10.0.0.1:8786")
        return self


def _by_kind(*built_in: str) -> Discriminator:
    """Chooses a section's class by its `kind`, so that an error speaks of the one that was meant; any other kind is an import path."""

    def tag(value: Any) -> str:
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        return kind if kind in built_in else "custom"

    return Discriminator(tag)


Intake = Annotated[
    Annotated[ImageIntake, Tag("image")]
    | Annotated[TabularIntake, Tag("tabular")]
    | Annotated[TextIntake, Tag("text")]
    | Annotated[CustomIntake, Tag("custom")],
    _by_kind("image", "tabular", "text"),
]
Result = Annotated[
    Annotated[ClassificationResult, Tag("classification")]
    | Annotated[RegressionResult, Tag("regression")]
    | Annotated[CustomResult, Tag("custom")],
    _by_kind("classification", "regression"),
]


class Project(Section):
    """One project: a data set, a network and the loop around them."""

    name: Name
    """Also the model's name, in MLflow and in URLs."""
    description: str = ""
    source: Source
    intake: Intake
    result: Result
    checks: Checks = Checks()
    validation: Validation = Validation()
    labeling: Labeling = Labeling()
    versioning: Versioning = Versioning()
    baselines: Baselines = Baselines()
    training: Training = Training()
    search: Search = Search()
    optimization: Optimization = Optimization()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    deployment: Deployment = Deployment()
    monitoring: Monitoring = Monitoring()
    retraining: Retraining = Retraining()
    schedule: Schedule = Schedule()
    cluster: Cluster = Cluster()

    @model_validator(mode="after")
    def the_label_is_no_input(self) -> "Project":
        """A model that is shown the answer learns nothing else."""
        for key in ("numeric", "categorical", "dates"):
            if self.result.label in getattr(self.intake, key, ()):
                raise ValueError(f"intake.{key} names {self.result.label!r}, which is result.label; a model must not be shown the answer")
        return self

    @property
    def simple_may_serve(self) -> bool:
        """Whether linear models and trees are candidates beside the network."""
        if self.baselines.serve is not None:
            return self.baselines.serve
        return self.intake.kind == "tabular" and self.training.network is None

    @model_validator(mode="after")
    def a_worker_for_every_rank(self) -> "Project":
        """Training asks for exactly as many workers as ranks; fewer would never start."""
        if self.cluster.kind == "local" and self.cluster.workers < self.training.ranks:
            raise ValueError(f"training.ranks {self.training.ranks} needs as many workers; cluster.workers is {self.cluster.workers}")
        return self
