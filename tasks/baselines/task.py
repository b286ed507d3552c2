"""The Prefect task of the baselines."""

from configs.baselines import Baselines as BaselinesSection
from configs.data import Split
from configs.project import Intake, Result
from tasks.pipeline.stage import outcome_folder, show, stage, table
from tasks.records import Baselines, DatasetVersion


@stage(name="baselines")
def measure_baselines(
    dataset: DatasetVersion, intake: Intake, result: Result, section: BaselinesSection, split: Split, serve: bool
) -> Baselines:
    """What answers without a network are worth on the same rows: what the gate compares with, and the model card shows."""
    from tasks import intake as intakes
    from tasks import result as results
    from tasks.baselines import measurement as core

    taken, given = intakes.build(intake), results.build(result)
    found = core.measure_baselines(dataset, taken, given, section, split, serve, outcome_folder())
    rows = [
        {"baseline": each.name, given.metric: each.score, "95 % interval": f"{each.low:.4f} to {each.high:.4f}"} for each in found.entries
    ]
    served = ", ".join(graph.name for graph in found.graphs) or "none"
    body = f"On the test rows of `{dataset.tag}`:\n\n{table(rows)}\n\nMay serve in the network's place: {served}."
    show(dataset.project, "Baselines", body)
    return found
