"""The whole loop, once: from a source to a model that serves.

Started by a schedule, a drift event or a person.
"""

from prefect import State, flow
from prefect.states import Completed

from configs.project import Project
from flows.compress import variants_of
from flows.ending import project_name, refusable
from flows.parameters import load_requested
from tasks.baselines.task import measure_baselines
from tasks.compilation.task import compile_bundle
from tasks.deployment.task import deploy, registered_checkpoint, serving_champion
from tasks.ingestion.task import ingest, locate
from tasks.labeling.task import label
from tasks.monitoring.task import claim, close
from tasks.pipeline.findings.task import review
from tasks.records import DatasetVersion, Release
from tasks.training.task import train
from tasks.validation.task import validate, validation_baseline
from tasks.versioning.task import version


@flow(flow_run_name=project_name, log_prints=True)
@refusable
def cycle(
    project: str,
    overrides: dict[str, str] | None = None,
    episode: str | None = None,
    signature: str | None = None,
) -> State[Release | None]:
    """Rows to a release, every finished stage reused where its inputs and code are the same.

    project: name of a project, or path of its YAML
    overrides: dotted keys of the YAML with the values to use instead, such as {"training.epochs": "3"}
    episode: drift episode that asked for this run; it is answered once, however often it asks
    signature: the gyre command's; without it the run may not name code or files
    """
    config = load_requested("cycle", project, overrides, signature)
    if episode and not claim(config.name, episode):
        return Completed(message=f"{episode} is answered by another run", data=None)

    dataset = dataset_of(config)
    simple = measure_baselines(
        dataset,
        config.intake,
        config.result,
        config.baselines,
        config.versioning.split,
        config.simple_may_serve,
    )
    review(config.name, simple.findings, config.checks)
    start = registered_checkpoint(config.training)
    model = train(dataset, config.intake, config.result, config.training, start, config.cluster)
    review(config.name, model.findings, config.checks)
    variants = variants_of(model, config)
    review(config.name, variants.findings, config.checks)
    graphs = [*variants.graphs, *simple.graphs]
    champion = serving_champion(config.name)
    bundle = compile_bundle(
        model,
        graphs,
        champion,
        config.intake,
        config.result,
        config.labeling,
        config.evaluation,
        config.gate,
        config.target,
        simple,
        variants.untried,
    )
    review(config.name, bundle.findings, config.checks)
    release = deploy(bundle, config.intake, config.deployment)

    if episode:
        close(config.name, episode, release)
    return Completed(message=f"{bundle.summary}\n{release.summary}", data=release)


def dataset_of(config: Project) -> DatasetVersion:
    """The stages from a project's source to a version of its rows."""
    snapshot = locate(config.name, config.source, config.intake, config.result, config.versioning)
    rows = ingest(snapshot, config.source, config.intake, config.result, config.cluster)
    review(config.name, rows.findings, config.checks)
    before = validation_baseline(config.name, rows, config.validation, config.labeling, config.result)
    report = validate(config.name, rows, config.validation, before)
    review(config.name, report.findings, config.checks)
    labels = label(config.name, report, config.labeling, config.intake, config.result)
    review(config.name, labels.findings, config.checks)
    return version(
        snapshot,
        rows,
        report,
        labels,
        config.source,
        config.validation,
        config.labeling,
        config.intake,
        config.result,
        config.versioning,
    )
