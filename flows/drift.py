"""One look at production: what the model was asked, against what it was trained on. Runs on an interval."""

from prefect import State, flow
from prefect.states import Completed

from configs.load import load
from flows.ending import project_name
from infra.settings import Settings
from tasks.deployment.task import report_damage, serving_champion
from tasks.monitoring.task import decide, observe
from tasks.records import DriftReport


@flow(flow_run_name=project_name, log_prints=True)
def drift(project: str, overrides: dict[str, str] | None = None) -> State[DriftReport]:
    """A verdict on the newest predictions; a confirmed drift with enough late labels emits the event that starts a retraining.

    project: name of a project, or path of its YAML
    overrides: dotted keys of the YAML with the values to use instead
    """
    config = load(project, overrides, Settings().projects)
    report_damage(config.name)
    champion = serving_champion(config.name)
    report = observe(config.name, champion, config.intake, config.result, config.monitoring)
    decide(report, config.monitoring, config.retraining)
    return Completed(message=report.summary, data=report)
