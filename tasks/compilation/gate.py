"""The gate: measured candidates and a champion's scores in, a decision with its reasons out. Nothing is read or run here."""

import math
from collections.abc import Callable, Sequence

from configs.project import Gate
from tasks.compilation.measure import Scores
from tasks.interval import interval
from tasks.records import Baseline, BaselineComparison, Candidate, Comparison, SliceScore

ORDERS: dict[str, Callable[[Candidate], float]] = {
    "size": lambda candidate: candidate.megabytes,
    "latency": lambda candidate: candidate.latency_ms,
    "score": lambda candidate: -candidate.score,
}
"""What `prefer` wants least of."""


def judged(candidates: Sequence[Candidate], gate: Gate) -> tuple[Candidate, ...]:
    """The candidates, each with the reasons why the gate refuses it, or None."""
    exact = next(candidate.score for candidate in candidates if candidate.graph.name == "fp32")
    return tuple(candidate.model_copy(update={"rejected": rejection(candidate, exact, gate)}) for candidate in candidates)


def rejection(candidate: Candidate, exact: float, gate: Gate) -> str | None:
    """Every reason against a candidate, where `exact` is the fp32 graph's score. A score that is no number passes nothing."""
    reasons = []
    if gate.min_score is not None and not candidate.score >= gate.min_score:
        known = f"score {candidate.score:.4f} ({candidate.low:.4f} to {candidate.high:.4f})"
        reasons.append(f"{known} is under gate.min_score {gate.min_score:g}")
    if not exact - candidate.score <= gate.max_loss:
        reasons.append(f"score {candidate.score:.4f} lies {exact - candidate.score:.4f} under fp32's, gate.max_loss is {gate.max_loss:g}")
    reasons += [behind(each) for each in candidate.against if is_behind(each, gate)]
    if not candidate.latency_ms <= gate.max_latency_ms:
        reasons.append(f"latency {candidate.latency_ms:.3g} ms is over gate.max_latency_ms {gate.max_latency_ms:g}")
    if not candidate.megabytes <= gate.max_megabytes:
        reasons.append(f"size {candidate.megabytes:.3g} MB is over gate.max_megabytes {gate.max_megabytes:g}")
    return "; ".join(reasons) or None


def is_behind(against: BaselineComparison, gate: Gate) -> bool:
    """Whether a candidate does not surely beat a trivial baseline, or is surely worse than a simple one by more than is allowed."""
    if against.baseline.trivial:
        return gate.min_gain is not None and not against.low > gate.min_gain
    return gate.max_behind is not None and not against.high >= -gate.max_behind


def behind(against: BaselineComparison) -> str:
    """Why a baseline refuses a candidate."""
    return against.summary + (", a trivial answer (gate.min_gain)" if against.baseline.trivial else " (gate.max_behind)")


def choose(candidates: Sequence[Candidate], gate: Gate) -> Candidate | None:
    """The candidate that `prefer` likes best among those that pass; at a tie fp32 gives way. None where none passes."""
    passing = [candidate for candidate in candidates if candidate.rejected is None]
    order = ORDERS[gate.prefer]
    return min(passing, key=lambda candidate: (order(candidate), candidate.graph.name == "fp32", candidate.graph.name), default=None)


def compare(challenger: Scores, champion: Scores, version: int) -> Comparison:
    """Challenger against champion on the same rows, with the 95 % interval of the mean difference."""
    low, high = interval(challenger - champion)
    scores = {"champion_score": float(champion.mean()), "challenger_score": float(challenger.mean())}
    return Comparison(champion_version=version, rows=len(champion), **scores, low=low, high=high)


def compare_baseline(candidate: Scores, scores: Scores, baseline: Baseline) -> BaselineComparison:
    """A candidate against a baseline on the same rows, with the 95 % interval of the mean difference."""
    low, high = interval(candidate - scores)
    return BaselineComparison(baseline=baseline, difference=float((candidate - scores).mean()), low=low, high=high)


