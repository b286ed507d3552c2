"""Makes .venv: locked dependencies, and Horovod built from its source.

Standard library only; where all is done already it takes no time.

    python3 -m infra.setup                 what `make setup` runs
    python3 -m infra.setup --constraints   resolves the dependencies again, into constraints.txt

GYRE_ACCELERATOR=cpu|cuda overrides what is found; GYRE_PYTHON names the interpreter. What the user told pip
holds for uv too. GYRE_TORCH=index takes torch from the index of the other packages, where torch's own, which
has it without CUDA, cannot be reached.
"""

# An older Python must get far enough to say that it is too old: no syntax and no import here is newer than
# 3.8.
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

from infra.installer import UV, SetupError, advice, pip_settings, run_told, uv_environment
from infra.interpreter import SUPPORTED, apt_line, supported_python, version_of

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".ready"
INSTALLING = VENV / ".installing"
"""There while packages are installed: an interrupted installation leaves half a package, which nothing may be
built on."""
HOROVOD = ROOT / "infra" / "horovod"
CONSTRAINTS = ROOT / "constraints.txt"
PULSE_S = 15
RUNTIMES = {"cpu": "onnxruntime", "cuda": "onnxruntime-gpu"}
"""Both install the same module, so only one may be there."""
EXTRAS = {"cpu": "cpu", "cuda": "gpu"}
TORCH_HINT = (
    "Torch without CUDA comes from an index of its own. Where that cannot be reached, name a folder with such a wheel in PIP_FIND_LINKS, "
    "or take the torch that the other packages' index has, with gigabytes of CUDA: GYRE_TORCH=index make setup"
)
# Over loopback, as ranks on one machine do: many a bare machine's own name does not resolve.
TRIAL = "import os; os.environ['HOROVOD_GLOO_IFACE'] = 'lo'; import onnxruntime, horovod.torch as hvd; hvd.init(); assert hvd.size() == 1"


def main() -> int:
    """Sets everything up, or says what is missing (exit 1)."""
    arguments = sys.argv[1:]
    # Given by the interpreter that left for this one: the choice is made.
    chosen = "--here" in arguments
    try:
        kind = accelerator()
        if not chosen:
            # What is ready needs no interpreter but its own, unless another one is asked for.
            if ready(kind) and not os.environ.get("GYRE_PYTHON") and "--constraints" not in arguments:
                return 0
            go_on_in(supported_python())
        if "--constraints" in arguments:
            resolve_constraints()
        elif not (ready(kind) and version_of(str(PYTHON)) == sys.version_info[:2]):
            set_up(kind)
    except (SetupError, OSError) as error:
        hint = advice(str(error)) if isinstance(error, OSError) else ""
        print(f"\nset-up: {error}. {hint}".rstrip(" ."), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        return 130
    return 0


def go_on_in(python: str) -> None:
    """Becomes the same command in another interpreter, where it is another."""
    if python != sys.executable:
        os.execv(python, [python, "-m", "infra.setup", "--here", *sys.argv[1:]])  # noqa: S606


def accelerator() -> str:
    """`cuda` where GYRE_ACCELERATOR says so or an NVIDIA card answers, else `cpu`.

    The one place that decides it. Raises SetupError.
    """
    chosen = os.environ.get("GYRE_ACCELERATOR", "")
    if chosen not in ("", "cpu", "cuda"):
        raise SetupError(
            f"GYRE_ACCELERATOR={chosen!r}: allowed are cpu and cuda, or nothing to look for an NVIDIA card"
        )
    if chosen or not shutil.which("nvidia-smi"):
        return chosen or "cpu"
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False)
    return "cuda" if listed.returncode == 0 and b"GPU" in listed.stdout else "cpu"


def ready(chosen: str) -> bool:
    """Whether the last set-up ended well, in this very folder and with the same ingredients, and its Python is still there."""
    return STAMP.is_file() and PYTHON.exists() and STAMP.read_text(encoding="utf-8") == ingredients(chosen)


def ingredients(chosen: str) -> str:
    """What the environment is made of; after any change it is brought up to date."""
    files = [
        ROOT / "pyproject.toml",
        CONSTRAINTS,
        *(HOROVOD / name for name in ("build.py", "horovod.patch", "shared_memory.h")),
    ]
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
        run_told(
            [str(PYTHON), "-c", TRIAL],
            "the parts do not run together; `make clean setup` begins anew",
            cwd=ROOT,
        )
    STAMP.write_text(wanted, encoding="utf-8")
    print(f"Set up in {time.monotonic() - started:.0f} s.", flush=True)


