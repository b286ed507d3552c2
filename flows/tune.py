"""A search for better hyperparameters on a project's rows.

Started by a person; the same search again goes on where it stood.
"""

from prefect import State, flow
from prefect.states import Completed

from flows.cycle import dataset_of
from flows.ending import project_name, refusable
from flows.parameters import load_requested
from tasks.records import SearchReport
from tasks.training.task import tune as search


@flow(flow_run_name=project_name, log_prints=True)
@refusable
def tune(
    project: str, overrides: dict[str, str] | None = None, signature: str | None = None
) -> State[SearchReport | None]:
    """The project's rows as a version, then trials on it until the budget of `search` is spent.

    project: name of a project, or path of its YAML
    overrides: dotted keys of the YAML with the values to use instead, such as {"search.trials": "50"}
    signature: the gyre command's; without it the run may not name code or files
    """
    config = load_requested("tune", project, overrides, signature)
    dataset = dataset_of(config)
    report = search(dataset, config.intake, config.result, config.training, config.search, config.cluster)
    return Completed(message=report.summary, data=report)
