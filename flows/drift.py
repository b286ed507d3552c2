"""One look at production: what the model was asked, against what it was trained on. Runs on an interval."""

from prefect import State, flow
from prefect.states import Completed

from flows.ending import project_name
from flows.parameters import load_requested
from tasks.deployment.task import demote, report_damage, serving_champion
from tasks.monitoring.task import decide, observe
from tasks.records import DriftReport


@flow(flow_run_name=project_name, log_prints=True)
def drift(
    project: str, overrides: dict[str, str] | None = None, signature: str | None = None
) -> State[DriftReport]:
    """A verdict on the newest predictions.

    A confirmed drift with enough late labels emits the event that starts a retraining.

    project: name of a project, or path of its YAML
    overrides: dotted keys of the YAML with the values to use instead
    signature: the gyre command's; without it the run may not name code or files
    """
    config = load_requested("drift", project, overrides, signature)
    report_damage(config.name)
    demote(config.name, config.deployment)
    champion = serving_champion(config.name)
    report = observe(config.name, champion, config.intake, config.result, config.monitoring)
    decide(report, champion, config.monitoring, config.retraining)
    return Completed(message=report.summary, data=report)
