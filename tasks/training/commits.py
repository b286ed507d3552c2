"""Where a training stands, so that it can go on after a kill.

Safetensors and JSON, whole or not at all, known by their digests.

A commit is a folder `step-<steps done>-<digest>`. Its content is checked when it is read; a damaged one is
passed over for the one before.
"""

import json
import logging
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from infra.files import digest, whole_folder, write_json

log = logging.getLogger("gyre.training")
NAME = re.compile(r"step-(\d{12})-([0-9a-f]{16})")
NAME_BYTES = 34
STATE = "state."
"""Prefix of an optimizer's tensors: state.<number of the parameter>.<name>."""


@dataclass(frozen=True)
class Commit:
    """One moment of a training."""

    step: int
    """Optimizer steps done."""
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    """JSON values: position in the data, schedule, history."""
    path: Path


@dataclass(frozen=True)
class Commits:
    """The commits of one training: the last `keep`, and the one of the best score."""

    folder: Path
    keep: int = 2

    def save(
        self, step: int, tensors: dict[str, Tensor], facts: dict[str, Any], score: float = -math.inf
    ) -> Path:
        """Writes a commit and removes those that are not needed any more. `score`: the larger the better."""
        unnamed = self.folder / f".step-{step}"
        with whole_folder(unnamed) as partial:
            save_file(
                {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()},
                partial / "state.safetensors",
            )
            write_json(
                partial / "state.json",
                {"step": step, "score": None if math.isinf(score) else score, "facts": facts},
            )
        path = self.folder / f"step-{step:012d}-{digest(unnamed)[:16]}"
        if path.exists():
            shutil.rmtree(unnamed)
        else:
            unnamed.rename(path)
        self.prune()
        return path

    def paths(self) -> list[Path]:
        """Oldest first."""
        return sorted(path for path in self.folder.glob("step-*") if NAME.fullmatch(path.name))

    def newest(self) -> Commit | None:
        """The newest commit whose content is what its name says; None where there is none."""
        for path in reversed(self.paths()):
            if commit := read(path):
                return commit
            log.warning("%s is damaged; the commit before it is taken", path)
        return None

    def best(self) -> Commit | None:
        """The commit of the best score; None where none has one, or it is damaged."""
        best = max(self.paths(), key=lambda path: (score_of(path), path.name), default=None)
        return read(best) if best and score_of(best) > -math.inf else None

    def remove(self) -> None:
        """All of them: the training is over."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def prune(self) -> None:
        """Leaves the last `keep` commits and the best one."""
        paths = self.paths()
        best = max(paths, key=lambda path: (score_of(path), path.name), default=None)
        for path in paths[: -self.keep]:
            if path != best:
                shutil.rmtree(path)


def read(path: Path) -> Commit | None:
    """A commit, or None where it is damaged."""
    found = NAME.fullmatch(path.name)
    if found is None or not any(path.iterdir()) or digest(path)[:16] != found[2]:
        return None
    state = json.loads((path / "state.json").read_text(encoding="utf-8"))
    return Commit(state["step"], load_file(path / "state.safetensors"), state["facts"], path)


def score_of(path: Path) -> float:
    """A commit's score; a damaged or unscored one has the least."""
    try:
        score = json.loads((path / "state.json").read_text(encoding="utf-8"))["score"]
    except (OSError, ValueError, KeyError):
        return -math.inf
    return -math.inf if score is None else float(score)


def optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """An optimizer's tensors by name, and its parameter groups as JSON values.

    Raises TypeError for a state that is no tensor.
    """
    state = optimizer.state_dict()
    tensors = {}
    for number, values in state["state"].items():
        for name, value in values.items():
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"the optimizer's state {name!r} is {type(value).__name__}; commits keep tensors alone"
                )
            tensors[f"{STATE}{number}.{name}"] = value
    return tensors, state["param_groups"]


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor], groups: list[dict[str, Any]]) -> None:
    """The inverse of `optimizer_state`, into an optimizer of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(STATE):
            number, _, name = key.removeprefix(STATE).partition(".")
            state.setdefault(int(number), {})[name] = tensor
    with torch.no_grad():
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        for parameter, values in optimizer.state.items():
            # In memory as the parameter, or a fused step would pair the numbers wrongly.
            values |= {
                name: torch.empty_like(parameter).copy_(value)
                for name, value in values.items()
                if value.shape == parameter.shape
            }
