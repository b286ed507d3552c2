"""The gate: scores of the chosen graph, the champion and the baselines on the test rows in, a decision with its reasons out.

Nothing is read or run here.
"""

import math
from collections.abc import Mapping, Sequence

from configs.gate import GateConfig
from tasks.compilation.measurement import Scores
from tasks.records import Baseline, BaselineComparison, Candidate, Comparison, Judgement, SliceScore
from tasks.result.confidence_interval import interval


def judge_scores(scores: Scores, baselines: Sequence[Baseline], others: Mapping[str, Scores]) -> Judgement:
    """The chosen graph's scores of the test rows beside each baseline's of the same rows, with 95 % intervals; `others` by name."""
    low, high = interval(scores)
    against = tuple(compare_baseline(scores, others[each.name], each) for each in baselines)
    return Judgement(rows=len(scores), score=float(scores.mean()), low=low, high=high, against=against)


def rejection(candidate: Candidate, judgement: Judgement, gate: GateConfig) -> str | None:
    """Every reason against the chosen candidate, judged on the test rows.

    A score that is no number passes nothing.
    """
    reasons = []
    if is_under(judgement.score, gate):
        known = f"score {judgement.score:.4f} ({judgement.low:.4f} to {judgement.high:.4f}) on {judgement.rows:,} test rows"
        reasons.append(f"{known} is under gate.min_score {gate.min_score:g}")
    elif math.isnan(judgement.score):
        reasons.append(f"its score on {judgement.rows:,} test rows is no number")
    reasons += [baseline_refusal(each) for each in judgement.against if is_behind(each, gate)]
    reasons += [reason for reason in (slowness(candidate, gate), heaviness(candidate, gate)) if reason]
    return "; ".join(reasons) or None


def is_under(score: float, gate: GateConfig) -> bool:
    """Whether a score is less than the gate wants, or no number where it wants one."""
    return gate.min_score is not None and not score >= gate.min_score


def slowness(candidate: Candidate, gate: GateConfig) -> str:
    """Why a candidate is too slow; empty where it is not."""
    if candidate.latency_ms > gate.max_latency_ms:
        return f"latency {candidate.latency_ms:.3g} ms is over gate.max_latency_ms {gate.max_latency_ms:g}"
    if gate.max_p99_ms is not None and candidate.p99_ms > gate.max_p99_ms:
        return f"p99 latency {candidate.p99_ms:.3g} ms is over gate.max_p99_ms {gate.max_p99_ms:g}"
    return ""


def heaviness(candidate: Candidate, gate: GateConfig) -> str:
    """Why a candidate is too large; empty where it is not."""
    if candidate.megabytes <= gate.max_megabytes:
        return ""
    return f"size {candidate.megabytes:.3g} MB is over gate.max_megabytes {gate.max_megabytes:g}"


def is_behind(against: BaselineComparison, gate: GateConfig) -> bool:
    """Whether a candidate does not surely beat a trivial baseline, or is surely worse than a simple one by more than is allowed."""
    if against.baseline.trivial:
        return gate.min_gain is not None and not against.low > gate.min_gain
    return gate.max_behind is not None and not against.high >= -gate.max_behind


def baseline_refusal(against: BaselineComparison) -> str:
    """Why a baseline refuses a candidate."""
    return against.summary + (
        ", a trivial answer (gate.min_gain)" if against.baseline.trivial else " (gate.max_behind)"
    )


def compare(challenger: Scores, champion: Scores, version: int) -> Comparison:
    """Challenger against champion on the same rows, with the 95 % interval of the mean difference."""
    low, high = interval(challenger - champion)
    scores = {"champion_score": float(champion.mean()), "challenger_score": float(challenger.mean())}
    return Comparison(champion_version=version, rows=len(champion), **scores, low=low, high=high)


def compare_baseline(candidate: Scores, scores: Scores, baseline: Baseline) -> BaselineComparison:
    """A candidate against a baseline on the same rows, with the 95 % interval of the mean difference."""
    low, high = interval(candidate - scores)
    return BaselineComparison(
        baseline=baseline, difference=float((candidate - scores).mean()), low=low, high=high
    )


