"""A backtest as a picture: score over time by policy, with retrainings and rollbacks marked."""

import io

from tasks.records import BacktestReport

DRAWN = ("never", "policy")


def picture(report: BacktestReport) -> bytes:
    """PNG of the scores by block.

    Never, the YAML's policy, and the best of those that retrain at every look.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    shown = [report.outcome(name) for name in DRAWN] + [report.best_constant]
    for each, colour in zip(shown, ("#999999", "#1f77b4", "#2ca02c"), strict=True):
        label = f"{each.name}: {each.score:.4f}, {len(each.retrainings)} retrainings"
        axes.plot(each.scores, color=colour, label=label, linewidth=1.5 if each.name == "policy" else 1)
    policy = report.outcome("policy")
    for look, cause, _ in policy.retrainings:
        axes.axvline(look + 0.5, color="#1f77b4", alpha=0.3, linewidth=1)
        axes.text(look + 0.5, axes.get_ylim()[0], cause, rotation=90, fontsize=6, va="bottom")
    for look, _ in policy.rollbacks:
        axes.axvline(look + 0.5, color="#d62728", alpha=0.4, linewidth=1, linestyle=":")
    axes.axhline(report.baseline, color="#555555", linestyle="--", linewidth=0.8, label=report.baseline_name)
    axes.set(xlabel="block (lines: retrainings, dotted: rollbacks)", ylabel=report.metric)
    axes.legend(fontsize=7, loc="lower right")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    return image.getvalue()
