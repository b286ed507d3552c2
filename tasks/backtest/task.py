"""Prefect task of a backtest: the replay of a data set version's rows."""

from configs.backtest import BacktestConfig
from configs.cluster import ClusterConfig
from configs.intake import IntakeConfig
from configs.monitoring import MonitoringConfig, RetrainingConfig
from configs.result import ResultConfig
from configs.training import TrainingConfig
from infra.cluster import open_cluster, run_bounded
from infra.files import whole_file
from infra.settings import Settings
from tasks.pipeline.stage import show, stage, table
from tasks.records import BacktestReport, DatasetVersion


@stage(cached=False)
def replay(
    dataset: DatasetVersion,
    intake: IntakeConfig,
    result: ResultConfig,
    training: TrainingConfig,
    monitoring: MonitoringConfig,
    retraining: RetrainingConfig,
    backtest: BacktestConfig,
    cluster: ClusterConfig,
) -> BacktestReport:
    """Policies over the rows of a version; models that an earlier backtest trained are taken as they are."""
    from tasks.backtest.compare import Comparison, compare
    from tasks.backtest.fits import Sections
    from tasks.backtest.history import of_dataset
    from tasks.backtest.picture import picture

    settings = Settings()
    history = of_dataset(dataset, intake, result, backtest)
    store = settings.home.make(settings.home.backtests / dataset.project / history.key[:16])
    sections = Sections(intake, result, training)
    with open_cluster(cluster) as client:
        whole = Comparison(history, sections, monitoring, backtest, store)
        blocks = whole.train_all(lambda function, jobs: run_bounded(client, function, jobs))
    if blocks < history.blocks:
        whole = Comparison(history.first(blocks), sections, monitoring, backtest, store)
    report = compare(whole, retraining, dataset, history.blocks)
    path = settings.home.make_report_folder(dataset.project, "backtests") / f"{history.key[:16]}.png"
    with whole_file(path) as temporary:
        temporary.write_bytes(picture(report))
    show(dataset.project, "backtest", f"{description(report)}\n\n![Scores]({settings.report_url(path)})")
    return report


def description(report: BacktestReport) -> str:
    """Policies, the YAML's retrainings with their reasons, and what is recommended, for people."""
    rows = [
        {
            "policy": each.name,
            report.metric: each.score,
            "retrainings": len(each.retrainings),
            "rollbacks": len(each.rollbacks),
        }
        for each in report.policies
    ]
    rows.append({"policy": "knows the future", report.metric: report.oracle})
    rows[-1] |= {"retrainings": report.oracle_retrainings, "rollbacks": 0}
    rows.append(
        {"policy": report.baseline_name, report.metric: report.baseline, "retrainings": 0, "rollbacks": 0}
    )
    policy = report.outcome("policy")
    reasons = [{"look": look, "cause": cause, "what": told} for look, cause, told in policy.retrainings]
    reasons += [{"look": look, "cause": "rollback", "what": why} for look, why in policy.rollbacks]
    parts = [report.summary, table(rows), table(sorted(reasons, key=lambda each: int(str(each["look"]))))]
    return "\n\n".join([*parts, recommendation(report)])


def recommendation(report: BacktestReport) -> str:
    """What to write into the YAML, and how it did on blocks that it was not chosen on."""
    found = report.recommended
    if not found.values:
        return f"Of the values that were tried none did better than the YAML's on the first {found.chosen_on} blocks."
    values = " ".join(f"--set {key}={value}" for key, value in found.values.items())
    return (
        f"Chosen on the first {found.chosen_on} blocks: `{values}`. On the others {report.metric} differs by"
        f" {found.difference:+.4f} ({found.low:+.4f} to {found.high:+.4f}) from the YAML's, with"
        f" {found.retrainings[0]} retrainings in all instead of {found.retrainings[1]}."
    )