def require_compiler(chosen: str) -> None:
    """Before minutes of installing: what Horovod's build needs, unless its wheel was built before.

    Raises SetupError.
    """
    from infra.horovod import build

    pinned = re.search(r"^torch==([\w.]+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    folder = build.cache_folder(chosen, torch=f"{pinned.group(1)}*" if pinned else "*")
    try:
        if not list(folder.parent.glob(f"{folder.name}/*.whl")):
            build.require_tools(chosen)
    except build.BuildError as error:
        raise SetupError(str(error)) from None


def make_venv() -> None:
    """A virtual environment with pip (Horovod's build needs it) and uv; made anew where it is not whole.

    Raises SetupError.
    """
    usable = is_whole()
    # A stamp of an earlier set-up must not outlive what it vouches for.
    STAMP.unlink(missing_ok=True)
    if not usable:
        hint = "On Debian or Ubuntu: " + apt_line("{}.{}".format(*sys.version_info))
        run_told([sys.executable, "-m", "venv", "--clear", str(VENV)], hint)
    run_told([str(PYTHON), "-m", "pip", "install", "--quiet", UV], environment=environment_for_uv())


def is_whole() -> bool:
    """Whether the environment is this interpreter's, was made for this checkout, has a pip that runs, and no half installation."""
    moved = STAMP.is_file() and json.loads(STAMP.read_text(encoding="utf-8"))["root"] != str(ROOT)
    if moved or INSTALLING.exists() or version_of(str(PYTHON)) != sys.version_info[:2]:
        return False
    return (
        subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True, check=False).returncode
        == 0
    )


def install_dependencies(chosen: str) -> None:
    """Everything but Horovod, at the versions of constraints.txt, and Gyre itself so that edits need no new set-up."""
    other = RUNTIMES["cuda" if chosen == "cpu" else "cpu"]
    reinstall = []
    if is_installed(other):
        uv(["pip", "uninstall", other])
        # The two own the same files: what the other one's removal took with it is put back.
        reinstall = ["--reinstall-package", RUNTIMES[chosen]]
    wherever = environment_for_uv().get("UV_FIND_LINKS") or os.environ.get("GYRE_TORCH") == "index"
    backend = ["--torch-backend", "cpu"] if chosen == "cpu" and not wherever else []
    INSTALLING.touch()
    packages = ["-c", str(CONSTRAINTS), *reinstall, *backend, "-e", f"{ROOT}[{EXTRAS[chosen]},dev,build]"]
    uv(["pip", "install", *packages], TORCH_HINT if backend else "")
    INSTALLING.unlink()


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


def is_installed(distribution: str) -> bool:
    """Whether the environment has a distribution."""
    return any(VENV.glob(f"lib/python*/site-packages/{distribution.replace('-', '_')}-[0-9]*.dist-info"))


def resolve_constraints() -> None:
    """Writes constraints.txt anew, keeping versions that still fit.

    Torch is the index's own, so what CUDA needs is pinned too.
    """
    extras = [option for extra in ("cpu", "gpu", "dev", "build") for option in ("--extra", extra)]
    # For every supported Python at once, from the oldest on: what only some of them need carries a marker.
    form = [
        "--universal",
        "--python-version",
        "{}.{}".format(*min(SUPPORTED)),
        "--no-header",
        "--no-annotate",
        "--quiet",
    ]
    os.environ.update(UV_FIND_LINKS="")
    uv(["pip", "compile", str(ROOT / "pyproject.toml"), *extras, *form, "-o", str(CONSTRAINTS)])


def uv(arguments: list[str], hint: str = "") -> None:
    """Runs uv on the environment; of what it tells, the list of 300 packages is left out.

    Raises SetupError.
    """
    hint = ". ".join(filter(None, [hint, "The same command tries again"]))
    run_told(
        [str(VENV / "bin" / "uv"), *arguments],
        hint,
        environment_for_uv(),
        cwd=ROOT,
        hidden=(" + ", " - ", " ~ "),
    )


def environment_for_uv() -> dict[str, str]:
    """What uv is told: what pip was, this environment, and to copy where its cache is on another disk."""
    environment = {**uv_environment(pip_settings(str(PYTHON))), "VIRTUAL_ENV": str(VENV)}
    cache = Path(
        environment.get("UV_CACHE_DIR")
        or Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
    )
    if device(cache) != device(VENV):
        environment.setdefault("UV_LINK_MODE", "copy")
    return environment


def device(path: Path) -> int:
    """The disk that a path is or would be on."""
    return path.stat().st_dev if path.exists() else device(path.parent)


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
