"""The folders: what is in each, whole or not at all, and tried before it is handed over."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.files import digest, whole_folder, write_json
from tasks.export.c_source import c_lines, check_outputs, model_header
from tasks.export.model_facts import Facts, model_facts
from tasks.export.npm_runtime import runtime_files
from tasks.export.portable_graph import portable
from tasks.export.trial import Trial, compare
from tasks.export.trial_rows import Row, known_words, probe_rows, trial_rows

TEMPLATES = Path(__file__).parent
MARKER = "model.json"
"""The file by which a folder is known as an earlier export, which a new one may take the place of."""
C_LIBRARY = "libonnxruntime.so.1"


@dataclass(frozen=True)
class Exported:
    """A folder that answers elsewhere."""

    folder: Path
    sizes: dict[str, int]
    """Bytes by file."""
    trial: Trial | None
    """None where it could not be tried."""
    untried: str
    """Why it was not tried; empty where it was."""


def export_browser(bundle: Path, title: str, output: Path, runtimes: Path) -> Exported:
    """A folder with a page (index.html) and a program for Node.js (answer.mjs).

    Raises ValueError: for a bundle or an output that is not as wanted, RuntimeFetchError, TrialError.
    """
    files = {
        # Servers that know no .mjs would send it as a type that browsers refuse to run.
        Path(name).with_suffix(".js").name if name.endswith(".mjs") else name: path
        for name, path in runtime_files(runtimes).items()
    }
    node = shutil.which("node")

    def attempt(folder: Path, facts: Facts, rows: list[Row]) -> Trial | str:
        if node is None:
            return "node is not on PATH"
        lines = [json.dumps(row) for row in rows]
        return compare([node, str(folder / "answer.mjs")], lines, rows, facts, bundle / "model.onnx")

    return export(bundle, title, output, "browser", files, attempt)


def export_c(bundle: Path, title: str, output: Path) -> Exported:
    """A folder with a program in C (answer.c), its Makefile and ONNX Runtime's shared library of this machine.

    Raises ValueError: for a bundle or an output that is not as wanted, TrialError.
    """

    def attempt(folder: Path, facts: Facts, rows: list[Row]) -> Trial | str:
        check_outputs(bundle / "model.onnx")
        (folder / "model.h").write_text(model_header(facts), encoding="utf-8")
        if shutil.which("make") is None or shutil.which("cc") is None:
            return "make or cc is not on PATH"
        made = subprocess.run(["make", "-C", str(folder)], capture_output=True, text=True, check=False)
        if made.returncode:
            raise ValueError(f"make ended with {made.returncode}: {made.stderr.strip()[-500:]}")
        command = [str(folder / "answer"), str(folder / "model.onnx")]
        return compare(command, c_lines(rows, facts), rows, facts, bundle / "model.onnx")

    return export(bundle, title, output, "c", {C_LIBRARY: shared_library()}, attempt)


def export(
    bundle: Path,
    title: str,
    output: Path,
    target: str,
    files: dict[str, Path],
    attempt: Callable[[Path, Facts, list[Row]], Trial | str],
) -> Exported:
    """The templates of a target, its runtime's files and the graph in one folder, once `attempt` liked it."""
    import onnx

    def fill(partial: Path, facts: Facts) -> Trial | str:
        copy_templates(target, partial)
        for name, path in files.items():
            shutil.copyfile(path, partial / name)
        graph = onnx.load(bundle / "model.onnx")
        words = known_words(graph)
        if lowered := portable(graph):
            (partial / "model.onnx").write_bytes(graph.SerializeToString(deterministic=True))
        else:
            shutil.copyfile(bundle / "model.onnx", partial / "model.onnx")
        for each in facts["inputs"]:
            each["lowered"] = each["name"] in lowered
        facts["graph_digest"] = digest(partial / "model.onnx")
        write_json(partial / MARKER, facts)
        return attempt(partial, facts, [*probe_rows(bundle, facts), *trial_rows(facts, words)])

    return export_folder(model_facts(bundle, title), output, fill)


def export_folder(facts: Facts, output: Path, fill: Callable[[Path, Facts], Trial | str]) -> Exported:
    """A folder, whole or not at all, with what `fill` puts there, and the facts as MARKER.

    fill: answers what came of a trial, or why there was none. Raises ValueError where something lies at
    `output` that is no export.
    """
    check_output(output)
    with whole_folder(output) as partial:
        write_json(partial / MARKER, facts)
        came = fill(partial, facts)
        files = sorted(path for path in partial.rglob("*") if path.is_file())
        sizes = {path.relative_to(partial).as_posix(): path.stat().st_size for path in files}
    if isinstance(came, str):
        return Exported(output, sizes, None, came)
    return Exported(output, sizes, came, "")


def copy_templates(target: str, folder: Path) -> None:
    """The files that every export to a target has."""
    for template in sorted((TEMPLATES / target).iterdir()):
        if template.is_file():
            shutil.copyfile(template, folder / template.name)


def check_output(output: Path) -> None:
    """Raises ValueError where something lies there that is no export.

    Nothing of a person's may be replaced.
    """
    if output.is_file() or (output.is_dir() and any(output.iterdir()) and not (output / MARKER).is_file()):
        raise ValueError(f"{output}: is there already and is no export; give another folder, or remove it")


def shared_library() -> Path:
    """ONNX Runtime's, of the Python package.

    Raises FileNotFoundError where the package has none, as outside Linux.
    """
    spec = importlib.util.find_spec("onnxruntime")
    folder = Path(str(spec.origin)).parent / "capi" if spec else Path()
    found = sorted(folder.glob("libonnxruntime.so.*"))
    if not found:
        raise FileNotFoundError(
            f"{folder}: the Python package onnxruntime brings no libonnxruntime.so.*, which the C program is linked to; "
            "install onnxruntime for Linux"
        )
    return found[0]
