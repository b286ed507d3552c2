"""What a smaller network would cost, before it is trained.

An untrained one is as fast and as large as a trained one.
"""

import numpy as np

from configs.optimization import StudentConfig
from configs.training import TrainingConfig
from infra.files import verify
from tasks.intake import Intake
from tasks.model.model import Model, load
from tasks.model.onnx_export import graph_bytes
from tasks.model.onnx_session import session
from tasks.model.timing import time_in_turns
from tasks.optimization.students import WIDTHS, student_training
from tasks.optimization.variants import spread
from tasks.records import Graph, Sketch, TrainedModel
from tasks.result import Result
from tasks.rows.raw import feed

ROWS = 20
MAIN = ""
"""Name of the main network among the students."""


def sketch_students(
    model: TrainedModel, graph: Graph, intake: Intake, result: Result, training: TrainingConfig
) -> tuple[Sketch, ...]:
    """Latency and size of students of each width that a search may try, as shares of those of the main network's graph.

    A network whose width cannot be set gives the reason instead. Raises DigestError where checkpoint or graph
    was changed.
    """
    path = verify(graph.uri, graph.digest)
    opened, sizes = {MAIN: session(path)}, {MAIN: path.stat().st_size}
    encoder = load(model, intake, result, training).encoder
    reasons: dict[str, str] = {}
    for name, width in WIDTHS.items():
        section = student_training(training, StudentConfig(width=width))
        try:
            untrained = Model(encoder, intake, result, section).eval()
            content = graph_bytes(untrained, result.names)
        except ValueError as error:
            reasons[name] = f"cannot be built: {error}"
            continue
        opened[name], sizes[name] = session(content), len(content)
    rows = spread(model.dataset, intake, "train", ROWS)
    times = time_in_turns(opened, [feed(rows[at : at + 1]) for at in range(len(rows))])
    medians = {name: float(np.median(np.concatenate(each))) for name, each in times.items()}
    return tuple(
        Sketch(student=name, reason=reasons[name])
        if name in reasons
        else Sketch(
            student=name,
            latency_ratio=medians[name] / medians[MAIN],
            size_ratio=sizes[name] / sizes[MAIN],
        )
        for name in WIDTHS
    )
