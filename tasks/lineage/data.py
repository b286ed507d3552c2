"""The half of the graph that the data repo knows: sources, config, code, quarantine, versions."""

from dataclasses import dataclass
from typing import Any

from infra.files import read_json
from infra.home import Home
from tasks.lineage.graph import Graph, Node
from tasks.rows.sql import open_database
from tasks.rows.versions import NUMBERED, Versions
from tasks.validation.review.decisions import Decision, DecisionLog, history


@dataclass(frozen=True)
class Data:
    """Adds what it finds to a graph."""

    home: Home
    graph: Graph

    @property
    def known(self) -> Versions:
        """The data repo."""
        return Versions(self.home.data_repository)

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
            told = {
                "rows": str(source["rows"]),
                "late labels": str(facts.get("feedback_rows") or ""),
                "files": files,
            }
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
        """A row in the quarantine of some versions, or that people decided on.

        None where it is in none that is still there.
        """
        found = None
        for folder in sorted(self.home.datasets.glob("*")):
            taken = self.history(folder.name, row)
            for number, facts in self.known.all_facts(folder.name).items():
                reasons, decided = self.reasons(facts, row), self.decided(facts, row)
                if reasons or decided:
                    found = found or self.graph.add(Node("row", row, row_facts(folder.name, reasons, taken)))
                    version = self.version(folder.name, number)
                if reasons:
                    self.graph.add(Node("quarantine", f"{folder.name}/v{number}"), after="row " + row)
                if decided:
                    self.decision(folder.name, number, taken, decided, version)
            if found or taken:
                found = found or self.graph.add(Node("row", row, row_facts(folder.name, [], taken)))
                for decision in taken:
                    self.graph.add(decision_node(folder.name, decision), after=found)
        return found

    def decision(
        self, project: str, number: int, taken: list[Decision], decided: dict[str, Any], version: str
    ) -> None:
        """What became in a version of people's decisions about a row.

        Those that hold are among its causes.
        """
        numbers = {each["number"] for each in decided["decisions"]}
        for decision in (each for each in taken if each.number in numbers):
            key = self.graph.add(decision_node(project, decision), after="row " + decided["row"])
            self.graph.nodes[key].facts[f"in v{number}"] = decided["became"]
            if decided["holds"] and (key, version) not in self.graph.edges:
                self.graph.edges.append((key, version))

    def history(self, project: str, row: str) -> list[Decision]:
        """Every decision about a row, undone ones too."""
        return history(DecisionLog(self.home.quarantine(project) / "decisions").all(), row)

    def decided(self, facts: dict[str, Any], row: str) -> dict[str, Any] | None:
        """What people decided about a row, and what became of it in a version."""
        kept = facts.get("validation", {}).get("decisions", {}).get("path")
        if not kept or not (path := self.home / kept).is_file():
            return None
        return next((each for each in read_json(path) if each["row"] == row), None)

    def reasons(self, facts: dict[str, Any], row: str) -> list[str]:
        """The rules that a row breaks in a version's quarantine."""
        kept = facts.get("validation", {}).get("quarantine")
        if not kept or not (path := self.home / kept["path"]).is_file():
            return []
        with open_database() as connection:
            asked = "SELECT reasons FROM read_parquet(?) WHERE id::VARCHAR = ?"
            lines = connection.execute(asked, [str(path), row]).fetchall()
        return sorted({str(reason) for line in lines for reason in line[0]})


def row_facts(project: str, reasons: list[str], taken: list[Decision]) -> dict[str, str]:
    """What is told of a row.

    The rules that it breaks, or broke before people decided on it, and where it is from.
    """
    seen = taken[0].rows[0] if taken else None
    place = {"source": seen.origin or "", "line": str(seen.origin_line or "")} if seen else {}
    broke = {"breaks": ", ".join(reasons)} if reasons else {"broke": ", ".join(seen.reasons)} if seen else {}
    return {"project": project} | broke | place


def decision_node(project: str, decision: Decision) -> Node:
    """A decision as a node."""
    values = ", ".join(
        f"{column}={'' if value is None else value}" for column, value in decision.values.items()
    )
    facts = {"who": decision.who, "when": decision.when, "values": values, "why": decision.why}
    return Node("decision", f"{project} {decision.number} {decision.kind}", facts)
