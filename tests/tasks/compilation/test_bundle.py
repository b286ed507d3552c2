"""What lies in a bundle beside its graph."""

import numpy as np
import pytest

from tasks.compilation.bundle import portable_form
from tasks.compilation.gate_report import GateReport
from tasks.records import Candidate, Graph, Judgement


def candidate(name, kind, checkpoint):
    figures = {"score": 0.9, "low": 0.9, "high": 0.9, "rows": 10}
    graph = Graph(uri=name, digest="d", name=name, parity=0.0, format=kind, checkpoint=checkpoint)
    return Candidate(
        graph=graph, split="validation", latency_ms=1, throughput=1, megabytes=1, rejected=None, **figures
    )


MADE = (
    candidate("fp32", "fp32", "main"),
    candidate("int8", "int8", "main"),
    candidate("half", "fp32", "student"),
    candidate("half-int8", "int8", "student"),
    candidate("half-int8-weights", "int8-weights", "student"),
)


@pytest.mark.parametrize(
    ("chosen", "portable"),
    [("fp32", None), ("int8", "fp32"), ("half-int8", "half"), ("half-int8-weights", None)],
)
def test_the_portable_form_of_an_8_bit_graph_is_its_own_networks_float_graph(chosen, portable):
    verdict = GateReport(
        candidates=MADE,
        chosen=next(each for each in MADE if each.graph.name == chosen),
        judgement=Judgement(rows=10, score=0.9, low=0.9, high=0.9),
        comparison=None,
        slices=(),
        failures=(),
        remedies=(),
        metrics={},
        rows=np.zeros(1),
    )
    found = portable_form(verdict)
    assert (found.name if found else None) == portable
