"""A released version's bundle, opened to answer: its session, and what its training rows had."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from configs.intake import IntakeConfig
from infra.files import read_json, verify
from tasks.records import Stored
from tasks.rows.raw import TensorSpec


@dataclass(frozen=True)
class OpenBundle:
    """What answers."""

    session: Any
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    classes: tuple[str, ...] | None
    """Texts of the first output's integers; None where it is no class."""
    categories: Mapping[str, frozenset[str]]
    """Texts that training rows had, by input; without those where any text is read."""
    portable: str
    """Why its portable graph answers; empty where the one that was chosen does."""


@dataclass(frozen=True)
class BundleFacts:
    """How the rows of a version are read."""

    intake: IntakeConfig | None
    """As it was when the version was made; None for a bundle that does not say."""
    date_formats: dict[str, str]
    inputs: tuple[TensorSpec, ...]


def bundle_facts(folder: Path) -> BundleFacts:
    """The facts of a bundle that was checked."""
    signature = read_json(folder / "signature.json")
    section = read_json(folder / "lineage.json").get("config", {}).get("intake")
    intake: IntakeConfig | None = TypeAdapter(IntakeConfig).validate_python(section) if section else None
    return BundleFacts(intake, signature.get("date_formats", {}), inputs_of(signature))


def inputs_of(signature: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    """What the graph takes."""
    return tuple(
        TensorSpec(each["name"], each["dtype"], tuple(each["shape"])) for each in signature["inputs"]
    )


@lru_cache(maxsize=1)
def open_bundle(stored: Stored) -> OpenBundle:
    """A bundle's session, once a process.

    Raises DigestError for one that was changed, ValueError where it does not answer here as it was judged.
    """
    from tasks.serving.models.model import session_for_this_machine

    folder = verify(stored.uri, stored.digest)
    session, _, portable = session_for_this_machine(folder)
    facts = read_json(folder / "signature.json")
    trained = facts.get("training_values", {})
    categories = {
        name: frozenset(each["categories"]) for name, each in trained.items() if "categories" in each
    }
    classes = tuple(facts["classes"]) if facts["classes"] else None
    return OpenBundle(
        session.on_cpu, inputs_of(facts), tuple(facts["outputs"]), classes, categories, portable
    )
