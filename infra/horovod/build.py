"""Builds Horovod's wheel from its hash-checked source and the changes beside this file, once a machine.

Horovod's last release is a source archive of 2023 that no longer compiles against today's torch and Python.
`horovod.patch` mends that (C++17, includes that newer compilers ask for, no distutils), what made it compile
three times as long (debug symbols that are stripped anyway, torch's whole C++ frontend), the network
interface on several hosts, the size of a list without which no stalled rank is ever noticed, and what made
sums slow: ranks begin when a tensor comes instead of once a cycle, copy no tensor onto itself, wait without
taking the core from what they wait for, and add up in shared memory (`shared_memory.h`) where they are on one
host. The wheel is bound to torch, Python, platform, operations and those two files, so it is cached by all of
them outside the checkout, and the next clone installs it in seconds. Standard library only: it runs before
anything is installed.

    .venv/bin/python infra/horovod/build.py [--operations cpu|cuda]      prints the wheel's path on its last
    line
"""

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import threading
import time
from importlib import metadata
from pathlib import Path

VERSION = "0.28.1"
SOURCE_SHA256 = "92a43f5a94c43907a56805bad15f19700c62ffc83b7ca483f9e104e229f67ef0"
PULSE_S = 15
PATCH, SHARED_MEMORY = (Path(__file__).with_name(name) for name in ("horovod.patch", "shared_memory.h"))


class BuildError(RuntimeError):
    """The wheel could not be made; the message says what to install or where to look."""


