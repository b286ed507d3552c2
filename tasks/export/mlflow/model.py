"""The exported graph as an MLflow model; MLflow runs this file, so nothing is pickled."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class ExportedGraph(PythonModel):
    """Columns (or, where an input has a shape, arrays by name) in; a line a row out.

    Answer, and the graph's outputs.
    """

    graph: Any

    def load_context(self, context: Any) -> None:
        """Opens the graph in the model's artifacts, by the module that lies beside it."""
        folder = Path(context.artifacts["graph"])
        spec: Any = importlib.util.spec_from_file_location("exported_graph", folder / "graph.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.graph = module.Graph(folder)

    # Where an input has a shape MLflow gives arrays by name, not a frame; but a type that it does not know it warns of.
    def predict(
        self,
        context: Any,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """One line a row. Raises ValueError naming an input and row that cannot be read."""
        columns = {}
        for taken in self.graph.facts["inputs"]:
            given: Any = model_input if isinstance(model_input, np.ndarray) else model_input[taken["name"]]
            values = np.asarray(given).ravel().tolist()
            plain = [None if isinstance(value, float) and math.isnan(value) else value for value in values]
            columns[taken["name"]] = self.graph.column(taken, plain)
        found = self.graph.answer(columns)
        lists = {name: values.tolist() for name, values in found.items()}
        return pd.DataFrame({"answer": lists.pop("answer"), **lists})


set_model(ExportedGraph())
