"""Which smaller networks are trained beside the main one, one after the other, by what came of those before.

A student that was trained is an outcome like any other: a run that was killed finds it again, and its cost
counts as it was measured the first time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from configs.optimization import OptimizationConfig, StudentConfig
from configs.training import TrainingConfig
from tasks.records import Sketch, TrainedModel

HALF, QUARTER, THREE_QUARTERS = 0.5, 0.25, 0.75
WIDTHS = {"half": HALF, "quarter": QUARTER, "three_quarters": THREE_QUARTERS}
"""That a search tries, by the name of the student."""
HALVES = {"half", "half_taught"}
WORTH = 0.9
"""Of the main network's latency or size: a student that is estimated at more of both is not trained."""


TEACHER_SHARE = 0.4
"""Of the main network's step: what its answers cost a student that is taught."""
MOST_EPOCHS = 3.0
"""Times the main network's epochs, at most, for a student: about as long a training as the main network's."""


@dataclass(frozen=True)
class Recipe:
    """A student to be trained."""

    name: str
    training: TrainingConfig
    taught: bool

    @property
    def step(self) -> str:
        """How its network came about, in words."""
        return f"{self.name}: {'taught by the network' if self.taught else 'trained alone'}"


@dataclass
class StudentSearch:
    """Declared students first, then a search by width as long as `optimization.minutes` lasts."""

    optimization: OptimizationConfig
    training: TrainingConfig
    main: TrainedModel
    sketches: tuple[Sketch, ...]
    max_loss: float
    trained: dict[str, TrainedModel] = field(default_factory=dict)
    untried: dict[str, str] = field(default_factory=dict)
    """Why a student was left out, by its name."""

    def next(self) -> Recipe | None:
        """The next student; None where there is no other, or no time for one."""
        for recipe in self.recipes():
            if recipe.name in self.trained or recipe.name in self.untried:
                continue
            if reason := self.objection(recipe):
                self.untried[recipe.name] = reason
                continue
            return recipe
        return None

    def add(self, recipe: Recipe, model: TrainedModel) -> None:
        """What came of a recipe."""
        self.trained[recipe.name] = model

    def recipes(self) -> Iterable[Recipe]:
        """Declared ones, then those of the search, which depend on what is known of those before."""
        for name, student in self.optimization.students.items():
            yield Recipe(name, student_training(self.training, student), student.taught)
        if self.optimization.minutes is None:
            return
        yield from self.of_width("half")
        loss = self.least_loss()
        if loss is not None:
            yield from self.of_width("quarter" if loss <= self.max_loss else "three_quarters")
        elif self.trained.keys() & HALVES:
            self.untried["quarter"] = "depends on what half loses on validation rows, and there are none"

    def of_width(self, name: str) -> Iterable[Recipe]:
        """A width alone, then taught: which of them is better differs from data set to data set."""
        student = StudentConfig(width=WIDTHS[name])
        sketch = self.sketch(name)
        training = student_training(self.training, student).model_copy(
            update={"epochs_factor": min(MOST_EPOCHS, max(1.0, 1 / sketch.latency_ratio))}
        )
        yield Recipe(name, training, taught=False)
        yield Recipe(f"{name}_taught", training, taught=True)

    def least_loss(self) -> float | None:
        """Of validation score to the main network, by the better student of half the width.

        None where none was trained or none can be told.
        """
        scores = [
            model.validation
            for student, model in self.trained.items()
            if student in HALVES and model.validation is not None
        ]
        if not scores or self.main.validation is None:
            return None
        return self.main.validation - max(scores)

    def objection(self, recipe: Recipe) -> str:
        """Why a student is not worth its training; empty where it is.

        Declared students are always trained.
        """
        if recipe.name in self.optimization.students:
            return ""
        sketch = self.sketch(recipe.name)
        if sketch.reason:
            return sketch.reason
        if sketch.latency_ratio > WORTH and sketch.size_ratio > WORTH:
            return f"would take {sketch.latency_ratio:.0%} of the network's time and {sketch.size_ratio:.0%} of its size"
        minutes = self.optimization.minutes or 0
        left = 60 * minutes - sum(model.seconds for model in self.trained.values())
        step = sketch.latency_ratio + TEACHER_SHARE * recipe.taught
        wanted = self.main.seconds * recipe.training.epochs_factor * step
        if wanted > left:
            return f"would train for about {wanted / 60:.1f} minutes, and of optimization.minutes {minutes:g} there are {max(left, 0) / 60:.1f} left"
        return ""

    def sketch(self, name: str) -> Sketch:
        """What is estimated of a student of the search."""
        return next(each for each in self.sketches if name.startswith(each.student))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was not tried, and why."""
        return tuple(f"{name} was not trained: it {reason}" for name, reason in self.untried.items())


def student_training(training: TrainingConfig, student: StudentConfig) -> TrainingConfig:
    """How a student is trained.

    As the main network, but from nothing, and with what the student has of its own.
    """
    own = training.network_options if student.network is None else {}
    width = {} if student.width is None else {"width": student.width}
    return training.model_copy(
        update={
            "network": student.network or training.network,
            "network_options": own | student.network_options | width,
            "epochs": student.epochs or training.epochs,
            "warm_start": None,
            "resume": None,
        }
    )
