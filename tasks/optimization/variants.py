"""A graph in another format: calibrated on training rows, its loss measured on others.

Where it loses too much, its most sensitive layers are left float.
"""

import logging
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infra.files import digest, verify, whole_file
from tasks.intake import Intake, Rows
from tasks.intake.encoder import ENCODED
from tasks.model.onnx_parts import join_graphs, split
from tasks.model.onnx_session import answers, session
from tasks.optimization.formats import FORMATS, Batch, Format, weight_axes
from tasks.records import DatasetVersion, Graph
from tasks.result import Answers, Result
from tasks.rows.parts import SplitName, read
from tasks.rows.raw import feed

log = logging.getLogger("gyre.optimization")

ROWS_A_BATCH = 32
MEASURED_ROWS = 1000
"""On which a format's loss is measured: none of those that calibrated it."""
MOST_LAYERS = 64
"""A network of more layers is not searched for its sensitive ones: each costs a quantization."""


@dataclass(frozen=True)
class Measured:
    """Rows that a variant is compared with its source on."""

    rows: Rows
    targets: Any
    answers: Answers
    """The source's."""
    score: float


@dataclass(frozen=True)
class Core:
    """The network of a graph, ready to be quantized: constants folded, shapes inferred."""

    prefix: Any | None
    """What encodes texts and dates before it, as an onnx.ModelProto."""
    path: Path
    batches: Sequence[Batch]
    """Training rows as the network takes them."""

    def write(self, made: Path, target: Path) -> None:
        """Puts another form of the network behind the prefix."""
        import onnx

        core = onnx.load(made)
        onnx.save(core if self.prefix is None else join_graphs(self.prefix, core), target)

    def layers(self) -> list[str]:
        """Names of the nodes that have weights."""
        import onnx

        model = onnx.load(self.path)
        weights = set(weight_axes(model, ())) & {each.name for each in model.graph.initializer}
        return [node.name for node in model.graph.node if weights & set(node.input)]


def variant(
    graph: Graph,
    kind: str,
    dataset: DatasetVersion,
    intake: Intake,
    result: Result,
    calibration_rows: int,
    max_loss: float,
    output: Path,
) -> Graph:
    """A graph in the format `kind` as `<output>/<name>.onnx`.

    `parity` is its distance from the graph it came from.

    Layers are left float, the most sensitive first, as long as the score falls by more than `max_loss` on
    rows that did not calibrate it. Equal inputs give equal bytes on equal machines. Raises DigestError where
    graph or data set was changed, ValueError where the format has nothing to change.
    """
    started, source = time.perf_counter(), verify(graph.uri, graph.digest)
    name = kind if graph.name == "fp32" else f"{graph.name}-{kind}"
    made = output / f"{name}.onnx"
    measured = held_out_answers(source, dataset, intake, result)
    rows = spread(dataset, intake, "train", calibration_rows)
    with whole_file(made) as temporary, tempfile.TemporaryDirectory() as folder:
        core = prepare(source, rows, Path(folder))
        kept = convert(core, FORMATS[kind], temporary, measured, result, max_loss)
        moved = result.parity(measured.answers, answers(session(temporary), measured.rows))
    seconds = time.perf_counter() - started
    left = f", {len(kept)} of its layers float" if kept else ""
    sizes = f"{source.stat().st_size} -> {made.stat().st_size} bytes"
    log.info("%s: %s, answers move by up to %.4f%s, %.1f s", name, sizes, moved, left, seconds)
    return Graph(
        uri=str(made),
        digest=digest(made),
        name=name,
        parity=moved,
        format=kind,
        steps=(*graph.steps, f"{kind}{left}"),
        seconds=seconds,
        checkpoint=graph.checkpoint,
    )


