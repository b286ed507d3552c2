"""The candidates at a glance: score against latency, the dot as large as the file."""

import io

from configs.project import Gate
from tasks.compilation.verdict import Verdict


def picture(verdict: Verdict, metric: str, gate: Gate) -> bytes:
    """A PNG: a labelled dot a candidate (hollow where refused), the least score, the champion's score."""
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
    axes.axhline(gate.min_score, color="#b3403a", linestyle="--", linewidth=1, label=f"min_score {gate.min_score:g}")
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
