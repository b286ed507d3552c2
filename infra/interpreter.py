"""The Python that Gyre runs with: the one named, the one at hand, one on PATH, or one that uv brings.

Standard library only, and nothing newer than Python 3.8: an older Python must get far enough to find a better
one, or to say how.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.installer import UV, SetupError, pip_settings, run_told, uv_environment

SUPPORTED = ((3, 11), (3, 12), (3, 13))
"""Every pin has wheels for these, and Horovod builds with them. The first is the best tried: it is looked for
first."""


def supported_python() -> str:
    """A supported interpreter: the one that GYRE_PYTHON names, this one, one on PATH, or one that uv brings.

    Raises SetupError.
    """
    named = os.environ.get("GYRE_PYTHON")
    if named:
        found = shutil.which(named)
        if not found or version_of(found) not in SUPPORTED:
            raise SetupError(
                f"Gyre needs Python {spoken_versions()}; GYRE_PYTHON={named} is not one. {ways_to_python()}"
            )
        return found
    if sys.version_info[:2] in SUPPORTED:
        return sys.executable
    return python_on_path() or python_from_uv()


def version_of(python: str) -> tuple[int, ...]:
    """Major and minor version of an interpreter; empty where it does not run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        asked = subprocess.run([python, "-c", code], capture_output=True, check=False)
    except OSError:
        return ()
    return tuple(int(part) for part in asked.stdout.split()) if asked.returncode == 0 else ()


def python_on_path() -> str:
    """The first supported interpreter on PATH; empty where there is none."""
    for version in SUPPORTED:
        found = shutil.which("python{}.{}".format(*version))
        # A version manager's shim is there for every version, and runs for those that are installed.
        if found and version_of(found) == version:
            return found
    return ""


def python_from_uv() -> str:
    """An interpreter with its headers that uv downloads, once a user. Raises SetupError."""
    wanted = "{}.{}".format(*SUPPORTED[0])
    missing = f"Gyre needs Python {spoken_versions()}; this is {sys.version.split()[0]}, and none of them is on PATH"
    print(f"[0/4] {missing}: uv brings {wanted}", flush=True)
    environment = uv_environment(pip_settings(sys.executable))
    hint = f"{missing}. {ways_to_python()}"
    with tempfile.TemporaryDirectory(prefix="gyre-python-") as scratch:
        uv = shutil.which("uv")
        if not uv:
            run_told([sys.executable, "-m", "venv", scratch], hint)
            run_told([str(Path(scratch, "bin", "python")), "-m", "pip", "install", "--quiet", UV], hint)
            uv = str(Path(scratch, "bin", "uv"))
        # Where it was brought before, this takes no time and asks nobody.
        run_told([uv, "python", "install", "--no-bin", wanted], hint, environment)
        find = [uv, "python", "find", "--managed-python", "--no-project", wanted]
        return subprocess.run(
            find, env=environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()


def spoken_versions() -> str:
    """The supported versions, for a sentence."""
    *names, last = ["{}.{}".format(*version) for version in SUPPORTED]
    return f"{', '.join(names)} or {last}"


def ways_to_python() -> str:
    """How to come by a supported interpreter."""
    return (
        f"Debian 12 and 13 and Ubuntu 24.04 have one: {apt_line('3')}. Where it lies elsewhere: GYRE_PYTHON=/path/to/python make setup. "
        "Where uv is to fetch one from a mirror: UV_PYTHON_INSTALL_MIRROR=https://mirror.example/path make setup"
    )


def apt_line(version: str) -> str:
    """What installs an interpreter whole on Debian, where it comes without venv and headers."""
    return f"sudo apt-get install python{version} python{version}-venv python{version}-dev"