def convert(
    core: Core, change: Format, target: Path, measured: Measured, result: Result, max_loss: float
) -> tuple[str, ...]:
    """Writes the network in a format.

    The layers that were left float so that it loses no more than `max_loss`.

    Where no choice of layers keeps the loss the whole network is in the format: what it loses is measured
    again before it may be chosen.
    """

    def attempt(keep_float: Collection[str]) -> float:
        small = core.path.with_name("small.onnx")
        change(core.path, small, core.batches, keep_float)
        core.write(small, target)
        given = answers(session(target), measured.rows)
        return measured.score - float(result.scores(given, measured.targets).mean())

    if attempt(()) <= max_loss:
        return ()
    layers = by_sensitivity(core, change, target, measured, result)
    count = 1
    while layers and count < len(layers):
        if attempt(layers[:count]) <= max_loss:
            return tuple(layers[:count])
        count *= 2
    attempt(())
    return ()


def by_sensitivity(core: Core, change: Format, target: Path, measured: Measured, result: Result) -> list[str]:
    """The layers of a network, first those whose rounding alone moves the answers most.

    None of a network with too many.
    """
    layers = core.layers()
    if len(layers) > MOST_LAYERS:
        log.info("%d layers are too many to look for sensitive ones", len(layers))
        return []
    moves: dict[str, float] = {}
    small = core.path.with_name("small.onnx")
    for layer in layers:
        others = [each for each in layers if each != layer]
        try:
            change(core.path, small, core.batches, others)
        except ValueError:
            # Its weights are too few to be changed.
            continue
        core.write(small, target)
        moves[layer] = result.parity(measured.answers, answers(session(target), measured.rows))
    return sorted(moves, key=lambda layer: (-moves[layer], layer))


def prepare(source: Path, rows: Rows, folder: Path) -> Core:
    """The network of the graph at `source`, written to a folder; `rows`: raw training rows."""
    import onnx

    prefix, network = split(onnx.load(source))
    batches = [feed(rows[start : start + ROWS_A_BATCH]) for start in range(0, len(rows), ROWS_A_BATCH)]
    if prefix is not None:
        encode = session(prefix.SerializeToString())
        batches = [{ENCODED: encode.run(None, batch)[0]} for batch in batches]
    plain, prepared = folder / "network.onnx", folder / "prepared.onnx"
    onnx.save(network, plain)
    fold_constants(plain, prepared)
    return Core(prefix, prepared, batches)


def fold_constants(source: Path, target: Path) -> None:
    """Computes what depends on weights alone, such as standardised convolutions, and infers shapes."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    try:
        quant_pre_process(source, target)
    except Exception as error:
        # ONNX Runtime's symbolic inference of shapes does not know every operator (ReduceMax is one); ONNX's
        # own goes on without it.
        log.info("shapes are inferred by ONNX alone: %s", error)
        quant_pre_process(source, target, skip_symbolic_shape=True)


def held_out_answers(source: Path, dataset: DatasetVersion, intake: Intake, result: Result) -> Measured:
    """The graph's answers to validation rows, or to test rows where there are none."""
    split_name: SplitName = "validation" if dataset.splits.get("validation") else "test"
    frame = read(dataset, columns=[*intake.columns, result.label], split=split_name)
    if frame.empty:
        raise ValueError(f"data set {dataset.tag} has no {split_name} rows; change versioning.split")
    frame = spread_rows(frame, MEASURED_ROWS)
    rows, targets = intake.rows(frame), result.targets(frame[result.label])
    given = answers(session(source), rows)
    return Measured(rows, targets, given, float(result.scores(given, targets).mean()))


def spread(dataset: DatasetVersion, intake: Intake, split_name: SplitName, count: int) -> Rows:
    """`count` raw rows of a split, or all where there are fewer, spread evenly over it.

    Raises ValueError where there are none.
    """
    frame = read(dataset, columns=list(intake.columns), split=split_name)
    if frame.empty:
        raise ValueError(
            f"data set {dataset.tag} has no {split_name} rows, which quantization needs; change versioning.split"
        )
    return intake.rows(spread_rows(frame, count))


def spread_rows(frame: Any, count: int) -> Any:
    """`count` rows of a frame, or all where there are fewer, spread evenly over it."""
    return frame.iloc[np.linspace(0, len(frame) - 1, min(count, len(frame))).astype(int)]