def failures(candidates: Sequence[Candidate], comparison: Comparison | None, slices: Sequence[SliceScore], gate: Gate) -> tuple[str, ...]:
    """Why nothing may be deployed; empty when the chosen candidate may."""
    if all(candidate.rejected for candidate in candidates):
        return tuple(f"{candidate.graph.name}: {candidate.rejected}" for candidate in candidates)
    if comparison is None:
        return ()
    champion, reasons = f"of champion v{comparison.champion_version}", []
    if comparison.low < -gate.max_drop:
        worse = f"score {comparison.challenger_score:.4f} against {comparison.champion_score:.4f} {champion}"
        reasons.append(f"{worse}: the difference may be as low as {comparison.low:+.4f}, gate.max_drop allows {-gate.max_drop:+g}")
    return (*reasons, *(fall(each, champion, gate) for each in slices if fallen(each, gate)))


def fallen(part: SliceScore, gate: Gate) -> bool:
    """Whether the challenger is surely worse on a slice than the gate allows."""
    return gate.max_slice_drop is not None and part.difference_high is not None and part.difference_high < -gate.max_slice_drop


def fall(part: SliceScore, champion: str, gate: Gate) -> str:
    """Why a slice refuses the challenger."""
    worse = f"slice {part.name}: score {part.score:.4f} against {part.champion:.4f} {champion} on {part.rows} rows"
    return f"{worse}: the difference is {part.difference_high:+.4f} at best, gate.max_slice_drop is {gate.max_slice_drop:g}"


def remedies(candidates: Sequence[Candidate], comparison: Comparison | None, slices: Sequence[SliceScore], gate: Gate) -> tuple[str, ...]:
    """What it would take to pass, each with the key of the YAML that decides; empty where nothing is refused."""
    if all(candidate.rejected for candidate in candidates):
        return nearest(max(candidates, key=lambda candidate: -math.inf if math.isnan(candidate.score) else candidate.score), gate)
    found = []
    if comparison and comparison.low < -gate.max_drop:
        narrower = "more test rows, which narrow the interval, " if comparison.high > 0 else "a better challenger, "
        found.append(f"{narrower}or gate.max_drop {rounded_up(-comparison.low)}")
    if falls := [-each.difference_high for each in slices if fallen(each, gate) and each.difference_high is not None]:
        found.append(f"more training rows like those of the slice, or gate.max_slice_drop {rounded_up(max(falls))}")
    return tuple(found)


def nearest(best: Candidate, gate: Gate) -> tuple[str, ...]:
    """What the best candidate lacks."""
    if math.isnan(best.score):
        return ("a training whose answers are numbers",)
    found = []
    if gate.min_score is not None and not best.score >= gate.min_score:
        lacks = f"{gate.min_score - best.score:.4f} more score"
        told = " (its interval reaches that: more test rows would tell)" if best.high >= gate.min_score else ""
        found.append(f"{lacks}{told}, or gate.min_score {math.floor(best.score * 1000) / 1000:g} where that is good enough")
    for each in best.against:
        if is_behind(each, gate) and each.baseline.trivial:
            found.append("inputs that tell more of the label, more rows, or gate.min_gain null")
        elif is_behind(each, gate):
            instead = f"`baselines: {{serve: true}}`, by which {each.baseline.name} may serve"
            found.append(f"a longer training, {instead}, or gate.max_behind {rounded_up(-each.high)}")
    if not best.latency_ms <= gate.max_latency_ms:
        found.append(f"a smaller network, or gate.max_latency_ms {rounded_up(best.latency_ms)}")
    if not best.megabytes <= gate.max_megabytes:
        found.append(f"a smaller network, or gate.max_megabytes {rounded_up(best.megabytes)}")
    return tuple(found)


def rounded_up(value: float) -> str:
    """To three digits, never under the value."""
    scale = 10 ** (2 - math.floor(math.log10(value)))
    return f"{math.ceil(value * scale) / scale:g}"
