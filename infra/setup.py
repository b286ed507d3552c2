"""Makes .venv: locked dependencies, and Horovod built from its source. Standard library only; where all is done already it takes no time.

    python3 -m infra.setup                 what `make setup` runs
    python3 -m infra.setup --constraints   resolves the dependencies again, into constraints.txt

GYRE_ACCELERATOR=cpu|cuda overrides what is found; GYRE_PYTHON names the interpreter.
"""

# An older Python must get far enough to say that it is too old: no syntax and no import here is newer than 3.8.
from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".ready"
HOROVOD = ROOT / "infra" / "horovod"
CONSTRAINTS = ROOT / "constraints.txt"
SUPPORTED = (3, 11)
"""Horovod's build is known to work with this Python."""
UV = "uv==0.13.8"
PULSE_S = 15
RUNTIMES = {"cpu": "onnxruntime", "cuda": "onnxruntime-gpu"}
"""Both install the same module, so only one may be there."""
EXTRAS = {"cpu": "cpu", "cuda": "gpu"}
TRIAL = "import onnxruntime, horovod.torch as hvd; hvd.init(); assert hvd.size() == 1"


class SetupError(RuntimeError):
    """Set-up cannot go on; the message says what to install or set."""


def main() -> int:
    """Sets everything up, or says what is missing (exit 1)."""
    try:
        require_python()
        chosen = accelerator()
        if "--constraints" in sys.argv[1:]:
            resolve_constraints()
        elif not ready(chosen):
            set_up(chosen)
    except SetupError as error:
        print(f"\nset-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130
    return 0


def require_python() -> None:
    """Goes on in a supported interpreter: the one that GYRE_PYTHON names, this one, or one on PATH. Raises SetupError."""
    named = os.environ.pop("GYRE_PYTHON", None)
    if sys.version_info[:2] == SUPPORTED and not named:
        return
    wanted = "python{}.{}".format(*SUPPORTED)
    found = shutil.which(named or wanted)
    if not found or version_of(found) != SUPPORTED:
        here = f"GYRE_PYTHON={named} is not one" if named else f"this is Python {sys.version.split()[0]}, and {wanted} is not on PATH"
        packages = f"{wanted} {wanted}-venv {wanted}-dev"
        raise SetupError(
            f"Gyre needs {wanted}; {here}. On Debian or Ubuntu: sudo apt-get install {packages}. "
            f"If it is elsewhere: GYRE_PYTHON=/path/to/{wanted} make setup"
        )
    os.execv(found, [found, "-m", "infra.setup", *sys.argv[1:]])  # noqa: S606


def version_of(python: str) -> tuple[int, ...]:
    """Major and minor version of an interpreter; empty where it does not run."""
    code = "import sys; print(*sys.version_info[:2])"
    try:
        asked = subprocess.run([python, "-c", code], capture_output=True, check=False)
    except OSError:
        return ()
    return tuple(int(part) for part in asked.stdout.split()) if asked.returncode == 0 else ()


def accelerator() -> str:
    """`cuda` where GYRE_ACCELERATOR says so or an NVIDIA card answers, else `cpu`. The one place that decides it. Raises SetupError."""
    chosen = os.environ.get("GYRE_ACCELERATOR", "")
    if chosen not in ("", "cpu", "cuda"):
        raise SetupError(f"GYRE_ACCELERATOR={chosen!r}: allowed are cpu and cuda, or nothing to look for an NVIDIA card")
    if chosen or not shutil.which("nvidia-smi"):
        return chosen or "cpu"
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False)
    return "cuda" if listed.returncode == 0 and b"GPU" in listed.stdout else "cpu"


def ready(chosen: str) -> bool:
    """Whether the last set-up ended well, in this very folder and with the same ingredients."""
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8") == ingredients(chosen)


def ingredients(chosen: str) -> str:
    """What the environment is made of; after any change it is brought up to date."""
    files = [ROOT / "pyproject.toml", CONSTRAINTS, *(HOROVOD / name for name in ("build.py", "horovod.patch", "shared_memory.h"))]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return json.dumps({"root": str(ROOT), "accelerator": chosen, "uv": UV, **digests}, indent=1)


def set_up(chosen: str) -> None:
    """The four steps; each finds what an interrupted run has done. Raises SetupError."""
    require_compiler(chosen)
    wanted = ingredients(chosen)
    started = time.monotonic()
    with step("1/4", f"virtual environment in {VENV.name}"):
        make_venv()
    with step("2/4", f"dependencies for {chosen} (2.5 GB; minutes where they are not in uv's cache)"):
        install_dependencies(chosen)
    with step("3/4", "Horovod (built from its source once a machine)", pulse_s=None):
        install_horovod(chosen)
    with step("4/4", "trying Horovod and ONNX Runtime"):
        run([str(PYTHON), "-c", TRIAL], "the parts do not run together; `make clean setup` begins anew")
    STAMP.write_text(wanted, encoding="utf-8")
    print(f"Set up in {time.monotonic() - started:.0f} s.", flush=True)


