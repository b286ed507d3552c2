"""What the project's `checks` make of a finding: refuse, warn or allow."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from configs.checks import ChecksConfig
from tasks.records import Finding

Action = Literal["refuse", "warn", "allow"]
ORDER: dict[Action, int] = {"refuse": 0, "warn": 1, "allow": 2}


@dataclass(frozen=True)
class JudgedFinding:
    """A finding and what it does to the run."""

    finding: Finding
    action: Action
    limit: float | None
    """The share above which the check refuses; None where it has none."""

    @property
    def reason(self) -> str:
        """Why the run stops, for a person: what was found, and both ways to go on."""
        found = self.finding
        limit = (
            f" (checks.{found.check} refuses more than {self.limit:.3g})" if self.limit is not None else ""
        )
        mend = f"{found.advice}; or, " if found.advice else ""
        return f"{found.text}{limit}. To go on: {mend}where it is meant, set `checks: {{{found.check}: allow}}` in the YAML"

    def row(self) -> dict[str, str]:
        """A line of the table that people read."""
        found = self.finding
        return {
            "action": self.action,
            "stage": found.stage,
            "check": found.check,
            "about": found.about,
            "count": f"{found.count:,} of {found.total:,}",
            "finding": found.told,
            "examples": "; ".join(found.examples),
            "advice": found.advice,
        }


def judge(findings: Iterable[Finding], checks: ChecksConfig) -> tuple[JudgedFinding, ...]:
    """Every finding with what is done about it, the refused first.

    Raises AttributeError for a check that `Checks` does not have.
    """
    judged = [_judge_one(finding, checks) for finding in findings]
    return tuple(sorted(judged, key=lambda each: ORDER[each.action]))


def _judge_one(finding: Finding, checks: ChecksConfig) -> JudgedFinding:
    tolerance = getattr(checks, finding.check)
    if isinstance(tolerance, float):
        action: Action = "refuse" if finding.share > tolerance else "warn"
        return JudgedFinding(finding, action, tolerance)
    return JudgedFinding(finding, tolerance, None)
