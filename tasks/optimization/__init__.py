"""Optimization: smaller and faster forms of a trained model's graph, each a candidate that the gate measures.

In: a Graph, and the DatasetVersion whose rows calibrate it. Out: Graphs of other formats, and which smaller
networks are worth a training. `variant` makes one format. Open formats.py first: what each does to a network;
variants.py puts the result behind the reader of texts and dates again and keeps sensitive layers float;
students.py searches smaller networks, sketch.py estimates them before they are trained.
"""

from typing import TYPE_CHECKING

from infra.imports import lazy

if TYPE_CHECKING:
    from tasks.optimization.variants import variant
else:
    __getattr__ = lazy("tasks.optimization.variants:variant")
__all__ = ["variant"]
