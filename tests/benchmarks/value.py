"""What the retraining policy is worth.

Dated streams replayed block by block, with one set of defaults for all.

.venv/bin/python tests/benchmarks/value.py [STORE] [CSV:LABEL[:TIME] ...]

Without a CSV the three streams of $GYRE_DATA/drift (default ../shared/data). The first tenth trains the first
model, the rest is 45 looks, labels come one look late. STORE keeps what was trained (default: a temporary
folder), so that a benchmark that was stopped goes on. The last line is a JSON object, by stream: `static`,
`constant` (the best choice of rows, retrained at every look), `oracle`, `policy` (mean score over blocks),
`gain` (the policy's share of the best constant's), `retrains`, `looks`, `rollbacks`, `under` (points below
static), `baseline` and its name, `fits`, `seconds`.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from configs.backtest import BacktestConfig
from configs.cluster import ClusterConfig
from configs.intake import TabularIntakeConfig
from configs.monitoring import MonitoringConfig, RetrainingConfig
from configs.result import ClassificationResultConfig, RegressionResultConfig
from configs.training import TrainingConfig
from infra.cluster import open_cluster, run_bounded
from tasks.backtest.compare import Comparison, compare
from tasks.backtest.fits import Sections
from tasks.backtest.history import History, cut
from tasks.records import BacktestReport, DatasetVersion

DATA = Path(os.environ.get("GYRE_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
STREAMS = {
    "elec2": f"{DATA}/drift/elec2.csv:class",
    "noaa_weather": f"{DATA}/drift/noaa_weather.csv:target",
    "bike_sharing": f"{DATA}/drift/bike_sharing_hour.csv:cnt",
}
LEFT_OUT = {"bike_sharing": ["instant", "casual", "registered", "dteday", "yr"]}
"""Keys, what adds up to the answer, and columns that say the time itself."""
FEW = 32
"""Different values up to which a column is one of categories, and a label one of classes."""
TRAINING = TrainingConfig(strategy="single", ranks=1, epochs_factor=0.25, batch_size=256, learning_rate=0.008)
"""A quarter of the usual epochs: a policy is compared with policies whose models are trained alike."""


def read(name: str, source: str) -> tuple[History, Sections]:
    """A stream in its order of time, and how it is learned."""
    path, label, *rest = source.split(":")
    frame = pd.read_csv(path).drop(columns=LEFT_OUT.get(name, []))
    time = rest[0] if rest else None
    numbers = pd.api.types.is_numeric_dtype(frame[label]) and frame[label].nunique() > FEW
    inputs = [column for column in frame if column not in (label, time)]
    words = [column for column in inputs if is_category(frame[column])]
    numeric = [column for column in inputs if column not in words]
    intake = TabularIntakeConfig(kind="tabular", numeric=tuple(numeric), categorical=tuple(words))
    if numbers:
        log = bool(frame[label].min() >= 0)
        result = RegressionResultConfig(kind="regression", label=label, log=log)
    else:
        frame[label] = frame[label].astype(str)
        classes = tuple(sorted(frame[label].unique()))
        result = ClassificationResultConfig(kind="classification", label=label, classes=classes)
    backtest = BacktestConfig()
    return cut(frame, intake, time, backtest.first, backtest.looks), Sections(intake, result, TRAINING)


def is_category(column: pd.Series) -> bool:
    """Whether a column names things: texts, and whole numbers of few values."""
    if not pd.api.types.is_numeric_dtype(column):
        return True
    return column.nunique() <= FEW and bool((column.dropna() % 1 == 0).all())


def replayed(name: str, source: str, store: Path, client: object) -> BacktestReport:
    """One stream, with the defaults of `retraining` and `monitoring`."""
    history, sections = read(name, source)
    store.mkdir(parents=True, exist_ok=True)
    comparison = Comparison(history, sections, MonitoringConfig(), BacktestConfig(), store)
    comparison.train_all(lambda function, jobs: run_bounded(client, function, jobs))
    nothing = DatasetVersion(
        uri=source, digest=history.key, project=name, version=1, tag=name, commit="", rows=0, splits={}
    )
    return compare(comparison, RetrainingConfig(), nothing, history.blocks)


def told(report: BacktestReport, seconds: float) -> dict[str, object]:
    """The figures of a stream."""
    never, policy = report.outcome("never"), report.outcome("policy")
    return {
        "static": never.score,
        "constant": report.best_constant.score,
        "best_constant": report.best_constant.name,
        "oracle": report.oracle,
        "policy": policy.score,
        "gain": report.gain,
        "retrains": len(policy.retrainings),
        "looks": report.blocks,
        "rollbacks": len(policy.rollbacks),
        "under": 100 * max(0.0, never.score - policy.score),
        "baseline": report.baseline,
        "baseline_name": report.baseline_name,
        "fits": report.fits,
        "seconds": seconds,
    }


def main(arguments: list[str]) -> None:
    """Prints each stream's policies, then the JSON object."""
    stores = [each for each in arguments if ":" not in each]
    sources = {Path(each.split(":")[0]).stem: each for each in arguments if ":" in each} or STREAMS
    found = {}
    with tempfile.TemporaryDirectory() as scratch, open_cluster(ClusterConfig(workers=2)) as client:
        for name, source in sources.items():
            started = time.monotonic()
            report = replayed(name, source, Path(stores[0] if stores else scratch) / name, client)
            for each in report.policies:
                print(
                    f"{name}: {each.name} {each.score:.4f}, {len(each.retrainings)} retrainings", flush=True
                )
            for look, cause, why in report.outcome("policy").retrainings:
                print(f"  look {look}, {cause}: {why}")
            found[name] = told(report, time.monotonic() - started)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
