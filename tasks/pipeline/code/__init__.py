"""The code behind an outcome.

Every file that a module may run, and the versions of the libraries that these import.

In: a module's name, and sections of the YAML that may name a user's code. Out: a digest that changes when any
of it does. Files are parsed, never imported. `closure.py` follows imports, `syntax.py` says what one file
holds, `memory.py` keeps that between processes.
"""

from functools import cache
from pathlib import Path

from tasks.pipeline.code.closure import Code

__all__ = ["Code", "code_digest", "installed"]


@cache
def code_digest(module: str, inputs: bytes = b"") -> str:
    """Of all that a module may run, and of the user's code that import paths in `inputs` (JSON) name.

    The same while a process lives: what it has imported is what it runs, even where a file changes meanwhile.
    """
    return installed().digest(module, inputs)


@cache
def installed() -> Code:
    """Gyre's own packages, where this one lies."""
    return Code(Path(__file__).parents[3])
