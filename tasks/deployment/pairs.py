"""The same rows asked of champion and challenger, in turns.

Who takes longer, how often they agree, and which answers become more frequent.
"""

from bisect import insort
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from configs.deployment import DeploymentConfig
from tasks.deployment.sequential import Differences, Measure
from tasks.production.agreement import agree

FLOOR_MS = 5.0
"""Differences below this are the network's and the machine's."""
QUANTILES = {"median latency": 0.5, "95 % latency": 0.95}
LEAST_TIMES = 20
"""Times of before, of both versions together, from which a quantile is taken."""
CLASSES = 50
"""Whose share is followed."""


@dataclass(frozen=True)
class Live:
    """Live rows that the model server asked both versions (tasks/serving/models/mirror.py), since the trial began."""

    rows: int = 0
    same: int = 0
    failed: int = 0
    """Rows without an answer by the version that was asked second."""
    dropped: int = 0
    """Rows that the server left out, because it did not keep up."""
    higher: int = 0
    champion_answers: "Counter[str]" = field(default_factory=Counter)
    challenger_answers: "Counter[str]" = field(default_factory=Counter)
    problem: str = ""

    @classmethod
    def since(cls, now: dict[str, Any], before: dict[str, Any]) -> "Live":
        """What came between two looks at what the server tells; one that was restarted counts anew."""
        if before.get("rows", 0) > now.get("rows", 0) or before.get("champion") != now.get("champion"):
            before = {}
        counts = {}
        for name in ("rows", "same", "failed", "dropped", "higher"):
            counts[name] = now.get(name, 0) - before.get(name, 0)
        theirs, ours = (
            Counter(now.get(name, {})) - Counter(before.get(name, {}))
            for name in ("champion_answers", "challenger_answers")
        )
        return cls(**counts, champion_answers=theirs, challenger_answers=ours, problem=now.get("problem", ""))


@dataclass
class Pairs:
    """What was seen so far; grows with each row."""

    spread: float = 0.0
    """Standard deviation of the challenger's answers where they are numbers; 0 for classes."""
    slowdown: float = 1.0
    """deployment.max_slowdown."""
    champion_ms: list[float] = field(default_factory=list)
    challenger_ms: list[float] = field(default_factory=list)
    same: int = 0
    champion_answers: "Counter[str]" = field(default_factory=Counter)
    """Where the two differ: what the champion said."""
    challenger_answers: "Counter[str]" = field(default_factory=Counter)
    higher: int = 0
    """Numbers of the challenger that are higher, of those that differ."""
    live: Live = field(default_factory=Live)
    """Rows of clients, beside the replayed ones that are counted here."""
    _before: list[float] = field(default_factory=list)
    """Sorted times of both, the champion's as long as they may become."""
    _longer: dict[str, Differences] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Rows that both answered."""
        return len(self.champion_ms) + self.live.rows

    @property
    def agreeing(self) -> int:
        """Of them, those that both answered alike."""
        return self.same + self.live.same

    def add(self, champion_ms: float, challenger_ms: float, champion: Any, challenger: Any) -> None:
        """One more row: the time that each took, and the first output of each."""
        self.champion_ms.append(champion_ms)
        self.challenger_ms.append(challenger_ms)
        self._add_times(self.allowed(champion_ms), challenger_ms)
        if self.agree(champion, challenger):
            self.same += 1
            return
        if self.spread:
            self.higher += bool(challenger > champion)
        else:
            self.champion_answers[str(champion)] += 1
            self.challenger_answers[str(challenger)] += 1

    def allowed(self, champion_ms: float) -> float:
        """The time that the challenger may take where the champion takes that."""
        return max(champion_ms * (1 + self.slowdown), champion_ms + FLOOR_MS)

    def agree(self, champion: Any, challenger: Any) -> bool:
        """Whether two answers are the same, as far as it matters."""
        ours, theirs = np.asarray(challenger)[None], np.asarray(champion)[None]
        return bool(agree(theirs, ours, self.spread)[0])

    def _add_times(self, allowed: float, challenger: float) -> None:
        """Who exceeded the quantile of all times before, which no later time moves: so the bets stay fair."""
        if len(self._before) >= LEAST_TIMES:
            for name, share in QUANTILES.items():
                limit = self._before[int(share * len(self._before))]
                seen = difference(challenger > limit, allowed > limit)
                self._longer[name] = self._longer.get(name, Differences()) + seen
        insort(self._before, allowed)
        insort(self._before, challenger)

    def measures(self, deployment: DeploymentConfig) -> list[Measure]:
        """What a challenger is judged by on the same rows; nothing without any."""
        if not self.count:
            return []
        found = []
        if deployment.max_slowdown is not None and self.champion_ms:
            for name, share in QUANTILES.items():
                ours, theirs = (np.quantile(times, share) for times in (self.challenger_ms, self.champion_ms))
                told = f"{ours:.2g} ms beside the champion's {theirs:.2g} ms"
                longer = (self._longer.get(name, Differences()),)
                most = f"{1 + deployment.max_slowdown:g} times as long, or {FLOOR_MS:g} ms longer"
                found.append(Measure(name, longer, 0.0, told, margin=0.1, allowance=most))
        differ = self.count - self.agreeing
        told = f"{differ / self.count:.1%} of {self.count} rows are answered otherwise than by the champion"
        if deployment.max_disagreement < 1:
            seen = Differences(equal=self.agreeing, worse=differ)
            found.append(Measure("disagreement", (seen,), deployment.max_disagreement, told, least=0.0))
        if deployment.max_answer_shift < 1:
            shifts = self.shifts()
            name, shift = max(shifts.items(), key=lambda each: each[1].mean)
            told = f"{name} {shift.mean:+.1%} of {self.count} rows"
            found.append(Measure("answers", tuple(shifts.values()), deployment.max_answer_shift, told))
        return found

    def shifts(self) -> dict[str, Differences]:
        """By answer how much more often the challenger gives it than the champion."""
        if self.spread:
            more = self.higher + self.live.higher
            lower = self.count - self.agreeing - more
            higher = Differences(better=lower, equal=self.agreeing, worse=more)
            return {"higher numbers": higher, "lower numbers": higher.reversed()}
        theirs = self.champion_answers + self.live.champion_answers
        ours = self.challenger_answers + self.live.challenger_answers
        found = {}
        for name, _ in (theirs + ours).most_common(CLASSES):
            more, less = ours[name], theirs[name]
            found[f"class {name}"] = Differences(better=less, equal=self.count - more - less, worse=more)
        return found or {"no class": Differences(equal=self.count)}

    def figures(self) -> dict[str, float]:
        """For people, and for the history of releases; nothing without a row."""
        found: dict[str, float] = {}
        if self.count:
            found |= {"compared": self.count, "agreement": self.agreeing / self.count}
        if self.live.rows or self.live.dropped:
            found |= {"live compared": self.live.rows, "live dropped": self.live.dropped}
        for who, times in (("champion", self.champion_ms), ("challenger", self.challenger_ms)):
            if times:
                found[f"{who} median ms"], found[f"{who} 95 % ms"] = np.quantile(times, (0.5, 0.95)).tolist()
        return {name: round(value, 4) for name, value in found.items()}


def difference(challenger: bool, champion: bool) -> Differences:
    """Of two that did or did not do what is bad."""
    return Differences(
        better=int(champion and not challenger),
        equal=int(champion == challenger),
        worse=int(challenger and not champion),
    )
