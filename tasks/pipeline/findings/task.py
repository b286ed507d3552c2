"""Shows a stage's findings on the run's page, and stops the run where one of them is refused.

Called by flows, between stages.
"""

from configs.checks import ChecksConfig
from tasks.pipeline.findings.judge import judge
from tasks.pipeline.stage import StoppedError, show_table
from tasks.records import Finding


def review(project: str, findings: tuple[Finding, ...], checks: ChecksConfig) -> None:
    """Shows the findings on the run's page.

    Raises StoppedError naming each one that the project's `checks` refuse.
    """
    judged = judge(findings, checks)
    if judged:
        show_table(project, f"findings {judged[0].finding.stage}", [each.row() for each in judged])
    if refused := [each.reason for each in judged if each.action == "refuse"]:
        raise StoppedError(f"`checks` refuse what {judged[0].finding.stage} found", refused)
