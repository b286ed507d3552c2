"""The model card: what a release is, what it learned from, how it was judged, and what it is not for."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs.project import Gate
from infra.files import whole_file
from tasks.compilation.templates import HTML, MARKDOWN
from tasks.compilation.verdict import Verdict
from tasks.intake import Intake
from tasks.records import Candidate, TrainedModel
from tasks.result import Result

WANTED = {"size": "smallest", "latency": "fastest", "score": "best"}


def write_card(facts: Mapping[str, Any], image: bytes, *folders: Path) -> None:
    """card.md, card.html (one file, nothing outside it) and candidates.png in each folder."""
    from jinja2 import Environment

    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(HTML)
    plain = Environment(autoescape=False, trim_blocks=True, lstrip_blocks=True).from_string(MARKDOWN)  # noqa: S701 - Markdown, not HTML
    files = {
        "card.md": plain.render(facts).encode(),
        "card.html": page.render(facts, image=base64.b64encode(image).decode()).encode(),
        "candidates.png": image,
    }
    for folder in folders:
        for name, content in files.items():
            with whole_file(folder / name) as temporary:
                temporary.write_bytes(content)


def facts_of(model: TrainedModel, verdict: Verdict, intake: Intake, result: Result, gate: Gate) -> dict[str, Any]:
    """What the card's templates show: sections of name and value, tables of rows."""
    dataset = model.dataset
    best = verdict.chosen or max(verdict.candidates, key=lambda candidate: candidate.score)
    return {
        "project": dataset.project,
        "accepted": not verdict.failures,
        "decision": decision(verdict, gate),
        "sections": {
            "Model": {
                "inputs": inputs(intake),
                "outputs": ", ".join(result.names),
                "classes": ", ".join(result.classes) if result.classes else "none, the answer is a number",
                "graph": f"{best.graph.name}, {best.megabytes:.3g} MB, sha256 {best.graph.digest[:16]}",
                "checkpoint": f"sha256 {model.digest[:16]}",
                "trained on": f"{model.ranks} ranks, MLflow run {model.run_id}",
            },
            "Data": {
                "version": f"{dataset.tag} (commit {dataset.commit[:12]})",
                "rows": f"{dataset.rows}: " + ", ".join(f"{split} {rows}" for split, rows in dataset.splits.items()),
            },
            f"Metrics on {verdict.rows} test rows": {name: f"{value:.4f}" for name, value in verdict.metrics[best.graph.name].items()},
        },
        "candidates": [row(candidate, verdict) for candidate in verdict.candidates],
        "comparison": comparison_text(verdict),
        "limits": limits(best, verdict, intake, result),
    }


def inputs(intake: Intake) -> str:
    """Names, dtypes and shapes of what the graph takes, `str` being text."""
    return ", ".join(f"{each.name} {each.dtype}{f' {list(each.shape)}' if each.shape else ''}" for each in intake.inputs)


def row(candidate: Candidate, verdict: Verdict) -> dict[str, str]:
    """A candidate as a line of the table."""
    passed = "chosen" if candidate == verdict.chosen else "passes"
    return {
        "graph": candidate.graph.name,
        "score": f"{candidate.score:.4f}",
        "ms a row": f"{candidate.latency_ms:.3g}",
        "rows/s (batches of 32)": f"{candidate.throughput:,.0f}",
        "MB": f"{candidate.megabytes:.3g}",
        "parity": f"{candidate.graph.parity:.2g}",
        "verdict": candidate.rejected or passed,
    }


def decision(verdict: Verdict, gate: Gate) -> str:
    """The decision in one sentence, with its reasons."""
    if verdict.failures or verdict.chosen is None:
        return f"Refused: {' / '.join(verdict.failures)}."
    passing = sum(candidate.rejected is None for candidate in verdict.candidates)
    which = f"the {WANTED[gate.prefer]} of {passing} that pass" if passing > 1 else "the only one that passes"
    return f"Accepted: {verdict.chosen.graph.name}, {which}, with score {verdict.chosen.score:.4f} (min_score {gate.min_score:g})."


def comparison_text(verdict: Verdict) -> str:
    """Challenger against champion, with the interval."""
    found = verdict.comparison
    if found is None:
        return "Not compared: nothing serves yet, nothing passed, or the champion takes another input or gives other answers."
    return (
        f"Challenger {found.challenger_score:.4f}, champion v{found.champion_version} {found.champion_score:.4f} on the same "
        f"{verdict.rows} rows; difference {found.challenger_score - found.champion_score:+.4f}, "
        f"95 % interval {found.low:+.4f} to {found.high:+.4f} (paired bootstrap)."
    )


def limits(best: Candidate, verdict: Verdict, intake: Intake, result: Result) -> list[str]:
    """What a user of the model must not expect."""
    margin = verdict.margins[best.graph.name]
    return [
        f"Judged on {verdict.rows} test rows: {result.metric} {best.score:.3f} is known to about ±{margin:.3f} (95 %).",
        f"Takes rows of these inputs only: {inputs(intake)}; any such row gets an answer, sensible or not.",
        f"Answers of {best.graph.name} differ from the trained network's by up to {best.graph.parity:.2g} on the rows checked.",
        "Times are of this machine on one thread. Not judged on slices of the data.",
    ]
