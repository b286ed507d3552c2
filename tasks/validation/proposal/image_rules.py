"""Rules about how images look, learned from some of them.

None is blank, far darker or brighter than all others, or blurred.

What other kinds of pictures will look like is told by kinds that were held out, so a rule reaches far beyond
what is ordinary: a smooth subject is no blurred one. `ink` and the centres say what is drawn, not how well.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from tasks.validation.proposal.column import EXAMPLES, expectation
from tasks.validation.proposal.holdout import DEALS, SURE, Holdout, deal_keys, upper, verdict
from tasks.validation.proposal.report import Declined, Proposal, Proposed
from tasks.validation.proposal.sample import Mask, Sample

FEWEST = 20
"""Images from which something can be learned."""
ORDINARY = 0.05
"""Share of the images at either end that may be errors: what is ordinary is told by the others."""
REACHES = (3, 4, 6, 8)
"""How many times as far from the middle as ordinary images a good one may be: the first that holds on images
held out."""
WIDE = REACHES[1:]
"""Where a rule sets images aside, it has to be farther from good ones than where it warns."""
WHITE = 255

Values = npt.NDArray[np.float64]
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """How one descriptor is bounded."""

    column: str
    breaks: str
    """What an image is that breaks the rule."""
    severity: str
    by_ratio: bool
    """Half and double are alike far: only too little of it is an error."""

    @property
    def reaches(self) -> tuple[int, ...]:
        """Those of REACHES that are tried."""
        return WIDE if self.severity == "quarantine" else REACHES


LOOKS = (
    Look("contrast", "blank", "quarantine", by_ratio=True),
    Look("brightness", "far darker or brighter than others", "quarantine", by_ratio=False),
    # What is smooth by itself looks like what is blurred, so a person looks at it first.
    Look("sharpness", "blurred, or nothing but smooth", "warn", by_ratio=True),
)


def image_rules(images: pd.DataFrame) -> Proposal:
    """Rules that nearly all good images like these meet.

    Raises ValueError where there are too few.

    images: a line each, with `file`, `label` (None where there is none) and the descriptors of LOOKS, as the
    intake describes them
    """
    if len(images) < FEWEST:
        raise ValueError(f"{len(images)} images: too few to propose rules from; give at least {FEWEST}")
    tried = [Holdout("rows", (np.arange(len(images)) % 2).astype(np.int8))]
    labels = images["label"].astype("category")
    if len(labels.cat.categories) > 1:
        codes = labels.cat.codes.to_numpy().astype(np.int64)
        sample = Sample(len(images), {"label": codes}, {"label": list(map(str, labels.cat.categories))})
        tried += [deal_keys(sample, "label", deal) for deal in range(DEALS)]
    found = [rule for look in LOOKS for rule in rules_about(look, images, tried)]
    proposed = tuple(each for each in found if isinstance(each, Proposed))
    declined = tuple(each for each in found if isinstance(each, Declined))
    return Proposal(len(images), proposed, declined, things="images")


def rules_about(look: Look, images: pd.DataFrame, tried: list[Holdout]) -> Iterator[Proposed | Declined]:
    """The rule about one descriptor."""
    given = images[look.column].to_numpy(np.float64)
    with np.errstate(divide="ignore"):
        # An image without any contrast is infinitely far from all others.
        values = np.log(given) if look.by_ratio else given
    good = within(values, bounds(values, REACHES[-1]))
    if (~good).mean() > ORDINARY:
        told = f"{(~good).sum()} of {len(good)} images are {look.breaks}, too many for errors"
        yield Declined(look.column, f"a bound: {told}")
        return
    for reach in look.reaches:

        def flagged(learned: Mask, held_out: Mask, reach: float = reach) -> int:
            others = values[held_out & good]
            return int((~within(others, bounds(values[learned], reach))).sum())

        found = verdict(tried, flagged)
        if found.holds:
            break
    else:
        yield Declined(
            look.column, f"a bound does not hold: {found.flagged} of {found.rows} images held out are flagged"
        )
        return
    limits = limits_of(look, bounds(values, reach))
    if not limits:
        yield Declined(look.column, "a bound: these images have it from one end to the other")
        return
    most = upper(found.flagged, len(values))
    kinds = " and by ".join(dict.fromkeys("images" if each.by == "rows" else each.by for each in tried))
    tested = f"{found.rows} images, held out by {kinds}: {found.flagged} flagged; at most {most:.1%} (95 %)"
    severity = look.severity if most <= SURE else "warn"
    rule = expectation("values_to_be_between", look.column, severity, **limits)
    yield Proposed(rule, f"none is {look.breaks}: {tested}{broken(limits, look, images)}")


def bounds(values: Values, reach: float) -> Bounds:
    """How far from the middle of some values good ones may be.

    Infinite where nearly half are one and the same.
    """
    low, middle, high = np.quantile(values, [ORDINARY, 0.5, 1 - ORDINARY], method="nearest")
    least = middle - reach * (middle - low) if low < middle else -np.inf
    most = middle + reach * (high - middle) if high > middle else np.inf
    return float(least), float(most)


def within(values: Values, ends: Bounds) -> Mask:
    """Which values [rows] lie within."""
    inside: Mask = (values >= ends[0]) & (values <= ends[1])
    return inside


def limits_of(look: Look, ends: Bounds) -> dict[str, float | int]:
    """The arguments of the rule; empty where it would forbid nothing."""
    least, most = ends
    if look.by_ratio:
        return {"min_value": float(f"{math.exp(least):.1e}")} if math.isfinite(least) else {}
    limits: dict[str, float | int] = {}
    if least > 0:
        limits["min_value"] = math.floor(least)
    if most < WHITE:
        limits["max_value"] = math.ceil(most)
    return limits


def broken(limits: dict[str, float | int], look: Look, images: pd.DataFrame) -> str:
    """Which of the images break the rule, for people."""
    values = images[look.column]
    beyond = (values < limits.get("min_value", -math.inf)) | (values > limits.get("max_value", math.inf))
    if not beyond.any():
        return ""
    some = images[beyond].head(EXAMPLES)
    such = ", ".join(
        f"{name} ({value:.3g})" for name, value in zip(some["file"], some[look.column], strict=True)
    )
    return f"; {beyond.sum()} of these break it, such as {such}"
