"""Why is this so, and what followed from it.

From any version, run, bundle, model, prediction or quarantined row, both ways.

Everything is read from what the stores hold anyway. This package sits on top of the stages; none of them
imports it.
"""

from tasks.lineage.graph import Graph, Node
from tasks.lineage.trace import lineage

__all__ = ["Graph", "Node", "lineage"]
