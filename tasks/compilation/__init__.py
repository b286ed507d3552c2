"""Compilation: from a checkpoint to what is deployed.

The one ONNX graph, its measurements, the gate, the bundle.

In: TrainedModel, and the Graphs that may serve. Out: Bundle, with the candidates' figures and the gate's
decision; a model card and the path to production beside it. `export` makes a graph, `judge` decides. Open
gate_report.py first: it asks choice.py which graph, champion_comparison.py about the one that serves, gate.py
for the rules; trial.py and measurement.py say what each candidate can do.
"""

from typing import TYPE_CHECKING

from infra.imports import lazy

if TYPE_CHECKING:
    from tasks.compilation.gate_report import judge
    from tasks.compilation.graph_export import export
else:
    __getattr__ = lazy("tasks.compilation.gate_report:judge", "tasks.compilation.graph_export:export")
__all__ = ["export", "judge"]
