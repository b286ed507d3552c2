"""The path to production.

What an engineer asks before a model serves, each question answered by what was measured.

It recommends nothing that was not measured, and says what was not tried.
"""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from configs.gate import GateConfig
from configs.target import TargetConfig
from infra.files import whole_file, write_json
from tasks.compilation.gate_report import GateReport
from tasks.compilation.machine import machine
from tasks.compilation.production_path_templates import HTML, MARKDOWN
from tasks.compilation.serving_measurement import ServingMeasurement
from tasks.records import Candidate

OPERATORS_NAMED = 3
GROWTH = 1.05
"""Times the throughput: more parallel requests that bring less than this bring nothing."""
ALIKE = 1.05
"""Times another figure: a ratio of less is not worth naming."""
ACCELERATORS = ("CUDA", "Tensorrt", "NvTensorRTRTX", "ROCM", "MIGraphX", "OpenVINO", "CoreML", "Dml", "QNN")
"""Names of ONNX Runtime's providers that are worth a measurement where they are there."""
SIMPLE = ("linear", "trees")


@dataclass(frozen=True)
class Answer:
    """A question, and what measurements say to it."""

    question: str
    answer: str


def answers(
    verdict: GateReport,
    measured: ServingMeasurement,
    untried: Sequence[str],
    gate: GateConfig,
    target: TargetConfig,
    metric: str,
) -> list[Answer]:
    """The questions in the order in which they are asked."""
    return [
        Answer("Is the latency of a request acceptable?", latency(verdict.chosen, gate)),
        Answer("How many parallel requests can one instance serve?", parallel(measured, gate)),
        Answer("What does it take to start one?", start(measured)),
        Answer("Does a smaller network lose little?", students(verdict, untried, metric)),
        Answer("Does a smaller format lose little?", formats(verdict, metric)),
        Answer("Does a model without a network do?", simple(verdict, metric)),
        Answer("Where does the time go?", operators(measured)),
        Answer("What do a million requests cost?", cost(measured, target)),
        Answer("What was not tried?", not_tried(untried)),
        Answer("What should serve?", recommendation(verdict, gate)),
    ]


def latency(chosen: Candidate, gate: GateConfig) -> str:
    """Median and 99th percentile beside the gate's limits."""
    within = chosen.latency_ms <= gate.max_latency_ms
    said = "Yes" if within else "No"
    limit = f"gate.max_latency_ms is {gate.max_latency_ms:g}"
    if gate.max_p99_ms is not None:
        said = said if chosen.p99_ms <= gate.max_p99_ms else "No"
        limit += f", gate.max_p99_ms {gate.max_p99_ms:g}"
    return (
        f"{said}: {chosen.graph.name} answers one row in {chosen.latency_ms:.3g} ms (median; 99 of 100 within "
        f"{chosen.p99_ms:.3g} ms) on one thread; {limit}."
    )


def parallel(measured: ServingMeasurement, gate: GateConfig) -> str:
    """By the limit of latency, and where throughput stops growing."""
    limit = gate.max_p99_ms or gate.max_latency_ms
    most = measured.most_requests(limit)
    best = saturation(measured)
    grows = f"Throughput stops growing at {best.requests} together, {best.throughput:,.0f} rows a second."
    if not most:
        return f"Not one within {limit:g} ms for 99 of 100. {grows}"
    more = " or more" if most == measured.loads[-1].requests else ""
    return (
        f"{most:,}{more} that arrive together are answered within {limit:g} ms, 99 of 100 of them, by the graph "
        f"on one thread (HTTP comes on top). {grows}"
    )


def saturation(measured: ServingMeasurement) -> Any:
    """The smallest load from which on more requests bring no more throughput."""
    loads = measured.loads
    best = loads[0]
    for load in loads[1:]:
        if load.throughput > GROWTH * best.throughput:
            best = load
    return best


def start(measured: ServingMeasurement) -> str:
    """Cold start and memory."""
    return f"{measured.start_s:.1f} s from nothing to the first answer, and {measured.megabytes:.0f} MB of memory for the process."


def students(verdict: GateReport, untried: Sequence[str], metric: str) -> str:
    """The best student in the format of the main network, beside it."""
    exact = named(verdict, "fp32")
    tried = [each for each in verdict.candidates if each.graph.format == "fp32" and each.graph.steps]
    if not tried or exact is None:
        return "None was trained: optimization.minutes sets a budget for a search, optimization.students names them."
    lines = [against(each, exact, metric) for each in sorted(tried, key=lambda each: -each.score)]
    return "; ".join(lines) + "."


def formats(verdict: GateReport, metric: str) -> str:
    """The main network's formats beside fp32."""
    exact = named(verdict, "fp32")
    tried = [each for each in verdict.candidates if each.graph.name == each.graph.format != "fp32"]
    if not tried or exact is None:
        return "None was made: optimization.quantize is empty, or none could be made (see the findings)."
    return "; ".join(against(each, exact, metric) for each in tried) + "."


def simple(verdict: GateReport, metric: str) -> str:
    """Linear models and trees, where they may serve."""
    exact = named(verdict, "fp32")
    tried = [each for each in verdict.candidates if each.graph.name in SIMPLE]
    if tried and exact is not None:
        return "; ".join(against(each, exact, metric) for each in tried) + "."
    known = [each.baseline for each in verdict.judgement.against if not each.baseline.trivial]
    if not known:
        return "None was measured."
    scores = ", ".join(f"{each.name} {each.score:.4f}" for each in known)
    return f"On the test rows: {scores}; they are no candidates (baselines.serve)."


