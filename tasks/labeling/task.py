"""The labeling stage's Prefect task."""

from configs.intake import IntakeConfig
from configs.labeling import LabelingConfig
from configs.result import ResultConfig
from infra.settings import Settings
from tasks.pipeline.stage import StoppedError, outcome_folder, show, stage, table
from tasks.records import LabelReport, ValidationReport

SHOWN = 12
TAKES = "other labels in the source, or other limits: `labeling.min_agreement`, `result` in the YAML"


@stage()
def label(
    project: str,
    report: ValidationReport,
    labeling: LabelingConfig,
    intake: IntakeConfig,
    result: ResultConfig,
) -> LabelReport:
    """One label a row.

    Raises StoppedError where the annotators disagree too much, or a label is not one of the classes.
    """
    from tasks.intake import build_intake
    from tasks.labeling import quality_control as core
    from tasks.labeling.plot import write_picture
    from tasks.result import build_result
    from tasks.rows.parts import read_file

    settings, output, taken = Settings(), outcome_folder(), build_intake(intake)
    found = core.label(report, labeling, taken, build_result(result), output)
    body = summary(found)
    if found.suspects:
        doubtful = read_file(found.suspects).head(SHOWN)
        picture = settings.home.make_report_folder(project, "labels") / f"{output.name}.png"
        write_picture(found, doubtful, taken, picture)
        rows = [{str(name): value for name, value in row.items()} for row in doubtful.to_dict("records")]
        body += f"\n\n**Suspected label errors**, worst first:\n\n{table(rows)}"
        body += f"\n\n![the most doubtful rows, label and suggestion]({settings.report_url(picture)})"
    show(project, "labels", body)
    if found.failures:
        raise StoppedError("label QC refuses the labels", found.failures, TAKES)
    return found


def summary(found: LabelReport) -> str:
    """Agreement and annotators, for people."""
    if not found.annotators:
        return f"{found.rows} rows with the source's own labels; {found.suspected} suspected errors."
    rows = [
        {"annotator": each.name, "answers": each.answers, "agrees with the consensus": each.agreement}
        for each in found.annotators
    ]
    head = f"{found.rows} rows, agreement {found.agreement:.1%}; {found.relabelled} labels differ from the majority vote (Dawid-Skene)."
    return f"{head}\n\n{table(rows)}"
