"""The candidates and the slices at a glance."""

import io
from typing import Any

from configs.project import Gate
from tasks.compilation.verdict import Verdict

SHOWN = 25
"""Slices in a picture."""
DECLARED, FOUND, INK = "#1f6f8b", "#c27c2c", "#1c2730"


def pictures(verdict: Verdict, metric: str, gate: Gate) -> dict[str, bytes]:
    """PNGs by name: `candidates`, `slices` where there are any, `samples` and `errors` of the answers."""
    drawn = {"candidates": candidates(verdict, metric, gate)}
    if verdict.slices:
        drawn["slices"] = slices(verdict, metric)
    if verdict.examples:
        drawn |= {"samples": verdict.examples.samples, "errors": verdict.examples.errors}
    return drawn


def candidates(verdict: Verdict, metric: str, gate: Gate) -> bytes:
    """A PNG of score against latency: a dot a candidate (hollow where refused), the least score, the champion's score."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    largest = max(candidate.megabytes for candidate in verdict.candidates)
    for candidate in verdict.candidates:
        colour = "#b3403a" if candidate.rejected else "#1f6f8b"
        axes.scatter(
            candidate.latency_ms,
            candidate.score,
            s=80 + 420 * candidate.megabytes / largest,
            facecolors="none" if candidate.rejected else colour,
            edgecolors=colour,
            alpha=0.85,
        )
        chosen = " · chosen" if candidate == verdict.chosen else ""
        axes.annotate(
            f"{candidate.graph.name}, {candidate.megabytes:.2f} MB{chosen}",
            (candidate.latency_ms, candidate.score),
            xytext=(0, 16),
            textcoords="offset points",
            ha="center",
        )
    if gate.min_score is not None:
        axes.axhline(gate.min_score, color="#b3403a", linestyle="--", linewidth=1, label=f"min_score {gate.min_score:g}")
    for each in verdict.best.against:
        if each.baseline.trivial:  # so far below that all candidates would look alike
            continue
        axes.axhline(each.baseline.score, color="#c9a227", linestyle=":", linewidth=1, label=f"baseline {each.baseline.name}")
    if verdict.comparison:
        score = verdict.comparison.champion_score
        axes.axhline(score, color="#777777", linestyle=":", linewidth=1.5, label=f"champion v{verdict.comparison.champion_version}")
    axes.set(xlabel="median latency of one row [ms]", ylabel=f"{metric} on {verdict.rows} test rows")
    axes.margins(x=0.4, y=0.35)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()


def slices(verdict: Verdict, metric: str) -> bytes:
    """A PNG: a bar a slice from the whole's score to its own, with its interval, the greatest loss on top; and the champion's scores."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    shown = sorted(verdict.slices, key=lambda part: part.rows * part.gap)[:SHOWN]
    whole, places = verdict.best.score, range(len(shown))
    figure = Figure(figsize=(9, 1.6 + 0.32 * len(shown)), layout="constrained")
    axes = figure.subplots()
    colours = [FOUND, DECLARED]
    axes.barh(places, [part.gap for part in shown], left=whole, color=[colours[part.declared] for part in shown], height=0.6)
    axes.hlines(places, [part.low for part in shown], [part.high for part in shown], color=INK, linewidth=1.2)
    legend: list[Any] = [axes.axvline(whole, color=INK, linewidth=1, label=f"all {verdict.rows} rows: {whole:.3f}")]
    legend += [Patch(color=DECLARED, label="declared"), Patch(color=FOUND, label="found")]
    if theirs := [part.champion for part in shown if part.champion is not None]:
        legend += axes.plot(theirs, places, "D", mfc="none", mec="#b3403a", ms=4, label="champion")
    axes.set_yticks(places, [f"{part.name[:60]}  ({part.rows})" for part in shown], parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel=metric, title="slices by loss: rows x distance from the whole")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.legend(handles=legend, frameon=False, fontsize="small", loc="outside lower center", ncols=len(legend))
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()
