"""The Prefect task of optimization."""

from pathlib import Path

from configs.intake import IntakeConfig
from configs.optimization import OptimizationConfig
from configs.result import ResultConfig
from tasks.pipeline.stage import outcome_folder, show, stage, table
from tasks.records import DatasetVersion, Graph


@stage()
def optimize(
    graph: Graph,
    dataset: DatasetVersion,
    intake: IntakeConfig,
    result: ResultConfig,
    optimization: OptimizationConfig,
) -> list[Graph]:
    """The variants that the project asks for; none where `optimization.quantize` is empty."""
    from tasks.intake import build_intake
    from tasks.optimization.quantize import METHOD, quantize
    from tasks.result import build_result

    output, taken, given = outcome_folder(), build_intake(intake), build_result(result)
    made = [
        quantize(graph, dataset, taken, given, optimization.calibration_rows, output)
        for _ in optimization.quantize
    ]
    rows = [
        {"graph": each.name, "KB": Path(each.uri).stat().st_size / 1e3, "moves answers by up to": each.parity}
        for each in (graph, *made)
    ]
    how = f"Static INT8, {METHOD} calibration on {optimization.calibration_rows} training rows of `{dataset.tag}`."
    show(dataset.project, "Optimization", f"{how}\n\n{table(rows)}" if made else "No variant is asked for.")
    return made
