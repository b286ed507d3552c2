"""What passes between stages.

Small frozen records of URIs and digests, never frames, tensors or open handles.

A `uri` is an absolute path (or an fsspec URL); its `digest` (infra/files.py) is checked by whoever reads it.
Open base.py first; data.py goes up to labelled rows, models.py up to the bundle, production.py from the
release on, scores.py is about batch scoring. events.py names the Prefect events that Gyre sends.
"""

from tasks.records.backtest import BacktestReport, PolicyOutcome, Recommendation
from tasks.records.base import Finding, Record, Stored
from tasks.records.data import (
    AnnotatorQuality,
    DatasetVersion,
    LabelReport,
    RawRows,
    RuleOutcome,
    SourceSnapshot,
    ValidationBaseline,
    ValidationReport,
)
from tasks.records.models import (
    Baseline,
    BaselineComparison,
    Baselines,
    Bundle,
    Candidate,
    Comparison,
    Graph,
    Judgement,
    SearchReport,
    Sketch,
    SliceScore,
    TrainedModel,
    Variants,
    verdict_of_interval,
)
from tasks.records.production import (
    Champion,
    DescriptorDrift,
    DriftReport,
    Episode,
    Estimate,
    Performance,
    Release,
)
from tasks.records.scores import InputNotice, ScoreReport

__all__ = [
    "AnnotatorQuality",
    "BacktestReport",
    "Baseline",
    "BaselineComparison",
    "Baselines",
    "Bundle",
    "Candidate",
    "Champion",
    "Comparison",
    "DatasetVersion",
    "DescriptorDrift",
    "DriftReport",
    "Episode",
    "Estimate",
    "Finding",
    "Graph",
    "InputNotice",
    "Judgement",
    "LabelReport",
    "Performance",
    "PolicyOutcome",
    "RawRows",
    "Recommendation",
    "Record",
    "Release",
    "RuleOutcome",
    "ScoreReport",
    "SearchReport",
    "Sketch",
    "SliceScore",
    "SourceSnapshot",
    "Stored",
    "TrainedModel",
    "ValidationBaseline",
    "ValidationReport",
    "Variants",
    "verdict_of_interval",
]
