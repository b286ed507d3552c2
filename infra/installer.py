"""How set-up runs pip and uv.

What the user told pip holds for both, and where one fails its cause is named with what to do.

Standard library only, and nothing newer than Python 3.8: it runs before anything is installed.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

UV = "uv==0.13.8"
DEFAULT_INDEX = "the public index"
OPTIONS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
"""pip's options and the variables that say the same to uv."""
DISK_FULL = ("no space left on device", "disk quota exceeded", "os error 28", "os error 122")
UNREACHABLE = (
    "failed to fetch",
    "error sending request",
    "name resolution",
    "dns error",
    "connection refused",
    "network is unreachable",
    "newconnectionerror",
    "connecttimeout",
    "timed out",
    "certificate",
    # All that pip says of an index that does not answer, where it is told not to try again.
    "from versions: none",
)
NOT_FOUND = (
    "no solution found",
    "no matching distribution",
    "resolutionimpossible",
    "was not found in the package registry",
)
TAIL_LINES = 40


class SetupError(RuntimeError):
    """Set-up cannot go on; the message says what to install or set."""


def pip_settings(python: str) -> dict[str, str]:
    """What the user told pip, in its files and its environment: option -> value.

    An option of several values holds them with spaces.

    A Python without pip knows of no files; what the environment says holds all the same.
    """
    listed = subprocess.run(
        [python, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, text=True, check=False
    ).stdout
    told: dict[str, dict[str, str]] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        if value.startswith(("'", '"')):
            told.setdefault(section, {})[option] = " ".join(str(ast.literal_eval(value)).split())
    environment = {}
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            environment[name[len("PIP_") :].lower().replace("_", "-")] = value
    # pip's own order: a command's section outdoes the general one, the environment both.
    return {**told.get("global", {}), **told.get("install", {}), **environment}


def uv_environment(settings: dict[str, str]) -> dict[str, str]:
    """The environment in which uv does what pip would with these settings.

    A variable of uv's that the user set is left alone.
    """
    environment = {"UV_HTTP_TIMEOUT": "180", **os.environ}
    for option, variable in OPTIONS.items():
        if settings.get(option):
            # uv separates folders of wheels by commas, everything else by spaces as pip does.
            value = ",".join(settings[option].split()) if option == "find-links" else settings[option]
            environment.setdefault(variable, value)
    if settings.get("extra-index-url"):
        # uv would look no further than the first index that has a package, at whatever versions; pip takes
        # the best of all.
        environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return environment


def asked_indexes(environment: dict[str, str]) -> str:
    """The places that packages are looked for, for a sentence, without the passwords in their URLs."""
    asked = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL") or DEFAULT_INDEX
    more = f"{environment.get('UV_INDEX', '')} {environment.get('UV_EXTRA_INDEX_URL', '')}".split()
    links = [f"the files of {place}" for place in environment.get("UV_FIND_LINKS", "").split(",") if place]
    return mask_credentials(", ".join([asked, *more, *links]))


def mask_credentials(text: str) -> str:
    """The text with user and password of every URL in it made unreadable."""
    return re.sub(r"(?<=://)[^/@\s]+@", "***@", text)


def advice(output: str, environment: dict[str, str] | None = None) -> str:
    """What to do about a failure, told by the last lines that a command wrote.

    Empty where they name no known cause.
    """
    said = output.lower()
    asked = asked_indexes(environment if environment is not None else uv_environment({}))
    if any(sign in said for sign in DISK_FULL):
        return (
            "The disk is full: the environment needs 3 GB and uv's cache as much. Make room, or move the cache (UV_CACHE_DIR) "
            "or the scratch folder (TMPDIR) to another disk"
        )
    # Before the next: where no index answers, pip says too that no version was found.
    if any(sign in said for sign in UNREACHABLE):
        return (
            f"The package index could not be reached. Asked were: {asked}. Behind a proxy set HTTPS_PROXY; where another index is to be "
            "used set PIP_INDEX_URL; where it has a certificate of its own set PIP_CERT"
        )
    if any(sign in said for sign in NOT_FOUND):
        return (
            f"Asked were: {asked}. An index of your own must have what constraints.txt pins, or pass on to one that has: "
            "PIP_INDEX_URL names the index, PIP_EXTRA_INDEX_URL more of them, PIP_FIND_LINKS folders of wheels"
        )
    return ""


def run_told(
    command: list[str],
    hint: str = "",
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
    hidden: tuple[str, ...] = (),
) -> None:
    """Runs a command and shows what it says, but for lines that begin with `hidden`.

    Raises SetupError with its cause or the hint.
    """
    tail: list[str] = []
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise SetupError(f"`{command[0]}` does not start ({error.strerror}). {hint}") from None
    with process:
        for line in process.stdout or ():
            tail = [*tail[1 - TAIL_LINES :], line]
            if not line.startswith(hidden or "\0"):
                print(f"      {mask_credentials(line.rstrip())}", flush=True)
    if process.returncode:
        told = ". ".join(filter(None, [advice("".join(tail), environment), hint]))
        shown = mask_credentials(" ".join(command))[:200]
        raise SetupError(f"`{shown}` ended with {process.returncode}; its reason is above. {told}".rstrip())
