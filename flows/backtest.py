"""A replay of a project's history: what its retraining policy would have brought.

Started by a person; a backtest that was stopped goes on where it stood.
"""

from prefect import State, flow
from prefect.states import Completed

from flows.cycle import dataset_of
from flows.ending import project_name, refusable
from flows.parameters import load_requested
from tasks.backtest.task import replay
from tasks.records import BacktestReport


@flow(flow_run_name=project_name, log_prints=True)
@refusable
def backtest(
    project: str, overrides: dict[str, str] | None = None, signature: str | None = None
) -> State[BacktestReport | None]:
    """The project's rows as a version, then its policy and others over them, block by block.

    project: name of a project, or path of its YAML
    overrides: dotted keys of the YAML with the values to use instead, such as {"backtest.looks": "20"}
    signature: the gyre command's; without it the run may not name code or files
    """
    config = load_requested("backtest", project, overrides, signature)
    dataset = dataset_of(config)
    report = replay(
        dataset,
        config.intake,
        config.result,
        config.training,
        config.monitoring,
        config.retraining,
        config.backtest,
        config.cluster,
    )
    return Completed(message=report.summary, data=report)
