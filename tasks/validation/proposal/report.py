"""What is proposed, with the evidence for it, and what was considered and is not proposed.

As YAML that says both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from configs.validation import ExpectationConfig

DECLINED = 40
"""Rules not proposed that are listed; of the others the number is said."""
WIDTH = 150


@dataclass(frozen=True)
class Proposed:
    """A rule, and why it is one."""

    expectation: ExpectationConfig
    evidence: str


@dataclass(frozen=True)
class Declined:
    """A rule that was considered and is not proposed."""

    about: str
    """The column or columns."""
    why: str


@dataclass(frozen=True)
class Proposal:
    """Everything that rows have to say about the rules for rows like them."""

    rows: int
    proposed: tuple[Proposed, ...]
    declined: tuple[Declined, ...] = ()
    warnings: tuple[str, ...] = ()
    things: str = "rows"
    """What the rows are, for people."""

    @property
    def expectations(self) -> tuple[ExpectationConfig, ...]:
        """The rules, as a project's YAML has them."""
        return tuple(each.expectation for each in self.proposed)


def to_yaml(proposal: Proposal) -> str:
    """The `validation:` section of a project's YAML: a comment of its evidence above each rule, and what is not proposed below."""
    return "\n".join(lines(proposal)) + "\n"


def lines(proposal: Proposal) -> Iterator[str]:
    """The lines of the YAML."""
    kinds = "keys" if proposal.things == "rows" else "kinds"
    tried = f"tried on {proposal.things} and on whole {kinds} that were held out"
    yield f"# Proposed from {proposal.rows} {proposal.things}; {tried}. Read, change, keep what is right."
    yield from (comment(f"WARNING: {warning}") for warning in proposal.warnings)
    yield "validation:"
    yield "  expectations:"
    for each in proposal.proposed:
        yield comment(each.evidence, "  ")
        yield from (f"  {line}" for line in dump([each.expectation.model_dump()]))
    if proposal.declined:
        yield f"# Considered and not proposed: {len(proposal.declined)}"
        yield from (comment(f"  {each.about}: {each.why}") for each in proposal.declined[:DECLINED])
        if more := len(proposal.declined) - DECLINED:
            yield from [f"#   and {more} more"] if more > 0 else []


def comment(told: str, indent: str = "") -> str:
    """A comment of one line; what a value holds must not end it."""
    plain = "".join(sign if sign.isprintable() else " " for sign in told)
    return f"{indent}# {plain if len(plain) <= 2 * WIDTH else plain[: 2 * WIDTH] + ' ...'}"


def dump(value: Sequence[Any]) -> list[str]:
    """A value in YAML's lines."""
    written: str = yaml.dump(value, Dumper=Readable, sort_keys=False, allow_unicode=True, width=WIDTH - 10)
    return written.splitlines()


class Readable(yaml.SafeDumper):
    """Lists and mappings of plain values on one line."""

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        """In brackets where it holds plain values."""
        return super().represent_sequence(
            tag, sequence, not any(isinstance(value, (dict, list)) for value in sequence)
        )

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        """In braces where it is long, such as what a column is known to be."""
        return super().represent_mapping(tag, mapping, len(mapping) > 8)
