"""The Prefect tasks of optimization."""

from pathlib import Path

from configs.intake import IntakeConfig
from configs.optimization import OptimizationConfig
from configs.result import ResultConfig
from configs.training import TrainingConfig
from infra.files import DigestError
from tasks.pipeline.stage import outcome_folder, show, stage, table
from tasks.records import DatasetVersion, Finding, Graph, Sketch, TrainedModel, Variants


@stage()
def optimize(
    graph: Graph,
    dataset: DatasetVersion,
    intake: IntakeConfig,
    result: ResultConfig,
    optimization: OptimizationConfig,
    max_loss: float,
) -> Variants:
    """The graph in each format of `optimization.quantize`; one that cannot be made is a finding.

    `max_loss`: of the score, that the gate allows a format.
    """
    from tasks.intake import build_intake
    from tasks.optimization.variants import variant
    from tasks.result import build_result

    output, taken, given = outcome_folder(), build_intake(intake), build_result(result)
    made: list[Graph] = []
    findings: list[Finding] = []
    for kind in optimization.quantize:
        try:
            made.append(
                variant(graph, kind, dataset, taken, given, optimization.calibration_rows, max_loss, output)
            )
        except DigestError:
            raise
        except Exception as error:
            # ONNX Runtime's quantizer raises errors of many kinds about a network that it cannot take; the
            # others go on, and the finding names this one.
            findings.append(not_made(graph, kind, error))
    rows = [
        {
            "graph": each.name,
            "KB": Path(each.uri).stat().st_size / 1e3,
            "moves answers by up to": each.parity,
            "made by": ", ".join(each.steps) or "training",
            "seconds": each.seconds,
        }
        for each in (graph, *made)
    ]
    how = f"Calibrated on {optimization.calibration_rows} training rows of `{dataset.tag}`."
    title = "Optimization" if graph.name == "fp32" else f"Optimization of {graph.name}"
    show(
        dataset.project,
        title,
        f"{how}\n\n{table(rows)}" if optimization.quantize else "No format is asked for.",
    )
    return Variants(graphs=tuple(made), findings=tuple(findings))


@stage()
def sketch(
    model: TrainedModel, graph: Graph, intake: IntakeConfig, result: ResultConfig, training: TrainingConfig
) -> list[Sketch]:
    """What students of each width would cost, by untrained ones."""
    from tasks.intake import build_intake
    from tasks.optimization.sketch import sketch_students
    from tasks.result import build_result

    found = sketch_students(model, graph, build_intake(intake), build_result(result), training)
    rows = [
        {
            "student": each.student,
            "latency": f"{each.latency_ratio:.0%}",
            "size": f"{each.size_ratio:.0%}",
            "": each.reason,
        }
        for each in found
    ]
    body = f"Of the network's own, by networks that are not trained yet.\n\n{table(rows)}"
    show(model.dataset.project, "Students", body)
    return list(found)


def not_made(graph: Graph, kind: str, error: Exception) -> Finding:
    """What is found where a graph cannot be had in a format."""
    return Finding(
        stage="optimize",
        check="unmade_formats",
        about=f"{kind} of {graph.name}",
        count=1,
        total=1,
        told=f"format cannot be made of this network ({type(error).__name__}: {str(error)[:300]})",
        advice=f"leave {kind} out of optimization.quantize",
    )
