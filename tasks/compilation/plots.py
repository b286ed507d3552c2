"""The candidates and the slices at a glance."""

import io
from typing import Any

from configs.gate import GateConfig
from tasks.compilation.gate_report import GateReport

SHOWN = 25
"""Slices in a picture."""
DECLARED, FOUND, INK = "#1f6f8b", "#c27c2c", "#1c2730"


def pictures(verdict: GateReport, metric: str, gate: GateConfig) -> dict[str, bytes]:
    """PNGs by name: `candidates`, `slices` where there are any, `samples` and `errors` of the answers."""
    drawn = {"candidates": candidates(verdict, metric, gate)}
    if verdict.slices:
        drawn["slices"] = slices(verdict, metric)
    if verdict.examples:
        drawn |= {"samples": verdict.examples.samples, "errors": verdict.examples.errors}
    return drawn


def candidates(verdict: GateReport, metric: str, gate: GateConfig) -> bytes:
    """A PNG of score against latency.

    A numbered dot a candidate (hollow where a rule is broken), and the chosen one's score on the test rows.
    """
    from matplotlib.figure import Figure

    tall = max(3.8, 1.2 + 0.2 * len(verdict.candidates))
    figure = Figure(figsize=(9.4, tall), layout="constrained")
    axes = figure.subplots()
    largest = max(candidate.megabytes for candidate in verdict.candidates)
    names = []
    for number, candidate in enumerate(verdict.candidates, start=1):
        colour = "#b3403a" if candidate.rejected else "#1f6f8b"
        axes.scatter(
            candidate.latency_ms,
            candidate.score,
            s=80 + 420 * candidate.megabytes / largest,
            facecolors="none" if candidate.rejected else colour,
            edgecolors=colour,
            alpha=0.85,
        )
        mark = " · chosen" if candidate == verdict.chosen else ""
        axes.annotate(
            str(number),
            (candidate.latency_ms, candidate.score),
            xytext=(0, 12),
            textcoords="offset points",
            ha="center",
            fontsize="small",
        )
        names.append(f"{number}  {candidate.graph.name}, {candidate.megabytes:.2g} MB{mark}")
    if gate.min_score is not None:
        axes.axhline(
            gate.min_score,
            color="#b3403a",
            linestyle="--",
            linewidth=1,
            label=f"min_score {gate.min_score:g}",
        )
    chosen, judgement = verdict.chosen, verdict.judgement
    trivial = [each.baseline.name for each in judgement.against if each.baseline.trivial]
    for name, gain in chosen.gains.items():
        if name in trivial:  # so far below that all candidates would look alike
            continue
        axes.axhline(
            chosen.score - gain, color="#c9a227", linestyle=":", linewidth=1, label=f"baseline {name}"
        )
    tested = f"{chosen.graph.name} on {judgement.rows} test rows"
    ends = [[judgement.score - judgement.low], [judgement.high - judgement.score]]
    axes.errorbar(
        chosen.latency_ms,
        judgement.score,
        yerr=ends,
        fmt="D",
        color="#1c2730",
        markersize=4,
        linewidth=1,
        label=tested,
    )
    if verdict.comparison:
        champion = f"champion v{verdict.comparison.champion_version} on {verdict.comparison.rows} test rows"
        axes.axhline(
            verdict.comparison.champion_score, color="#777777", linestyle=":", linewidth=1.5, label=champion
        )
    axes.set(xlabel="median latency of one row [ms]", ylabel=f"{metric} on {chosen.measured_on}")
    axes.margins(x=0.15, y=0.35)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    axes.text(
        1.02, 1, "\n".join(names), transform=axes.transAxes, va="top", fontsize="small", parse_math=False
    )
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()


def slices(verdict: GateReport, metric: str) -> bytes:
    """A PNG: a bar a slice from the whole's score to its own, with its interval, the greatest loss on top.

    And the champion's scores.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = sorted(verdict.slices, key=lambda part: part.rows * part.gap)[:SHOWN]
    whole, places = verdict.judgement.score, range(len(shown))
    figure = Figure(figsize=(9, 1.6 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    colours = [FOUND, DECLARED]
    axes.barh(
        places,
        [part.gap for part in shown],
        left=whole,
        color=[colours[part.declared] for part in shown],
        height=0.6,
    )
    axes.hlines(places, [part.low for part in shown], [part.high for part in shown], color=INK, linewidth=1.2)
    legend: list[Any] = [
        axes.axvline(
            whole, color=INK, linewidth=1, label=f"all {verdict.judgement.rows} test rows: {whole:.3f}"
        )
    ]
    legend += [Patch(color=DECLARED, label="declared"), Patch(color=FOUND, label="found")]
    if theirs := [part.champion for part in shown if part.champion is not None]:
        legend += axes.plot(theirs, places, "D", mfc="none", mec="#b3403a", ms=4, label="champion")
    axes.set_yticks(places, [f"{part.name[:60]}  ({part.rows})" for part in shown], parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel=metric, title="slices by loss: rows x distance from the whole")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(
        handles=legend, frameon=False, fontsize="small", loc="outside lower center", ncols=len(legend)
    )
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()
