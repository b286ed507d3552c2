"""Findings: what a stage dropped, guessed, converted, merged or did not compare, and what the project's `checks` say to it.

Stages put what they find into their records (tasks/records/base.py: Finding), as facts. Here the facts meet
the `checks` section of the
YAML: judge.py decides, task.py shows the findings on the run's page and stops the run where one is refused.
So a changed tolerance runs no stage again.
"""

from tasks.pipeline.findings.judge import JudgedFinding, judge

__all__ = ["JudgedFinding", "judge"]
