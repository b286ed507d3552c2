"""What one process of a model server counts, and how the counts of several become one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from tasks.serving.metrics import ModelCounts, Totals
from tasks.serving.models.mirror import Comparison
from tasks.serving.models.statistics import model_key


@dataclass
class Counts:
    """Of a process, and of those that held its place before: what was counted stays counted."""

    totals: Totals = field(default_factory=Totals)
    models: dict[str, ModelCounts] = field(default_factory=dict)
    """By `model_key`."""
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    """By the challenger's `model_key`."""

    def of(self, project: str, version: int) -> ModelCounts:
        """Of a version; nothing where nobody asked it yet."""
        return self.models.get(model_key(project, version), ModelCounts())


@dataclass
class Standing:
    """What is so in a process now."""

    pid: int
    roles: dict[str, dict[str, int]] = field(default_factory=dict)
    """Version by role, by project."""
    refused: dict[str, int] = field(default_factory=dict)
    """Versions that cannot be loaded, by project."""
    degraded: dict[str, bool] = field(default_factory=dict)
    """Whether a project does not serve as it was released."""
    in_memory: int = 0
    """Graphs."""
    fell_back: dict[str, bool] = field(default_factory=dict)
    """Whether the CPU answers in place of a version's target, by `model_key`."""
    waiting_rows: dict[str, int] = field(default_factory=dict)
    """For a graph, by `model_key`."""
    lag_s: dict[str, float] = field(default_factory=dict)
    """Age of what waits longest for the disk, by kind."""
    waiting_bytes: dict[str, int] = field(default_factory=dict)
    """For the disk, by kind."""


@dataclass
class Post:
    """What a process tells the others."""

    standing: Standing
    counts: Counts


def merge(into: Any, other: Any) -> None:
    """Adds the counts of a dataclass to those of another one of its kind, in place.

    Numbers are added, also those in lists and dictionaries; a field whose metadata has `merge` says itself
    what becomes of two values. What is no number stays as it is, or is taken where there was nothing.
    """
    for each in fields(into):
        mine, found = getattr(into, each.name), getattr(other, each.name)
        chosen = each.metadata.get("merge")
        setattr(into, each.name, chosen(mine, found) if chosen else merged(mine, found))


def merged(mine: Any, found: Any) -> Any:
    """One value of two."""
    if is_dataclass(mine):
        merge(mine, found)
    elif isinstance(mine, dict):
        merge_keys(mine, found)
    elif isinstance(mine, list):
        return [one + other for one, other in zip(mine, found, strict=True)]
    elif isinstance(mine, int | float):
        return mine + found
    return mine or found


def merge_keys(mine: dict[Any, Any], found: Mapping[Any, Any]) -> None:
    """Adds what another dictionary has, key by key."""
    for key, value in found.items():
        mine[key] = merged(mine[key], value) if key in mine else value
