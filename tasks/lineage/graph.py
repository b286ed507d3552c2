"""A small graph of what came from what."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Node:
    """Something that was made, found or asked."""

    kind: str
    """source, config, code, quarantine, dataset, run, bundle, model, release, episode, prediction, row or
    decision."""
    name: str
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its name in edges."""
        return f"{self.kind} {self.name}"

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in self.facts.items() if value)
        return f"{self.key}: {told}" if told else self.key


@dataclass
class Graph:
    """Nodes, and edges from cause to effect, around the one that was asked about."""

    start: str = ""
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)

    def add(self, node: Node, *, after: str = "", before: str = "") -> str:
        """Puts a node into the graph, as the effect of one key or the cause of another; returns its key."""
        self.nodes.setdefault(node.key, node)
        for edge in [(after, node.key)] * bool(after) + [(node.key, before)] * bool(before):
            if edge not in self.edges:
                self.edges.append(edge)
        return node.key

    def causes(self, key: str) -> list[str]:
        """What a node came from."""
        return [cause for cause, effect in self.edges if effect == key]

    def effects(self, key: str) -> list[str]:
        """What followed from a node."""
        return [effect for cause, effect in self.edges if cause == key]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        nodes = [
            {"key": key, "kind": node.kind, "name": node.name, "facts": node.facts}
            for key, node in self.nodes.items()
        ]
        return {
            "start": self.start,
            "nodes": nodes,
            "edges": [{"from": cause, "to": effect} for cause, effect in self.edges],
        }

    def text(self) -> str:
        """Two trees for the terminal: what it came from, and what followed from it."""
        lines = [str(self.nodes[self.start])]
        for title, following in (("came from", self.causes), ("led to", self.effects)):
            if found := following(self.start):
                lines += [title, *self._tree(found, following, "", {self.start})]
        return "\n".join(lines)

    def _tree(self, keys: list[str], following: Any, indent: str, above: set[str]) -> Iterator[str]:
        for number, key in enumerate(keys):
            last = number == len(keys) - 1
            yield f"{indent}{'└─' if last else '├─'} {self.nodes[key]}"
            if key not in above:
                yield from self._tree(
                    following(key), following, indent + ("   " if last else "│  "), above | {key}
                )
