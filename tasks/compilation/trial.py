"""Tries each graph in a process apart before it is measured, so that one which crashes, hangs or takes all memory is told, and ends no run.

It is asked real rows, rows that no client should send and some will, and many at once. What it answers must
be numbers where the network's own graph answers with numbers, and must not depend on which rows it is asked
together.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from infra.confinement import cause_of_end, limit_address_space
from infra.files import verify
from tasks.production.probe import largest_difference, read_rows, write_rows
from tasks.records import Graph
from tasks.rows.hostile import hostile_rows
from tasks.rows.raw import Rows

if TYPE_CHECKING:
    # It imports torch, which no process of a trial needs.
    from tasks.intake import Intake

TIMEOUT_S = 120
MEMORY_BYTES = 16 * 1024**3
"""Of address space: ONNX Runtime reserves several times what it uses."""
REAL_ROWS = 32
MANY_ROWS = 1000
LONG = 1000
"""Characters."""
MAX_DIFFERENCE = 0.05
"""Between the answers to a row alone and among others: of a probability, or relative to a number's size."""

Outputs = dict[str, npt.NDArray[Any]]


def try_graphs(graphs: Sequence[Graph], intake: "Intake", rows: Rows) -> tuple[list[Graph], dict[str, str]]:
    """The graphs that can be run, and why each of the others cannot, by name.

    Raises ValueError where the network's own graph, `fp32`, is among those.
    """
    asked = np.concatenate([rows[:REAL_ROWS], hostile_rows(intake.inputs)])
    found = run_apart(graphs, asked)
    exact = found["fp32"]
    if isinstance(exact, str):
        raise ValueError(f"the network's own graph {exact}; no other can be compared with it")
    able, failures = [], {}
    for graph in graphs:
        given = found[graph.name]
        reason = given if isinstance(given, str) else objection(given, exact)
        if reason:
            failures[graph.name] = reason
        else:
            able.append(graph)
    return able, failures


def objection(given: Outputs, exact: Outputs) -> str:
    """What is wrong with a graph's answers beside those of the network's own; empty: nothing."""
    for name, values in given.items():
        if name not in exact or not np.issubdtype(values.dtype, np.number):
            continue
        if (~np.isfinite(values) & np.isfinite(exact[name])).any():
            return f"answers {name} with what is no number where fp32 answers with one"
        alone = given.get(f"{name}{ALONE}")
        if alone is None or not np.issubdtype(values.dtype, np.floating):
            continue
        moved = largest_difference(values[: len(alone)], alone)
        if moved > MAX_DIFFERENCE:
            return f"answers a row otherwise among others than alone: {name} moves by {moved:.2g}"
    return ""


def run_apart(graphs: Sequence[Graph], rows: Rows) -> dict[str, Outputs | str]:
    """Each graph's answers to rows by a process apart, or what became of it, by its name.

    One process asks graph after graph; where one ends it, another goes on behind that.
    """
    found: dict[str, Outputs | str] = {}
    with tempfile.TemporaryDirectory(prefix="gyre-trial-") as name:
        folder = Path(name)
        write_rows(rows, folder)
        left = list(graphs)
        while left:
            problem = ask_apart(left, folder)
            while left and (answers := answers_file(folder, left[0].name)).exists():
                with np.load(answers, allow_pickle=False) as outputs:
                    found[left.pop(0).name] = dict(outputs)
            if left:
                found[left.pop(0).name] = problem
    return found


def ask_apart(graphs: Sequence[Graph], folder: Path) -> str:
    """Has a process ask graphs the rows in a folder; what became of it, where it did not end well."""
    named = [f"{graph.name}={verify(graph.uri, graph.digest)}" for graph in graphs]
    command = [sys.executable, "-m", "tasks.compilation.trial", str(folder), *named]
    limit_s = TIMEOUT_S * len(graphs)
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=limit_s, check=False, cwd=ROOT
        )
    except subprocess.TimeoutExpired:
        return f"did not answer within {limit_s} s"
    return cause_of_end(ended.returncode, ended.stderr)


def answers_file(folder: Path, name: str) -> Path:
    """Where a graph's answers lie."""
    return folder / f"{name}.npz"


ROOT = Path(__file__).parents[2]
"""Where the process finds this package."""
ALONE = ".alone"
"""Behind an output's name: of the first rows, each asked alone."""


def answer_rows(graph: Path, inputs: Outputs) -> Outputs:
    """The graph's answers to rows together, and to the first ones alone; many at once are only asked."""
    from tasks.model.onnx_session import session

    opened = session(graph)
    names = [output.name for output in opened.get_outputs()]
    count = len(next(iter(inputs.values())))
    found: Outputs = dict(zip(names, opened.run(None, inputs), strict=True))
    # An endless text among many would take the memory of as many endless texts.
    texts = [values for values in inputs.values() if values.dtype == object]
    short = [at for at in range(count) if all(len(values[at]) < LONG for values in texts)]
    many = np.resize(short, MANY_ROWS)
    opened.run(None, {name: values[many] for name, values in inputs.items()})
    single = [
        opened.run(None, {name: values[at : at + 1] for name, values in inputs.items()})
        for at in range(min(count, REAL_ROWS))
    ]
    for name, parts in zip(names, zip(*single, strict=True), strict=True):
        found[f"{name}{ALONE}"] = np.concatenate(parts)
    return found


def main(folder: Path, named: Sequence[str]) -> None:
    """Asks graphs, each as <name>=<path>, the rows in a folder, and writes the answers of each as it has them."""
    limit_address_space(MEMORY_BYTES)
    inputs = read_rows(folder)
    for each in named:
        name, _, path = each.partition("=")
        found: dict[str, Any] = answer_rows(Path(path), inputs)
        partial = folder / "partial.npz"
        np.savez(partial, **found)
        partial.rename(answers_file(folder, name))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
