"""The data card: what a version holds, how it came about, and how the versions before it did."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq

from infra.files import whole_file
from tasks.intake import Intake
from tasks.records import DatasetVersion
from tasks.rows.parts import part_paths, read_places, schema_of
from tasks.rows.raw import are_columns
from tasks.rows.versions import Versions
from tasks.versioning.data_card_template import HTML

SAMPLES = 24
ROWS_OF_A_TABLE = 8
MOST_COLUMNS = 200
MOST_VERSIONS = 30
SPLITS = ("train", "validation", "test")
SHOWN_CHARACTERS = 80


def card(
    project: str, version: int, known: Versions, intake: Intake, label: str, datasets: Path, folder: Path
) -> Path:
    """The card of any version; see `write_card`. Raises ValueError where there is no such version."""
    return write_card(known.record(project, version, datasets), known, intake, label, folder)


def write_card(version: DatasetVersion, known: Versions, intake: Intake, label: str, folder: Path) -> Path:
    """`<folder>/v<N>.html`: one file with all it needs.

    Samples are left out where the version's rows are not laid out any more.
    """
    from jinja2 import Environment

    everything = known.all_facts(version.project)
    facts, samples = everything[version.version], sample_rows(Path(version.uri), label)
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(HTML)
    content = page.render(
        version=version,
        summary=summary(facts),
        sections={"Origin": lineage(version, facts)},
        rules=facts.get("validation", {}).get("rules", []),
        findings=known.findings(version.project, version.version),
        columns=[column_facts(name, found) for name, found in list(facts["columns"].items())[:MOST_COLUMNS]],
        hidden=max(0, len(facts["columns"]) - MOST_COLUMNS),
        nested=[f"{name} {kind}" for name, kind in facts["schema"].items() if name not in facts["columns"]],
        sampled=facts["sampled"],
        balance=balance(facts["labels"]),
        history=history(version.project, everything)[-MOST_VERSIONS:],
        picture=picture(samples, intake, label),
        rows=table(samples, facts["columns"]),
    )
    path = folder / f"v{version.version}.html"
    with whole_file(path) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return path


def summary(facts: dict[str, Any]) -> str:
    """The version in a sentence."""
    splits = ", ".join(f"{facts['splits'][split]:,} {split}" for split in SPLITS)
    quarantined = facts.get("validation", {}).get("quarantined", 0)
    aside = "1 row is" if quarantined == 1 else f"{quarantined:,} rows are"
    text = f"{facts['rows']:,} rows: {splits}; split by {facts['split']['by']}. {aside} in quarantine."
    return text + (
        f" {facts['leaks']:,} rows of validation and test are copies of training rows."
        if facts["leaks"]
        else ""
    )


def lineage(version: DatasetVersion, facts: dict[str, Any]) -> dict[str, str]:
    """Name and value of what the rows come from."""
    source, labeling, code = facts.get("source", {}), facts.get("labeling"), facts.get("code", {})
    files = facts["columns"].get("origin", {}).get("top", [])
    lines = {
        "commit": version.commit[:12],
        "digest": version.digest[:16],
        "made after": facts["parent"] or "nothing, it is the first",
        "source": f"{source['rows']:,} rows, fingerprint {source['fingerprint'][:12]}" if source else "",
        "files": ", ".join(f"{value} (about {rows / facts['sampled']:,.0f} rows)" for value, rows in files),
        "late labels": f"{facts['feedback_rows']:,} rows" if facts.get("feedback_rows") else "",
        "labels": f"agreement {labeling['agreement']:.1%}, {labeling['suspected']} suspected errors"
        if labeling
        else "",
        "decisions": decided_count(facts.get("validation", {}).get("decisions") or {}),
        "code": " ".join(
            filter(None, (f"Gyre {code.get('gyre', '')}" if code else "", (code.get("commit") or "")[:12]))
        ),
        "config": ", ".join(f"{name} {digest[:8]}" for name, digest in facts.get("config", {}).items()),
    }
    return {name: value for name, value in lines.items() if value}


def decided_count(found: dict[str, Any]) -> str:
    """How many quarantined rows people decided on; nothing where there are none."""
    lapsed = f", {found['lapsed']:,} decisions no longer hold" if found.get("lapsed") else ""
    return f"{found['rows']:,} rows released or fixed{lapsed}" if found.get("rows") or lapsed else ""


def column_facts(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """A column for the page.

    Its figures, and bars of its histogram or of its most frequent values, as shares of the tallest.
    """
    bars, histogram = [], found.get("histogram")
    if histogram:
        tallest = max(histogram["rows"]) or 1
        bars = [round(30 * rows / tallest, 1) for rows in histogram["rows"]]
    tops = found.get("top", [])
    return {
        "name": name,
        "type": found["type"].lower(),
        "missing": f"{found['missing'] / max(1, found['missing'] + found['count']):.1%}"
        if found["missing"]
        else "",
        "distinct": f"{found['distinct']:,}",
        "range": f"{format_value(found['min'])} … {format_value(found['max'])}"
        if found["count"]
        else "no value",
        "mean": f"{format_value(found['mean'])} ± {format_value(found['std'])}"
        if found.get("mean") is not None
        else "",
        "median": format_value(found["quantiles"]["0.5"])
        if histogram and found.get("mean") is not None
        else "",
        "bars": bars,
        "top": [(value, rows / tops[0][1]) for value, rows in tops[:3]],
    }


def balance(labels: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """Of each class by split its rows, their share, and the length of its bar.

    The classes in order of their names.
    """
    names = sorted({name for counts in labels.values() for name in counts})
    totals = {split: sum(counts.values()) for split, counts in labels.items()}
    shares = {
        split: {name: labels[split].get(name, 0) / totals[split] for name in names}
        for split in SPLITS
        if split in labels
    }
    widest = max((share for each in shares.values() for share in each.values()), default=1.0)
    return [
        {
            "name": name,
            "splits": [
                (split, labels[split].get(name, 0), each[name], each[name] / widest)
                for split, each in shares.items()
            ],
        }
        for name in names
    ]


def history(project: str, everything: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """What validation found, version by version."""
    lines = []
    for number, facts in everything.items():
        found = facts.get("validation", {})
        broken = [rule["rule"] for rule in found.get("rules", []) if not rule["success"]]
        counts = {"rows": f"{facts['rows']:,}", "quarantined": f"{found.get('quarantined', 0):,}"}
        rules = f"{len(found.get('rules', []))} rules" + (f", broken: {', '.join(broken)}" if broken else "")
        lines.append({"version": f"{project}/v{number}", **counts, "validation": rules})
    return lines


def sample_rows(folder: Path, label: str) -> pd.DataFrame:
    """Some rows of a folder of parts, of every label where they have few, spread over the folder.

    None where that is gone.
    """
    parts = part_paths(folder)
    if not parts:
        return pd.DataFrame()
    schema = schema_of(folder)
    first = label if label in schema.names else schema.names[0]
    values = pd.concat(
        [pq.read_table(path, columns=[first]).to_pandas()[first] for path in parts], ignore_index=True
    )
    counts = values.value_counts()
    if label not in schema.names or len(counts) > SAMPLES:
        return read_places(folder, schema.names, spread(np.arange(len(values)), SAMPLES))
    each = max(1, SAMPLES // max(1, len(counts)))
    places = [spread(np.flatnonzero(values == value), each) for value in sorted(counts.index)]
    return read_places(folder, schema.names, np.concatenate(places) if places else np.array([], np.intp))


def spread(places: npt.NDArray[np.intp], count: int) -> npt.NDArray[np.intp]:
    """So many of the places, evenly over all."""
    return (
        places[np.unique(np.linspace(0, len(places) - 1, min(count, len(places))).astype(int))]
        if len(places)
        else places
    )


def picture(samples: pd.DataFrame, intake: Intake, label: str) -> str:
    """The samples as the intake draws them, PNG in base64.

    Empty where there are none, or a table shows them.
    """
    if samples.empty or are_columns(intake.inputs):
        return ""
    titles = [format_value(value) for value in samples[label]] if label in samples else [""] * len(samples)
    return base64.b64encode(intake.picture(intake.rows(samples), titles)).decode()


def table(samples: pd.DataFrame, columns: dict[str, Any]) -> list[dict[str, str]]:
    """A few rows of all labels, without what is no single value."""
    shown = [name for name in samples if name in columns or name == "id"][:MOST_COLUMNS]
    # The samples come label by label, so the first of them have one label alone.
    places = spread(np.arange(len(samples)), ROWS_OF_A_TABLE)
    return [
        {str(name): format_value(value) for name, value in row.items()}
        for row in samples.iloc[places][shown].to_dict("records")
    ]


def format_value(value: Any) -> str:
    """A value for people."""
    if value is None or pd.isna(value):
        return ""
    written = f"{value:.5g}" if isinstance(value, float) else str(value)
    return written if len(written) <= SHOWN_CHARACTERS else written[: SHOWN_CHARACTERS - 1] + "…"
