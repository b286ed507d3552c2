"""What the search for a smaller and faster model finds for real data sets: what `make bench-compress` runs.

python tests/benchmarks/compress.py [name ...]      mnist, cifar10, banking77, sms_spam, adult; by default all

Each default network is trained on two ranks, then smaller ones within MINUTES of training, all of them in
every format. One is chosen on validation rows as the gate chooses, at most a point behind; then it and the
network's own fp32 graph are asked about the test rows, and timed once more in turns. `latency_ratio` and
`size_ratio`: fp32's to the chosen one's, of single rows on one thread, prefix of strings included; `lost`: of
the score on the test rows; `minutes`: of everything, the main network's training included.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accuracy import DATA, adult, banking77, cifar10, mnist, say, version

from configs.cluster import ClusterConfig
from configs.gate import GateConfig
from configs.load import load
from configs.optimization import OptimizationConfig
from configs.training import TrainingConfig
from infra.cluster import open_cluster
from tasks.compilation.choice import choose_graph
from tasks.compilation.graph_export import export
from tasks.compilation.measurement import HeldOut, held_out, measure
from tasks.intake import build_intake
from tasks.optimization.sketch import sketch_students
from tasks.optimization.students import StudentSearch
from tasks.optimization.variants import variant
from tasks.records import Stored, TrainedModel
from tasks.result import build_result
from tasks.training.distributed import train_on_ranks
from tasks.training.evaluate import evaluate
from tasks.training.messages import EpochEnded
from tasks.training.plan import Plan, Teacher

MINUTES = 15
GATE = GateConfig(max_loss=0.01, min_gain=None, max_behind=None)


def sms_spam():
    project = load("sms_spam")
    frame = pd.read_csv(DATA / "text" / "sms_spam.tsv", sep="\t", names=["label", "text"], quoting=3)
    frame = frame.drop_duplicates()
    draws = np.random.default_rng(0).random(len(frame))
    return frame.assign(split=np.where(draws < 0.2, "test", "train")), project.intake, project.result


SETS = {
    "mnist": mnist,
    "cifar10": cifar10,
    "banking77": banking77,
    "sms_spam": sms_spam,
    "adult": adult,
}


class Run:
    """One data set's way from rows to the chosen graph."""

    def __init__(self, name, client, folder):
        frame, self.intake_section, self.result_section = SETS[name]()
        self.name, self.client, self.folder = name, client, folder
        self.dataset = version(name, frame, folder / "rows")
        self.intake, self.result = build_intake(self.intake_section), build_result(self.result_section)
        self.optimization = OptimizationConfig(minutes=MINUTES)

    def train(self, name, training, teacher=None):
        plan = Plan(
            dataset=self.dataset,
            intake=self.intake_section,
            result=self.result_section,
            training=training,
            teacher=teacher,
            folder=self.folder / name,
        )
        scores, started = [], time.monotonic()

        def heard(message):
            if isinstance(message, EpochEnded):
                scores.append(message.metrics[self.result.metric])

        checkpoint = train_on_ranks(self.client, plan, heard)
        seconds = time.monotonic() - started
        metrics = evaluate(plan, checkpoint)[0]
        say(f"{self.name}: {name} {max(scores):.4f} validation, {seconds:.0f} s")
        return TrainedModel(
            **dict(checkpoint),
            dataset=self.dataset,
            run_id="none",
            ranks=training.ranks,
            metrics=metrics,
            validation=max(scores),
            seconds=seconds,
        )

    def graphs(self, model, training, name, steps=()):
        """A network's graph in every format; a format that cannot be made is told and left out."""
        folder = self.folder / name
        graph = export(model, self.intake, self.result, training, folder, name, steps)
        made = [graph]
        for kind in self.optimization.quantize:
            try:
                rows = self.optimization.calibration_rows
                made.append(
                    variant(graph, kind, self.dataset, self.intake, self.result, rows, GATE.max_loss, folder)
                )
            except ValueError as error:
                say(f"{self.name}: {name} in {kind}: {error}")
        return made

    def search(self):
        training = TrainingConfig()
        main = self.train("fp32", training)
        made = self.graphs(main, training, "fp32")
        sketches = sketch_students(main, made[0], self.intake, self.result, training)
        search = StudentSearch(self.optimization, training, main, sketches, GATE.max_loss)
        teacher = Teacher(
            checkpoint=Stored(uri=main.uri, digest=main.digest),
            training=training,
            weight=self.optimization.distillation_weight,
            temperature=self.optimization.temperature,
        )
        while recipe := search.next():
            student = self.train(recipe.name, recipe.training, teacher if recipe.taught else None)
            search.add(recipe, student)
            made += self.graphs(student, recipe.training, recipe.name, (recipe.step,))
        for sentence in search.sentences:
            say(f"{self.name}: {sentence}")
        return made

    def measure(self):
        started = time.perf_counter()
        made = self.search()
        choice = choose_graph(made, self.dataset, self.intake, self.result, GATE)
        for each in choice.candidates:
            say(
                f"{self.name}: {each.graph.name} {each.score:.4f} {each.latency_ms:.4f} ms {each.megabytes:.3f} MB {each.rejected or ''}"
            )
        for finding in choice.findings:
            say(f"{self.name}: {finding.text}")
        chosen = choice.chosen.graph
        rows, targets = held_out(self.dataset, self.intake, self.result)
        pair = [made[0]] if chosen == made[0] else [made[0], chosen]
        measured = measure(pair, HeldOut("test", rows, targets, {}), self.result)
        exact, small = measured[0], measured[-1]
        return {
            "fp32": facts(exact),
            "chosen": facts(small),
            "recipe": ", ".join(chosen.steps) or "as trained",
            "latency_ratio": round(exact.latency_ms / small.latency_ms, 2),
            "size_ratio": round(exact.megabytes / small.megabytes, 2),
            "lost": round(exact.score - small.score, 4),
            "minutes": round((time.perf_counter() - started) / 60, 1),
        }


def facts(candidate):
    return {
        "score": round(candidate.score, 4),
        "latency_ms": round(candidate.latency_ms, 4),
        "rounds_ms": [round(each, 4) for each in candidate.latency_rounds_ms],
        "megabytes": round(candidate.megabytes, 3),
    }


def main():
    torch.set_num_threads(1)
    results = {}
    with (
        tempfile.TemporaryDirectory(prefix="gyre-bench-") as folder,
        open_cluster(ClusterConfig(workers=2)) as client,
    ):
        for name in sys.argv[1:] or SETS:
            (Path(folder) / name).mkdir()
            results[name] = Run(name, client, Path(folder) / name).measure()
            say(name, results[name])
    print(json.dumps(results))


if __name__ == "__main__":
    main()