def cache_folder(operations: str, torch: str | None = None) -> Path:
    """Where the wheel for a torch (default: the one beside this Python), Python, platform, changes and kind of operations lives."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gyre" / "horovod"
    changes = hashlib.sha256(PATCH.read_bytes() + SHARED_MEMORY.read_bytes()).hexdigest()[:12]
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return (
        root
        / f"{VERSION}-torch{torch or metadata.version('torch')}-{python}-{platform.machine()}-{operations}-{changes}"
    )


def wheel(operations: str) -> Path:
    """The cached wheel, built first where it is missing. Raises BuildError."""
    folder = cache_folder(operations)
    if not (cached := sorted(folder.glob("*.whl"))):
        with tempfile.TemporaryDirectory(prefix="gyre-horovod-") as scratch:
            built = build(Path(scratch), operations)
            folder.mkdir(parents=True, exist_ok=True)
            # The rename is what makes a wheel visible: a build that dies leaves no half wheel behind.
            partial = folder / f".{built.name}.{os.getpid()}"
            shutil.copyfile(built, partial)
            partial.rename(folder / built.name)
        cached = [folder / built.name]
    return cached[0]


def build(scratch: Path, operations: str) -> Path:
    """Compiles the patched source in `scratch` (1 to 4 minutes on two cores) and returns the wheel there."""
    require_tools(operations)
    source = patched_source(scratch)
    log = Path(tempfile.gettempdir()) / f"gyre-horovod-build-{os.getpid()}.log"
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(scratch),
        str(source),
    ]
    print(
        f"Building Horovod {VERSION} for torch {metadata.version('torch')} (1 to 4 minutes, once a machine); log: {log}",
        flush=True,
    )
    with log.open("wb") as output:
        # pip's own progress says nothing for minutes, so a pulse names what is being compiled.
        process = subprocess.Popen(
            [*command, "--verbose"],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=build_environment(operations),
        )
        pulse(process, log)
    wheels = sorted(scratch.glob("horovod-*.whl"))
    if process.returncode or not wheels:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise BuildError(
            f"Horovod did not build (exit {process.returncode}). The end of {log}:\n{tail}\n\n"
            "Known to build: torch 2.13 with g++ 12 and Python 3.11 or 3.13, or g++ 14 and Python 3.13. With another compiler set "
            "CXX=g++-12; with less than 2 GiB of memory for each core set MAKEFLAGS=-j1; where the disk was full set TMPDIR to another one."
        )
    log.unlink()
    return wheels[0]


def require_tools(operations: str) -> None:
    """Names every missing tool at once, with the command that installs it."""
    compiler = os.environ.get("CXX", "g++")
    missing = [tool for tool in (compiler, "make", "git") if not shutil.which(tool)]
    if missing:
        raise BuildError(
            f"Horovod's build needs {', '.join(missing)}. On Debian or Ubuntu: sudo apt-get install g++ make git. "
            "On Fedora: sudo dnf install gcc-c++ make git. Then run the same command again."
        )
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").exists():
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        raise BuildError(
            f"Horovod's build needs the headers of Python ({headers / 'Python.h'}). "
            f"On Debian or Ubuntu: sudo apt-get install {version}-dev. On Fedora: sudo dnf install {version}-devel."
        )
    if operations == "cuda" and not (shutil.which("nvcc") or os.environ.get("HOROVOD_CUDA_HOME")):
        raise BuildError(
            "Horovod with NCCL needs the CUDA toolkit: put nvcc on PATH, or set GYRE_ACCELERATOR=cpu to build without it."
        )


def patched_source(scratch: Path) -> Path:
    """Downloads the source by hash, unpacks it and changes it. Raises BuildError."""
    requirement = scratch / "horovod.txt"
    requirement.write_text(f"horovod=={VERSION} --hash=sha256:{SOURCE_SHA256}\n")
    options = ["--no-deps", "--no-build-isolation", "--no-binary", "horovod", "--require-hashes", "--quiet"]
    download = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirement), "-d", str(scratch)]
    if subprocess.run(download, check=False).returncode:
        raise BuildError(
            f"Could not download horovod-{VERSION}.tar.gz from the package index; its sha256 must be {SOURCE_SHA256}."
        )
    with tarfile.open(scratch / f"horovod-{VERSION}.tar.gz") as archive:
        # Debian's Python 3.11.2 has no extraction filters yet, and 3.13 warns where none is named. The
        # archive's hash was checked.
        if hasattr(tarfile, "data_filter"):
            archive.extraction_filter = tarfile.data_filter
        archive.extractall(scratch)  # noqa: S202
    source = scratch / f"horovod-{VERSION}"
    # --unsafe-paths is not given: the patch can touch nothing outside the source.
    applied = subprocess.run(
        ["git", "apply", "--verbose", str(PATCH)], cwd=source, capture_output=True, text=True, check=False
    )
    if applied.returncode:
        raise BuildError(f"{PATCH.name} does not apply to horovod {VERSION}:\n{applied.stderr}")
    shutil.copy(SHARED_MEMORY, source / "horovod" / "common" / "gloo")
    return source


def build_environment(operations: str) -> dict[str, str]:
    """Horovod reads its build options from the environment."""
    settings = {
        "HOROVOD_WITH_PYTORCH": "1",
        "HOROVOD_WITHOUT_TENSORFLOW": "1",
        "HOROVOD_WITHOUT_MXNET": "1",
        "HOROVOD_WITH_GLOO": "1",
        "HOROVOD_WITHOUT_MPI": "1",
        "HOROVOD_CPU_OPERATIONS": "GLOO",
        "HOROVOD_WITHOUT_NVTX": "1",
        # The package index's CMake 4 refuses the source's old minimum without this.
        "CMAKE_POLICY_VERSION_MINIMUM": "3.5",
        "LDFLAGS": "-s",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    if operations == "cuda":
        settings |= {"HOROVOD_GPU_OPERATIONS": "NCCL"} | nccl_home()
    # Where ccache is installed Horovod uses it; these let it know a file again although the scratch folder is
    # another each time.
    defaults = {
        "MAKEFLAGS": f"-j{len(os.sched_getaffinity(0))}",
        "CCACHE_BASEDIR": "/",
        "CCACHE_NOHASHDIR": "1",
    }
    return {**defaults, **os.environ, **settings}


def nccl_home() -> dict[str, str]:
    """Torch's own NCCL wheel, so that Horovod and torch load the same library.

    Empty where the user named another.
    """
    if "HOROVOD_NCCL_HOME" in os.environ:
        return {}
    homes = [
        Path(entry) / "nvidia" / "nccl" for entry in sys.path if (Path(entry) / "nvidia" / "nccl").is_dir()
    ]
    return {"HOROVOD_NCCL_HOME": str(homes[0])} if homes else {}


def pulse(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Prints every 15 seconds how long the build has run, how far it is and at which file, until it ends."""
    started = time.monotonic()
    ended = threading.Event()

    def wait() -> None:
        process.wait()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    while not ended.wait(PULSE_S):
        print(
            f"  Horovod: {time.monotonic() - started:4.0f} s, {progress(log.read_text(errors='replace'))}",
            flush=True,
        )


def progress(log: str) -> str:
    """How far make is, from its log: the share of files begun, and the last of them."""
    begun = re.findall(r"\[ *(\d+)%\] Building CXX object .*?([\w.]+)\.o\b", log)
    return f"{begun[-1][0]} %, {begun[-1][1]}" if begun else "configuring"


def main() -> int:
    """Prints the wheel's path, or the reason why there is none (exit 1)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--operations", choices=("cpu", "cuda"), default="cpu", help="GLOO on the CPU, or NCCL on NVIDIA"
    )
    try:
        print(wheel(parser.parse_args().operations))
    except BuildError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
