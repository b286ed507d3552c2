"""A user's own code, named in a project's YAML by import path."""

import importlib
from typing import Any


def resolve(path: str) -> Any:
    """The object that `package.module:name` names. Raises ImportError naming the path and what is missing."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise ImportError(f"{path}: no module {error.name!r}; it must be installed or lie beside the project's YAML") from error
    except AttributeError:
        raise ImportError(f"{path}: module {module!r} has no {name!r}") from None
