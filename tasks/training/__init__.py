"""Training: a network's weights from a data set version, on ranks over the Dask cluster or in one process.

In: a `Plan` of a DatasetVersion and the YAML's intake, result and training. Out: TrainedModel, a checkpoint
with its metrics. `train` does it in this process, distributed.py on ranks, with the curves in MLflow. Open
loop.py first: it is what every rank runs; strategy.py says how ranks act as one, messages.py what they tell.
"""

from typing import TYPE_CHECKING

from infra.imports import lazy

if TYPE_CHECKING:
    from tasks.training.local import train
    from tasks.training.plan import Plan
else:
    __getattr__ = lazy("tasks.training.local:train", "tasks.training.plan:Plan")
__all__ = ["Plan", "train"]
