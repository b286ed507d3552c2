"""The Prefect tasks of compilation."""

from pathlib import Path

from configs.evaluation import EvaluationConfig
from configs.gate import GateConfig
from configs.intake import IntakeConfig
from configs.labeling import LabelingConfig
from configs.result import ResultConfig
from configs.target import TargetConfig
from configs.training import TrainingConfig
from infra.settings import Settings
from tasks.pipeline.stage import StoppedError, outcome_folder, show, stage, table
from tasks.records import Baselines, Bundle, Champion, Graph, TrainedModel
from tasks.rows.versions import Versions


@stage()
def export(
    model: TrainedModel,
    intake: IntakeConfig,
    result: ResultConfig,
    training: TrainingConfig,
    name: str = "fp32",
    steps: tuple[str, ...] = (),
) -> Graph:
    """The one ONNX graph of a trained model: raw rows in, answers out."""
    from tasks.compilation import graph_export as core
    from tasks.intake import build_intake
    from tasks.result import build_result

    graph = core.export(
        model, build_intake(intake), build_result(result), training, outcome_folder(), name, steps
    )
    megabytes = Path(graph.uri).stat().st_size / 1e6
    body = f"Preprocessing, network and post-processing in one ONNX graph of {megabytes:.3g} MB, checked against the network on test rows: "
    show(
        model.dataset.project,
        "Graph" if name == "fp32" else f"Graph of {name}",
        f"{body}its answers differ by up to {graph.parity:.2g}. sha256 `{graph.digest[:16]}`",
    )
    return graph


@stage(name="compile")
def compile_bundle(
    model: TrainedModel,
    graphs: list[Graph],
    champion: Champion | None,
    intake: IntakeConfig,
    result: ResultConfig,
    labeling: LabelingConfig,
    evaluation: EvaluationConfig,
    gate: GateConfig,
    target: TargetConfig,
    baselines: Baselines,
    untried: tuple[str, ...] = (),
) -> Bundle:
    """The best graph that passes the gate, ready to be deployed.

    `untried`: what the search for smaller networks left out, for the report. Raises StoppedError where none
    passes or the champion is better.
    """
    from tasks.compilation import model_card, production_path
    from tasks.compilation.bundle import bundle
    from tasks.compilation.gate_report import judge
    from tasks.compilation.plots import pictures
    from tasks.compilation.serving_measurement import measure_serving
    from tasks.intake import build_intake
    from tasks.result import build_result

    settings, output, taken, given = Settings(), outcome_folder(), build_intake(intake), build_result(result)
    verdict = judge(graphs, champion, model.dataset, taken, given, labeling, evaluation, gate, baselines)
    known = Versions(settings.home.data_repository).findings(model.dataset.project, model.dataset.version)
    facts = model_card.facts_of(
        model, verdict, taken, given, gate, (*known, *baselines.findings, *model.findings, *verdict.findings)
    )
    page = settings.home.make_report_folder(model.dataset.project, "compilation", output.name)
    drawn = pictures(verdict, given.metric, gate)
    model_card.write_card(facts, drawn, verdict.slices, output, page)
    measured = measure_serving(verdict.chosen.graph, verdict.rows)
    told = production_path.answers(verdict, measured, untried, gate, target, given.metric)
    path_pictures = {"candidates": drawn["candidates"], "serving": production_path.picture(measured)}
    production_path.write_report(model.dataset.project, told, verdict, measured, path_pictures, output, page)
    questions = "\n\n".join(f"**{each.question}** {each.answer}" for each in told)
    show(
        model.dataset.project,
        "Path to production",
        f"{questions}\n\n![serving]({settings.report_url(page / 'serving.png')})",
        report=settings.report_url(page / "path.html"),
    )
    images = "\n\n".join(f"![{name}]({settings.report_url(page / f'{name}.png')})" for name in drawn)
    tables = [
        facts["choice"],
        table(facts["candidates"]),
        "Baselines, on the test rows:",
        table(facts["baselines"]),
        facts["comparison"],
        facts["slices_text"],
        table(facts["slices"]),
    ]
    body = "\n\n".join([f"**{facts['decision']}**", *tables, images])
    show(model.dataset.project, "Compilation", body, model_card=settings.report_url(page / "card.html"))
    if verdict.failures:
        serves = champion.whole if champion else None
        serving = f"; version {serves.version} goes on serving" if serves else ""
        raise StoppedError(
            f"the gate refuses the model{serving}", verdict.failures, "; ".join(verdict.remedies)
        )
    return bundle(
        model, verdict, taken, given, {"intake": intake, "result": result, "target": target}, output
    )
