"""How a version came to serve, or not, for people: tables, and a picture of its trial."""

import io
from typing import Any

from configs.deployment import DeploymentConfig
from tasks.deployment.canary import CanaryTrial, Step
from tasks.deployment.rollout import Rollout
from tasks.deployment.sequential import enough, weight

CHALLENGER, CHAMPION, BAD, INK = "#1f6f8b", "#c27c2c", "#b3403a", "#1c2730"
PAIR_COLUMNS = (
    "compared",
    "agreement",
    "live compared",
    "live dropped",
    "champion median ms",
    "challenger median ms",
    "champion 95 % ms",
    "challenger 95 % ms",
)
LEAST, MOST = -8.0, 8.0
"""Where the curve of the evidence is cut off: below there is none, above it is more than enough."""


def tables(rollout: Rollout, deployment: DeploymentConfig) -> list[tuple[str, list[dict[str, Any]]]]:
    """What sandbox and trial found, each table with the text above it."""
    found: list[tuple[str, list[dict[str, Any]]]] = []
    if rollout.sandbox:
        text = "Alone, in a model server of its own, before it may see traffic:"
        found.append((text, [rollout.sandbox.figures()]))
    trial = rollout.trial
    if trial is None:
        return found
    if not trial.steps:
        found.append(("There was no trial:", [{"reason": trial.problem}]))
        return found
    compared = any(step.pairs for step in trial.steps)
    beside = "beside what serves" if compared else "with no champion that the same rows could be asked"
    how = "As a shadow, whose answers nobody got," if deployment.mode == "shadow" else "On trial"
    found.append((f"{how} {beside}, step by step:", [line(step) for step in trial.steps]))
    needed = weight(enough(deployment.false_alarm))
    text = (
        "What it was judged by. The evidence is what a stake of 1 became that was bet on it; "
        f"{needed} to 1 against it in one measure ends the trial, at whichever look:"
    )
    found.append((text, [measure.line() for measure in trial.measures]))
    return found


def line(step: Step) -> dict[str, Any]:
    """A step as a line of a table.

    Of a challenger without a champion beside it the columns of pairs are empty.
    """
    counts = {"replayed": step.replayed, "live": step.live, "errors": step.errors, "seconds": step.seconds}
    pairs = {name: step.pairs.get(name, "") for name in PAIR_COLUMNS}
    return {"live share": f"{step.share:.3g}"} | counts | pairs | {"ended by": step.ended}


def picture(trial: CanaryTrial) -> bytes:
    """A PNG of three panels over the trial's seconds: share and errors, latency by step, evidence."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.4, 6.6), layout="constrained")
    top, middle, bottom = figure.subplots(3)
    seconds = [look.seconds for look in trial.looks]
    top.step(
        seconds, [100 * look.share for look in trial.looks], where="post", color=CHALLENGER, label="share"
    )
    top.plot(seconds, [100 * look.errors for look in trial.looks], color=BAD, label="errors")
    top.set(ylabel="% of requests", ylim=(-3, 103), title="What the challenger answered")
    draw_latency(middle, trial)
    strength = [min(MOST, max(LEAST, look.against)) for look in trial.looks]
    bottom.plot(
        seconds, strength, color=INK, marker="." if len(seconds) < 3 else "", label="evidence against it"
    )
    bottom.axhline(0, color=BAD, linestyle="--", linewidth=1, label="enough to roll it back")
    bottom.set(xlabel="seconds", ylabel="logarithm", title="How surely it is worse than it may be")
    for axes in (top, middle, bottom):
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize="small", loc="upper left")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=120)
    return image.getvalue()


def draw_latency(axes: Any, trial: CanaryTrial) -> None:
    """Bars of both versions' median time after each step, each with a line up to the slowest twentieth."""
    axes.set(
        ylabel="ms", title="How long the same rows took: the median, and a line up to the slowest twentieth"
    )
    if not any(step.pairs for step in trial.steps):
        axes.text(0.5, 0.5, "no champion was asked the same rows", ha="center", transform=axes.transAxes)
        axes.set_axis_off()
        return
    for who, colour, shift in (("champion", CHAMPION, -0.2), ("challenger", CHALLENGER, 0.2)):
        places = [place + shift for place in range(len(trial.steps))]
        medians = [step.pairs.get(f"{who} median ms", 0.0) for step in trial.steps]
        slow = [step.pairs.get(f"{who} 95 % ms", 0.0) for step in trial.steps]
        axes.bar(places, medians, width=0.36, color=colour, label=who)
        axes.vlines(places, medians, slow, color=INK, linewidth=1.2)
    names = [f"{step.share:.3g} of the requests" for step in trial.steps]
    axes.set_xticks(range(len(trial.steps)), names)
