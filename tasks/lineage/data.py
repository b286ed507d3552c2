"""The half of the graph that the data repo knows: sources, config, code, quarantine, versions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.lineage.graph import Graph, Node
from tasks.versions import NUMBERED, Versions


@dataclass(frozen=True)
class Data:
    """Adds what it finds to a graph."""

    home: Path
    graph: Graph

    @property
    def known(self) -> Versions:
        """The data repo."""
        return Versions(self.home / "data")

    def number(self, project: str, name: str) -> int | None:
        """The version with a name such as `v3` or one that a person gave it; None where there is none."""
        numbers = self.known.numbers(project)
        if found := NUMBERED.fullmatch(name):
            return int(found[1]) if int(found[1]) in numbers else None
        return self.known.names(project).get(name) if numbers else None

    def version(self, project: str, number: int) -> str:
        """A version and what its rows came from."""
        facts, tag = self.known.facts(project, number), f"{project}/v{number}"
        splits = " ".join(f"{split} {facts['splits'][split]}" for split in ("train", "validation", "test"))
        parent = facts.get("parent") or ""
        told = {"rows": str(facts["rows"]), "splits": splits, "digest": facts["digest"][:12], "after": parent}
        key = self.graph.add(Node("dataset", tag, told))
        for node in self.causes(project, tag, facts):
            self.graph.add(node, before=key)
        return key

    def causes(self, project: str, tag: str, facts: dict[str, Any]) -> list[Node]:
        """Sources, config, code, and the rows that were set aside; an older version may not know them."""
        nodes = []
        if source := facts.get("source"):
            files = ", ".join(value for value, _ in facts["columns"].get("origin", {}).get("top", []))
            told = {"rows": str(source["rows"]), "late labels": str(facts.get("feedback_rows") or ""), "files": files}
            nodes.append(Node("source", f"{project} {source['fingerprint'][:12]}", told))
        if config := facts.get("config"):
            nodes.append(Node("config", project, {name: digest[:8] for name, digest in config.items()}))
        if code := facts.get("code"):
            nodes.append(Node("code", f"gyre {code['gyre']}", {"commit": code["commit"] or ""}))
        if found := facts.get("validation"):
            broken = ", ".join(rule["rule"] for rule in found["rules"] if not rule["success"])
            if found["quarantined"]:
                nodes.append(Node("quarantine", tag, {"rows": str(found["quarantined"]), "broken": broken}))
        if labels := facts.get("labeling"):
            told = {
                "agreement": f"{labels['agreement']:.3f}",
                "relabelled": str(labels["relabelled"]),
                "suspected": str(labels["suspected"]),
            }
            nodes.append(Node("labels", tag, told))
        return nodes

    def quarantined(self, row: str) -> str | None:
        """A row in the quarantine of some versions; None where it is in none that is still there."""
        found = None
        for folder in sorted((self.home / "datasets").glob("*")):
            for number, facts in self.known.all_facts(folder.name).items():
                if reasons := self.reasons(facts, row):
                    told = {"project": folder.name, "breaks": ", ".join(reasons)}
                    found = self.graph.add(Node("row", row, told))
                    self.graph.add(Node("quarantine", f"{folder.name}/v{number}"), after=found)
                    self.version(folder.name, number)
        return found

    def reasons(self, facts: dict[str, Any], row: str) -> list[str]:
        """The rules that a row breaks in a version's quarantine."""
        import duckdb

        kept = facts.get("validation", {}).get("quarantine")
        if not kept or not (path := self.home / kept["path"]).is_file():
            return []
        with duckdb.connect() as connection:
            asked = "SELECT reasons FROM read_parquet(?) WHERE id::VARCHAR = ?"
            lines = connection.execute(asked, [str(path), row]).fetchall()
        return sorted({str(reason) for line in lines for reason in line[0]})
