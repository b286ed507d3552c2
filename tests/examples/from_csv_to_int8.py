"""From a CSV to a trained, quantized model in one process, as in a notebook.

No Prefect, no server, no cluster.

python from_csv_to_int8.py wine.csv FOLDER
"""

import sys
from pathlib import Path

import pandas as pd

from configs.intake import TabularIntakeConfig
from configs.labeling import LabelingConfig
from configs.result import ClassificationResultConfig
from configs.source import SourceConfig
from configs.training import TrainingConfig
from configs.validation import ValidationConfig
from configs.versioning import VersioningConfig
from tasks.compilation import export
from tasks.ingestion import ingest, take_snapshot
from tasks.intake import build_intake
from tasks.labeling import label
from tasks.optimization import variant
from tasks.production.prediction_log import PredictionLog
from tasks.result import build_result
from tasks.training import Plan, train
from tasks.validation import validate
from tasks.versioning import Repository, make_version

path, folder = Path(sys.argv[1]), Path(sys.argv[2])
numeric = tuple(pd.read_csv(path, nrows=1).columns.drop(["id", "label"]))

# What: the sections of a project's YAML.
source = SourceConfig(reader="csv", path=str(path))
inputs = TabularIntakeConfig(kind="tabular", numeric=numeric)
outputs = ClassificationResultConfig(kind="classification", classes=("0", "1", "2"))
training = TrainingConfig(epochs=30, batch_size=16)
intake, result = build_intake(inputs), build_result(outputs)

# How: each stage takes the record of the one before, and a folder.
log, partitions = PredictionLog(folder / "predictions"), folder / "partitions"
seen = take_snapshot("wine", source, inputs, outputs, log, folder, partitions)
rows = ingest(seen, source, inputs, outputs, None, folder / "raw", partitions).rows
report = validate(rows, ValidationConfig(), folder / "accepted", folder / "reports")
labels = label(report, LabelingConfig(), intake, result, folder / "labelled")
repository = Repository(folder / "repository", str(folder / "remote"))
dataset = make_version("wine", labels, intake.columns, VersioningConfig(), repository, folder / "datasets")
plan = Plan(dataset=dataset, intake=inputs, result=outputs, training=training, folder=folder / "training")
model = train(plan)
graph = export(model, intake, result, training, folder / "graphs")
small = variant(graph, "int8", dataset, intake, result, 256, 0.02, folder / "graphs")

print(f"{dataset.tag}: accuracy {model.metrics['accuracy']:.3f}, {small.name} in {small.uri}")
