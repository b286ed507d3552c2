"""The schema of a project's YAML: strict, frozen, every key documented where it is declared.

A section is handed to its stage as it stands here, and its contents are part of the stage's cache key: a
changed value runs the stage again, an unchanged one does not.
"""

from pydantic import model_validator

from configs.backtest import BacktestConfig
from configs.baselines import BaselinesConfig
from configs.checks import ChecksConfig
from configs.cluster import ClusterConfig
from configs.deployment import DeploymentConfig
from configs.evaluation import EvaluationConfig
from configs.gate import GateConfig
from configs.intake import IntakeConfig
from configs.labeling import LabelingConfig
from configs.monitoring import MonitoringConfig, RetrainingConfig
from configs.optimization import OptimizationConfig
from configs.result import ResultConfig
from configs.schedule import ScheduleConfig
from configs.search import SearchConfig
from configs.section import Name, Section
from configs.source import SourceConfig
from configs.target import TargetConfig
from configs.training import TrainingConfig
from configs.validation import ValidationConfig
from configs.versioning import VersioningConfig


class Project(Section):
    """One project: a data set, a network and the loop around them."""

    name: Name
    """Also the model's name, in MLflow and in URLs."""
    description: str = ""
    source: SourceConfig
    intake: IntakeConfig
    result: ResultConfig
    checks: ChecksConfig = ChecksConfig()
    validation: ValidationConfig = ValidationConfig()
    labeling: LabelingConfig = LabelingConfig()
    versioning: VersioningConfig = VersioningConfig()
    baselines: BaselinesConfig = BaselinesConfig()
    training: TrainingConfig = TrainingConfig()
    search: SearchConfig = SearchConfig()
    optimization: OptimizationConfig = OptimizationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    target: TargetConfig = TargetConfig()
    gate: GateConfig = GateConfig()
    deployment: DeploymentConfig = DeploymentConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
    retraining: RetrainingConfig = RetrainingConfig()
    backtest: BacktestConfig = BacktestConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    cluster: ClusterConfig = ClusterConfig()

    @model_validator(mode="after")
    def the_label_is_no_input(self) -> "Project":
        """A model that is shown the answer learns nothing else."""
        for key in ("numeric", "categorical", "dates"):
            if self.result.label in getattr(self.intake, key, ()):
                raise ValueError(
                    f"intake.{key} names {self.result.label!r}, which is result.label; a model must not be shown the answer"
                )
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
            raise ValueError(
                f"training.ranks {self.training.ranks} needs as many workers; cluster.workers is {self.cluster.workers}"
            )
        return self
