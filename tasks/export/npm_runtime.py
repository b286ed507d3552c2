"""ONNX Runtime for browsers and Node.js: two files of npm's package onnxruntime-web, kept in the home.

They are fetched through npm at first use, so its registry, proxy and cache hold, and they are not in Gyre's
own tree, since they are 14 MB. A file with another digest than the one below is never used.
"""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from infra.files import digest, whole_file

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
FILES = {
    "ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    "ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}
"""sha256 of each file in the package's dist folder."""
TIMEOUT_S = 600


class RuntimeFetchError(ValueError):
    """The runtime could not be had; the message says why and what helps."""


def runtime_files(runtimes: Path) -> dict[str, Path]:
    """The runtime's files by name, fetched if they are not in the home's folder `runtimes`, or not as they should be."""
    folder = runtimes / f"{PACKAGE}-{VERSION}"
    if not all(is_whole(folder / name, expected) for name, expected in FILES.items()):
        fetch(folder)
    return {name: folder / name for name in FILES}


def is_whole(path: Path, expected: str) -> bool:
    """Whether a file is there with that digest."""
    return path.is_file() and digest(path) == expected


def fetch(folder: Path) -> None:
    """Puts the files into a folder. Raises RuntimeFetchError."""
    if shutil.which("npm") is None:
        raise RuntimeFetchError(
            f"npm is not on PATH, and {PACKAGE} {VERSION} is fetched with it once; on Debian or Ubuntu: sudo apt-get install npm. "
            f"Or put {' and '.join(FILES)} of that package into {folder}"
        )
    with tempfile.TemporaryDirectory() as temporary:
        command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", temporary, "--ignore-scripts"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=temporary
            )
        except subprocess.TimeoutExpired:
            raise RuntimeFetchError(
                f"{' '.join(command[:3])}: not done after {TIMEOUT_S} s; try again"
            ) from None
        archives = list(Path(temporary).glob("*.tgz"))
        if done.returncode or len(archives) != 1:
            raise RuntimeFetchError(
                f"{' '.join(command[:3])} ended with {done.returncode}: {last_words(done.stderr)}; "
                "see that npm reaches its registry (npm ping)"
            )
        unpack(archives[0], folder)


def unpack(archive: Path, folder: Path) -> None:
    """Writes the files of a package's archive, each whole or not at all.

    Raises RuntimeFetchError for another content.
    """
    with tarfile.open(archive) as package:
        for name, expected in FILES.items():
            member = package.extractfile(f"package/dist/{name}")
            content = member.read() if member else b""
            found = hashlib.sha256(content).hexdigest()
            if found != expected:
                raise RuntimeFetchError(
                    f"{PACKAGE} {VERSION}: dist/{name} has the digest {found[:12]} instead of {expected[:12]}; "
                    "npm's registry gave another package than the one that Gyre was tested with"
                )
            with whole_file(folder / name) as temporary:
                temporary.write_bytes(content)


def last_words(output: str) -> str:
    """The last lines that npm printed, in one."""
    lines = [line.removeprefix("npm error").strip() for line in output.splitlines()]
    return "; ".join([line for line in lines if line][-3:])[:300] or "it printed nothing"
