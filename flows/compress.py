"""From a trained model to the graphs that may serve in its place.

Its own, those of smaller networks, and all of them in smaller formats.
"""

from configs.project import Project
from tasks.compilation.task import export
from tasks.optimization.students import StudentSearch
from tasks.optimization.task import optimize, sketch
from tasks.records import Graph, Stored, TrainedModel, Variants
from tasks.training.plan import Teacher
from tasks.training.task import train


def variants_of(model: TrainedModel, config: Project) -> Variants:
    """The network's own graph, `fp32`, first.

    Students are trained as the network was, one after the other.
    """
    own = export(model, config.intake, config.result, config.training)
    made = [in_formats(own, model, config)]
    search = student_search(model, own, config)
    while recipe := search.next():
        student = train(
            model.dataset,
            config.intake,
            config.result,
            recipe.training,
            None,
            config.cluster,
            student=recipe.name,
            teacher=teacher_of(model, config) if recipe.taught else None,
        )
        search.add(recipe, student)
        graph = export(student, config.intake, config.result, recipe.training, recipe.name, (recipe.step,))
        made.append(in_formats(graph, model, config))
    return Variants(
        graphs=tuple(graph for each in made for graph in each.graphs),
        findings=tuple(finding for each in made for finding in each.findings),
        untried=search.sentences,
    )


def in_formats(graph: Graph, model: TrainedModel, config: Project) -> Variants:
    """A graph, and the same in every format of `optimization.quantize`."""
    smaller = optimize(
        graph, model.dataset, config.intake, config.result, config.optimization, config.gate.max_loss
    )
    return Variants(graphs=(graph, *smaller.graphs), findings=smaller.findings)


def student_search(model: TrainedModel, graph: Graph, config: Project) -> StudentSearch:
    """The search for students.

    Without a budget there are no others than the declared ones, and nothing to estimate.
    """
    sketches = []
    if config.optimization.minutes is not None:
        sketches = sketch(model, graph, config.intake, config.result, config.training)
    return StudentSearch(config.optimization, config.training, model, tuple(sketches), config.gate.max_loss)


def teacher_of(model: TrainedModel, config: Project) -> Teacher:
    """The main network as its students' teacher."""
    return Teacher(
        checkpoint=Stored(uri=model.uri, digest=model.digest),
        training=config.training,
        weight=config.optimization.distillation_weight,
        temperature=config.optimization.temperature,
    )
