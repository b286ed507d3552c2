"""The model card: what a release is, what it learned from, how it was judged, and what it is not for."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.gate import GateConfig
from configs.training import TrainingConfig
from infra.files import read_json, whole_file, write_json
from tasks.compilation.gate import is_worse_on_slice
from tasks.compilation.gate_report import GateReport
from tasks.compilation.model_card_templates import HTML, MARKDOWN
from tasks.intake import Intake
from tasks.records import BaselineComparison, Candidate, Finding, SliceScore, TrainedModel
from tasks.result import Result

WANTED = {
    "size": "smallest",
    "latency": "fastest",
    "throughput": "fastest in batches",
    "score": "best",
}


def write_card(
    facts: Mapping[str, Any], pictures: Mapping[str, bytes], slices: Sequence[SliceScore], *folders: Path
) -> None:
    """card.md, card.html (one file, nothing outside it), the pictures as <name>.png, and slices.json in each folder."""
    from jinja2 import Environment

    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(HTML)
    plain = Environment(autoescape=False, trim_blocks=True, lstrip_blocks=True).from_string(MARKDOWN)  # noqa: S701 - Markdown, not HTML
    files = {
        "card.md": plain.render(facts).encode(),
        "card.html": page.render(
            facts, pictures={name: base64.b64encode(image).decode() for name, image in pictures.items()}
        ).encode(),
        **{f"{name}.png": image for name, image in pictures.items()},
    }
    for folder in folders:
        write_json(folder / "slices.json", [each.model_dump() for each in slices])
        for name, content in files.items():
            with whole_file(folder / name) as temporary:
                temporary.write_bytes(content)


def facts_of(
    model: TrainedModel,
    verdict: GateReport,
    intake: Intake,
    result: Result,
    gate: GateConfig,
    findings: Sequence[Finding] = (),
) -> dict[str, Any]:
    """What the card's templates show.

    Sections of name and value, tables of rows, the findings of every stage.
    """
    dataset, best, judgement = model.dataset, verdict.chosen, verdict.judgement
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
                "rows": f"{dataset.rows}: "
                + ", ".join(f"{split} {rows}" for split, rows in dataset.splits.items()),
            },
            f"Metrics on {judgement.rows} test rows": {
                name: f"{value:.4f}" for name, value in verdict.metrics.items()
            },
        },
        "candidates": [candidate_row(candidate, verdict) for candidate in verdict.candidates],
        "choice": choice_text(verdict, gate),
        "settings": settings_of(model),
        "answers": verdict.examples.answers if verdict.examples else (),
        "classes": verdict.examples.classes if verdict.examples else (),
        "baselines": [baseline_row(each) for each in judgement.against],
        "comparison": comparison_text(verdict),
        "slices": [slice_row(part, verdict, gate) for part in verdict.slices],
        "slices_text": slices_text(verdict, result.metric, gate),
        "findings": [f"{each.stage}, {each.check}: {each.text}" for each in findings],
        "limits": limits(verdict, intake, result),
    }


def settings_of(model: TrainedModel) -> dict[str, str]:
    """How the network was trained, as its checkpoint says: what differs from the defaults."""
    path = Path(model.uri) / "checkpoint.json"
    if not path.is_file():
        return {}
    known = read_json(path).get("training", {})
    usual = TrainingConfig().model_dump(mode="json")
    return {name: str(value) for name, value in known.items() if value != usual.get(name)}


def inputs(intake: Intake) -> str:
    """Names, dtypes and shapes of what the graph takes, `str` being text."""
    return ", ".join(
        f"{each.name} {each.dtype}{f' {list(each.shape)}' if each.shape else ''}" for each in intake.inputs
    )


def candidate_row(candidate: Candidate, verdict: GateReport) -> dict[str, str]:
    """A candidate as a line of the table."""
    standing = candidate.rejected or "passes"
    return {
        "graph": candidate.graph.name,
        f"score on {candidate.measured_on}": f"{candidate.score:.4f} ({candidate.low:.4f} to {candidate.high:.4f})",
        "ms a row": f"{candidate.latency_ms:.3g}",
        "rows/s (batches of 32)": f"{candidate.throughput:,.0f}",
        "p99 ms": f"{candidate.p99_ms:.3g}",
        "MB": f"{candidate.megabytes:.3g}",
        "parity": f"{candidate.graph.parity:.2g}",
        "made by": ", then ".join(candidate.graph.steps) or "training",
        "seconds": f"{candidate.graph.seconds:.0f}",
        "verdict": f"chosen: {standing}" if candidate == verdict.chosen else standing,
    }


def baseline_row(against: BaselineComparison) -> dict[str, str]:
    """A baseline as a line of the table, beside the chosen candidate; both on the test rows."""
    baseline = against.baseline
    return {
        "baseline": f"{baseline.name} (trivial)" if baseline.trivial else baseline.name,
        "score": f"{baseline.score:.4f} ({baseline.low:.4f} to {baseline.high:.4f})",
        "the model is": f"{against.verdict} it",
        "by": f"{against.difference:+.4f} ({against.low:+.4f} to {against.high:+.4f})",
    }


def decision(verdict: GateReport, gate: GateConfig) -> str:
    """The decision in one sentence, with its reasons."""
    if verdict.failures:
        return f"Refused: {' / '.join(verdict.failures)}. It would take: {'; '.join(verdict.remedies)}."
    found = verdict.judgement
    limit = "" if gate.min_score is None else f" (min_score {gate.min_score:g})"
    score = (
        f"score {found.score:.4f} ({found.low:.4f} to {found.high:.4f}) on {found.rows:,} test rows{limit}"
    )
    return f"Accepted: {verdict.chosen.graph.name}, with {score}."


def choice_text(verdict: GateReport, gate: GateConfig) -> str:
    """By what and on which rows the graph was chosen."""
    count, chosen = len(verdict.candidates), verdict.chosen
    if count == 1:
        return "There is one candidate."
    passing = [candidate for candidate in verdict.candidates if candidate.rejected is None]
    fastest = min(passing, key=lambda candidate: candidate.latency_ms, default=chosen)
    if not passing:
        which = f"none of {count} keeps every rule of the gate, and {chosen.graph.name} comes nearest"
    elif len(passing) == 1:
        which = f"{chosen.graph.name} is the only one of {count} that passes"
    elif gate.prefer == "latency" and chosen != fastest:
        which = f"{chosen.graph.name} is as fast as {fastest.graph.name}, as far as rounds of measuring tell them apart, and smaller or simpler"
    else:
        which = f"{chosen.graph.name} is the {WANTED[gate.prefer]} of {len(passing)} that pass"
    asked = (
        "The test rows were asked about no other"
        if chosen.split == "validation"
        else "There are no others to choose by"
    )
    return f"By means on {chosen.measured_on} {which}. {asked}."


def comparison_text(verdict: GateReport) -> str:
    """Challenger against champion, with the interval."""
    found = verdict.comparison
    if found is None:
        reasons = "; ".join(each.text for each in verdict.findings)
        return f"Not compared: {reasons or 'nothing serves yet, or nothing passed'}."
    return (
        f"Challenger {found.challenger_score:.4f}, champion v{found.champion_version} {found.champion_score:.4f} on the same "
        f"{found.rows} rows; difference {found.challenger_score - found.champion_score:+.4f}, "
        f"95 % interval {found.low:+.4f} to {found.high:+.4f} (paired bootstrap)."
    )


def slice_row(part: SliceScore, verdict: GateReport, gate: GateConfig) -> dict[str, str]:
    """A slice as a line of the table; a difference without an interval is one that must not be judged."""
    cells = {
        "slice": part.name if part.declared else f"{part.name} (found)",
        "rows": str(part.rows),
        "score": f"{part.score:.3f} ({part.low:.3f} to {part.high:.3f})",
        "to the whole": f"{part.gap:+.3f}",
    }
    if verdict.comparison and part.difference is not None:
        sure = (
            f" ({part.difference_low:+.3f} to {part.difference_high:+.3f})"
            if part.difference_low is not None
            else ""
        )
        cells[f"to champion v{verdict.comparison.champion_version}"] = f"{part.difference:+.3f}{sure}"
        cells["verdict"] = "refused" if is_worse_on_slice(part, gate) else "passes" if sure else "not judged"
    return cells


def slices_text(verdict: GateReport, metric: str, gate: GateConfig) -> str:
    """How to read the table of slices."""
    if not verdict.slices:
        return "None is declared, and none is worse than chance could make it."
    text = f"The compiled graph's {metric} as a mean over the rows of each slice, with its 95 % bootstrap interval; found slices come last."
    if not verdict.comparison:
        return text
    limit = (
        ""
        if gate.max_slice_drop is None
        else f"; one wholly under {0 - gate.max_slice_drop:g} refuses the challenger"
    )
    return f"{text} Intervals of differences hold together with 95 % confidence (Bonferroni){limit}."


def limits(verdict: GateReport, intake: Intake, result: Result) -> list[str]:
    """What a user of the model must not expect."""
    chosen, found = verdict.chosen.graph, verdict.judgement
    return [
        f"Judged on {found.rows} test rows: {result.metric} {found.score:.3f} lies from {found.low:.3f} to {found.high:.3f} (95 %).",
        f"Takes rows of these inputs only: {inputs(intake)}; any such row gets an answer, sensible or not.",
        f"Answers of {chosen.name} differ from those of what it was made of by up to {chosen.parity:.2g} on the rows checked.",
        "Times are of this machine on one thread.",
        weakness(verdict),
    ]


def weakness(verdict: GateReport) -> str:
    """The slice on which most is lost."""
    worst = min(verdict.slices, key=lambda part: part.rows * part.gap, default=None)
    if worst is None or worst.gap >= 0:
        return "No slice of the data is known to be worse than the whole."
    return f"Weaker on the {worst.rows} rows of {worst.name}: score {worst.score:.3f} instead of {verdict.judgement.score:.3f}."
