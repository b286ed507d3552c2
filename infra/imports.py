"""Code that is named by import path: a user's own in a project's YAML, and what a service runs."""

import gc
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def resolve(path: str) -> Any:
    """The object that `package.module:name` names. Raises ImportError naming the path and what is missing."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{path}: no module {error.name!r}; it must be installed or lie beside the project's YAML"
        ) from error
    except AttributeError:
        raise ImportError(f"{path}: module {module!r} has no {name!r}") from None


def lazy(*paths: str) -> Callable[[str], Any]:
    """A package's `__getattr__`.

    It offers what the import paths name, and imports one when somebody asks for it.

    So a package can offer a core that needs torch, and cost nothing to whoever imports another module of it.
    """
    offered = {path.partition(":")[2]: path for path in paths}

    def load(name: str) -> Any:
        if name not in offered:
            raise AttributeError(f"no {name!r}; offered are {', '.join(offered)}")
        return resolve(offered[name])

    return load


@contextmanager
def without_collections() -> Iterator[None]:
    """Imports in the block take a quarter less time.

    Nearly all that they make stays, and collections would look through it in vain.

    Later ones leave it out too, so this is for the start of a process that goes on to serve.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
