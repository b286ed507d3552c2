"""The Prefect task of the baselines."""

from configs.baselines import BaselinesConfig
from configs.intake import IntakeConfig
from configs.result import ResultConfig
from configs.versioning import SplitConfig
from tasks.pipeline.stage import outcome_folder, show, stage, table
from tasks.records import Baselines, DatasetVersion


@stage(name="baselines")
def measure_baselines(
    dataset: DatasetVersion,
    intake: IntakeConfig,
    result: ResultConfig,
    section: BaselinesConfig,
    split: SplitConfig,
    serve: bool,
) -> Baselines:
    """What answers without a network are worth on the same rows.

    What the gate compares with, and the model card shows.
    """
    from tasks.baselines import measurement as core
    from tasks.intake import build_intake
    from tasks.result import build_result

    taken, given = build_intake(intake), build_result(result)
    found = core.measure_baselines(dataset, taken, given, section, split, serve, outcome_folder())
    rows = [
        {
            "baseline": each.name,
            given.metric: each.score,
            "95 % interval": f"{each.low:.4f} to {each.high:.4f}",
        }
        for each in found.entries
    ]
    served = ", ".join(graph.name for graph in found.graphs) or "none"
    body = f"On the test rows of `{dataset.tag}`:\n\n{table(rows)}\n\nMay serve in the network's place: {served}."
    show(dataset.project, "Baselines", body)
    return found