def require_compiler(chosen: str) -> None:
    """Before minutes of installing: the tools of Horovod's build, unless its wheel was built before. Raises SetupError."""
    from infra.horovod import build

    pinned = re.search(r"^torch==([\w.]+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    folder = build.cache_folder(chosen, torch=f"{pinned.group(1)}*" if pinned else "*")
    try:
        if not list(folder.parent.glob(f"{folder.name}/*.whl")):
            build.require_tools(chosen)
    except build.BuildError as error:
        raise SetupError(str(error)) from None


def make_venv() -> None:
    """A virtual environment with pip (Horovod's build needs it) and uv. One that was moved here or lost its interpreter is made anew."""
    moved = STAMP.is_file() and json.loads(STAMP.read_text(encoding="utf-8"))["root"] != str(ROOT)
    # A stamp of an earlier set-up must not outlive what it vouches for.
    STAMP.unlink(missing_ok=True)
    if moved or version_of(str(PYTHON)) != SUPPORTED or not (VENV / "bin" / "pip").exists():
        hint = "On Debian or Ubuntu: sudo apt-get install python{0}.{1}-venv python{0}.{1}-dev".format(*SUPPORTED)
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], hint)
    run([str(PYTHON), "-m", "pip", "install", "--quiet", UV], "the package index could not be reached")


def install_dependencies(chosen: str) -> None:
    """Everything but Horovod, at the versions of constraints.txt, and Gyre itself so that edits need no new set-up."""
    other = RUNTIMES["cuda" if chosen == "cpu" else "cpu"]
    reinstall = []
    if installed(other):
        uv(["pip", "uninstall", other])
        # The two own the same files: what the other one's removal took with it is put back.
        reinstall = ["--reinstall-package", RUNTIMES[chosen]]
    backend = ["--torch-backend", "cpu"] if chosen == "cpu" and not uv_environment().get("UV_FIND_LINKS") else []
    uv(["pip", "install", "-c", str(CONSTRAINTS), *reinstall, *backend, "-e", f"{ROOT}[{EXTRAS[chosen]},dev,build]"])


def install_horovod(chosen: str) -> None:
    """Horovod's wheel from the cache, built first where it is not there."""
    command = [str(PYTHON), str(HOROVOD / "build.py"), "--operations", chosen]
    wheel = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            wheel = line.strip()
            if not wheel.endswith(".whl"):
                print(f"      {line.rstrip()}", flush=True)
    if process.returncode:
        raise SetupError("Horovod could not be built; the reason is above")
    uv(["pip", "install", "--no-deps", "--reinstall-package", "horovod", wheel])


def installed(distribution: str) -> bool:
    """Whether the environment has a distribution."""
    return any(VENV.glob(f"lib/python*/site-packages/{distribution.replace('-', '_')}-[0-9]*.dist-info"))


def resolve_constraints() -> None:
    """Writes constraints.txt anew, keeping versions that still fit. Torch is the index's own, so what CUDA needs is pinned too."""
    extras = [option for extra in ("cpu", "gpu", "dev", "build") for option in ("--extra", extra)]
    form = ["--python-version", "{}.{}".format(*SUPPORTED), "--no-header", "--no-annotate", "--quiet"]
    os.environ.update(UV_FIND_LINKS="")
    uv(["pip", "compile", str(ROOT / "pyproject.toml"), *extras, *form, "-o", str(CONSTRAINTS)])


def uv(arguments: list[str]) -> None:
    """Runs uv on the environment; of what it tells, the list of 300 packages is left out. Raises SetupError."""
    command = [str(VENV / "bin" / "uv"), *arguments]
    with subprocess.Popen(command, env=uv_environment(), cwd=str(ROOT), stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr or ():
            if line[:3] not in (" + ", " - ", " ~ "):
                print(f"      {line.rstrip()}", flush=True)
    if process.returncode:
        raise SetupError(
            f"uv {arguments[0]} {arguments[1]} ended with {process.returncode}; its reason is above. The same command tries again"
        )


def uv_environment() -> dict[str, str]:
    """The environment for uv: what pip was told holds for it too, and it copies where its cache is on another disk."""
    environment = {"UV_HTTP_TIMEOUT": "180", **os.environ, "VIRTUAL_ENV": str(VENV)}
    told = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_EXTRA_INDEX_URL": "UV_INDEX", "PIP_CERT": "SSL_CERT_FILE"}
    for theirs, ours in told.items():
        if theirs in environment:
            environment.setdefault(ours, environment[theirs])
    if "PIP_FIND_LINKS" in environment:
        environment.setdefault("UV_FIND_LINKS", ",".join(environment["PIP_FIND_LINKS"].split()))
    cache = Path(environment.get("UV_CACHE_DIR") or Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv")
    if device(cache) != device(VENV):
        environment.setdefault("UV_LINK_MODE", "copy")
    return environment


def device(path: Path) -> int:
    """The disk that a path is or would be on."""
    return path.stat().st_dev if path.exists() else device(path.parent)


def run(command: list[str], hint: str) -> None:
    """Runs a command whose output the user sees. Raises SetupError with the hint."""
    code = subprocess.run(command, cwd=str(ROOT), check=False).returncode
    if code:
        raise SetupError(f"`{' '.join(command)[:200]}` ended with {code}. {hint}")


@contextmanager
def step(number: str, what: str, pulse_s: int | None = PULSE_S) -> Iterator[None]:
    """Says what begins, every `pulse_s` seconds that it goes on (None: it tells that itself), and how long it took."""
    print(f"[{number}] {what}", flush=True)
    started = time.monotonic()
    ended = threading.Event()

    def pulse() -> None:
        while not ended.wait(pulse_s):
            print(f"      {time.monotonic() - started:.0f} s", flush=True)

    threading.Thread(target=pulse, daemon=True).start()
    try:
        yield
        print(f"      done in {time.monotonic() - started:.1f} s", flush=True)
    finally:
        ended.set()


if __name__ == "__main__":
    sys.exit(main())