def failures(
    chosen: Candidate,
    judgement: Judgement,
    comparison: Comparison | None,
    slices: Sequence[SliceScore],
    gate: GateConfig,
) -> tuple[str, ...]:
    """Why the chosen candidate may not be deployed; empty where it may."""
    rejected = rejection(chosen, judgement, gate)
    reasons = [f"{chosen.graph.name}: {rejected}"] if rejected else []
    if comparison is None:
        return tuple(reasons)
    champion = f"of champion v{comparison.champion_version}"
    if comparison.low < -gate.max_drop:
        worse = f"score {comparison.challenger_score:.4f} against {comparison.champion_score:.4f} {champion}"
        reasons.append(
            f"{worse}: the difference may be as low as {comparison.low:+.4f}, gate.max_drop allows {-gate.max_drop:+g}"
        )
    return (
        *reasons,
        *(slice_refusal(each, champion, gate) for each in slices if is_worse_on_slice(each, gate)),
    )


def is_worse_on_slice(part: SliceScore, gate: GateConfig) -> bool:
    """Whether the challenger is surely worse on a slice than the gate allows."""
    return (
        gate.max_slice_drop is not None
        and part.difference_high is not None
        and part.difference_high < -gate.max_slice_drop
    )


def slice_refusal(part: SliceScore, champion: str, gate: GateConfig) -> str:
    """Why a slice refuses the challenger."""
    worse = f"slice {part.name}: score {part.score:.4f} against {part.champion:.4f} {champion} on {part.rows} rows"
    return f"{worse}: the difference is {part.difference_high:+.4f} at best, gate.max_slice_drop is {gate.max_slice_drop:g}"


def remedies(
    candidates: Sequence[Candidate],
    chosen: Candidate,
    judgement: Judgement,
    comparison: Comparison | None,
    slices: Sequence[SliceScore],
    gate: GateConfig,
) -> tuple[str, ...]:
    """What it would take to pass, each with the key of the YAML that decides.

    Empty where nothing is refused.
    """
    found = lacks(candidates, chosen, judgement, gate)
    if comparison and comparison.low < -gate.max_drop:
        narrower = (
            "more test rows, which narrow the interval, " if comparison.high > 0 else "a better challenger, "
        )
        found.append(f"{narrower}or gate.max_drop {rounded_up(-comparison.low)}")
    if falls := [
        -each.difference_high
        for each in slices
        if is_worse_on_slice(each, gate) and each.difference_high is not None
    ]:
        found.append(
            f"more training rows like those of the slice, or gate.max_slice_drop {rounded_up(max(falls))}"
        )
    return tuple(found)


def lacks(
    candidates: Sequence[Candidate], chosen: Candidate, judgement: Judgement, gate: GateConfig
) -> list[str]:
    """What the chosen candidate lacks by itself."""
    if math.isnan(judgement.score):
        return ["a training whose answers are numbers"]
    found = []
    if gate.min_score is not None and is_under(judgement.score, gate):
        missing = f"{gate.min_score - judgement.score:.4f} more score"
        told = (
            " (its interval reaches that: more test rows would tell)"
            if judgement.high >= gate.min_score
            else ""
        )
        found.append(
            f"{missing}{told}, or gate.min_score {math.floor(judgement.score * 1000) / 1000:g} where that is good enough"
        )
    names = [each.graph.name for each in candidates]
    for each in judgement.against:
        if is_behind(each, gate) and each.baseline.trivial:
            found.append("inputs that tell more of the label, more rows, or gate.min_gain null")
        elif is_behind(each, gate):
            may_serve = f"`baselines: {{serve: true}}`, by which {each.baseline.name} may serve"
            may_be_chosen = f"more validation rows, by which {each.baseline.name} may be chosen"
            instead = may_be_chosen if each.baseline.name in names else may_serve
            found.append(f"a longer training, {instead}, or gate.max_behind {rounded_up(-each.high)}")
    if chosen.latency_ms > gate.max_latency_ms:
        found.append(f"a smaller network, or gate.max_latency_ms {rounded_up(chosen.latency_ms)}")
    elif slowness(chosen, gate):
        found.append(f"a smaller network, or gate.max_p99_ms {rounded_up(chosen.p99_ms)}")
    if heaviness(chosen, gate):
        found.append(f"a smaller network, or gate.max_megabytes {rounded_up(chosen.megabytes)}")
    return found


def rounded_up(value: float) -> str:
    """To three digits, never under the value."""
    scale = 10 ** (2 - math.floor(math.log10(value)))
    return f"{math.ceil(value * scale) / scale:g}"