def against(candidate: Candidate, exact: Candidate, metric: str) -> str:
    """A candidate beside the network's own graph."""
    speed = compare(exact.latency_ms / candidate.latency_ms, "as fast as", "faster than", "slower than")
    size = compare(exact.megabytes / candidate.megabytes, "as large", "smaller", "larger")
    why = f" (refused: {candidate.rejected})" if candidate.rejected else ""
    return f"{candidate.graph.name} is {speed} fp32 and {size} at {candidate.score - exact.score:+.4f} {metric}{why}"


def compare(ratio: float, alike: str, more: str, less: str) -> str:
    """A ratio in words."""
    if 1 / ALIKE < ratio < ALIKE:
        return alike
    return f"{ratio:.2g} times {more}" if ratio > 1 else f"{1 / ratio:.2g} times {less}"


def operators(measured: ServingMeasurement) -> str:
    """The most expensive operators, and the share of reading raw rows."""
    whole = sum(measured.operators_ms.values()) or 1.0
    first = list(measured.operators_ms.items())[:OPERATORS_NAMED]
    named_ones = ", ".join(f"{name} {duration / whole:.0%}" for name, duration in first)
    said = f"Of a single row's time by operator: {named_ones}."
    if measured.prefix_share:
        said += f" Reading texts, categories and dates alone takes {measured.prefix_share:.0%} of a call."
    return said


def cost(measured: ServingMeasurement, target: TargetConfig) -> str:
    """By the price of an instance at the throughput where it saturates; energy where the machine tells."""
    used = f" They take {measured.joules:.3g} J." if measured.joules is not None else ""
    if target.price_per_hour is None:
        return f"Not known: set target.price_per_hour to what an instance costs.{used}"
    hours = 1e6 / saturation(measured).throughput / 3600
    alone = 1e6 / measured.load(1).throughput / 3600
    price = target.price_per_hour
    return f"{hours * price:.2g} where the instance is busy with full batches, {alone * price:.2g} one by one, at {price:g} an hour.{used}"


def not_tried(untried: Sequence[str]) -> str:
    """Students that were left out, and what no machine here has."""
    import onnxruntime

    there_too = [each.removesuffix("ExecutionProvider") for each in onnxruntime.get_available_providers()]
    others = [each for each in there_too if each in ACCELERATORS]
    there = f" This ONNX Runtime has {', '.join(others)} too, which was not measured." if others else ""
    parts = [f"{sentence}." for sentence in untried]
    parts.append(f"Other runtimes and accelerators: everything was measured on one thread of a CPU.{there}")
    return " ".join(parts)


def recommendation(verdict: GateReport, gate: GateConfig) -> str:
    """The chosen graph, or why none."""
    chosen = verdict.chosen
    if verdict.failures:
        return f"Nothing yet: {'; '.join(verdict.failures)}. It would take: {'; '.join(verdict.remedies)}."
    return (
        f"{chosen.graph.name}, of {len(verdict.candidates)} candidates the one that gate.prefer {gate.prefer} takes; "
        f"on the test rows it reaches {verdict.judgement.score:.4f}."
    )


def named(verdict: GateReport, name: str) -> Candidate | None:
    """A candidate by its graph's name."""
    return next((each for each in verdict.candidates if each.graph.name == name), None)


def picture(measured: ServingMeasurement) -> bytes:
    """A PNG: latency and throughput by parallel requests, and time by operator."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout="constrained")
    delay, rate, work = figure.subplots(1, 3)
    loads = measured.loads
    requests = [load.requests for load in loads]
    delay.plot(requests, [load.latency_ms for load in loads], marker=".", label="median")
    delay.plot(requests, [load.p99_ms for load in loads], marker=".", label="99 of 100, others before them")
    delay.set(xscale="log", yscale="log", xlabel="parallel requests", title="latency, ms")
    delay.legend(fontsize=8)
    rate.plot(requests, [load.throughput for load in loads], marker=".", color="#c27c2c")
    rate.set(xscale="log", xlabel="parallel requests", title="rows a second")
    rate.set_ylim(bottom=0)
    shown = list(measured.operators_ms.items())[:8][::-1]
    work.barh([name for name, _ in shown], [duration * 1e3 for _, duration in shown], color="#1f6f8b")
    work.set(title="single row by operator, µs")
    for axes in (delay, rate):
        axes.grid(alpha=0.3)
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110)
    return image.getvalue()


def write_report(
    project: str,
    found: Sequence[Answer],
    verdict: GateReport,
    measured: ServingMeasurement,
    pictures: dict[str, bytes],
    *folders: Path,
) -> None:
    """path.md, path.html (one file), path.json and the pictures as <name>.png in each folder."""
    from base64 import b64encode

    from jinja2 import Environment

    facts = {
        "project": project,
        "machine": machine(),
        "rows": verdict.chosen.measured_on,
        "answers": [asdict(each) for each in found],
    }
    encoded = {name: b64encode(image).decode() for name, image in pictures.items()}
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(HTML)
    plain = Environment(autoescape=False, trim_blocks=True, lstrip_blocks=True).from_string(MARKDOWN)  # noqa: S701 - Markdown, not HTML
    files = {
        "path.html": page.render(facts, pictures=encoded).encode(),
        "path.md": plain.render(facts).encode(),
        **{f"{name}.png": image for name, image in pictures.items()},
    }
    kept = facts | {
        "candidates": [each.model_dump(mode="json") for each in verdict.candidates],
        "serving": asdict(measured) | {"loads": [asdict(each) for each in measured.loads]},
    }
    for folder in folders:
        write_json(folder / "path.json", kept)
        for name, content in files.items():
            with whole_file(folder / name) as temporary:
                temporary.write_bytes(content)
