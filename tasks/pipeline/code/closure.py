"""Follows the imports of a module.

Those at the top and inside functions, import paths in texts, and files beside it that a text names.
"""

import hashlib
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tasks.pipeline.code.memory import Memory, is_there

UNCOUNTED = frozenset({"prefect", "mlflow"})
"""Libraries that start work and keep its records, and change no outcome. Dask is not among them: it cuts rows
into partitions."""
BUILT_HERE = {"horovod": "infra/horovod/build"}
"""Libraries whose version does not tell what they are, by the module that builds them: its patch and header
are part of them. (Dots would be an import path, and every stage that asks for its key would seem to use
Horovod.)"""
USERS_CODE = re.compile(rb'"([A-Za-z_][\w.]*):[A-Za-z_]\w*"')
"""An import path in a section as JSON: a network, reader, intake or result of the user's own."""
LARGE = 16 * 2**20
"""Bytes from which a file beside a module counts by its size and time: it is data, and reading it at every
stage takes too long."""

Roots = tuple[Path, ...]


@dataclass
class Closure:
    """What was found from one module on."""

    modules: dict[str, Path] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)
    """That are no modules: patches, headers, templates, word lists."""
    libraries: set[str] = field(default_factory=set)
    """By the name that is imported."""


class Code:
    """The packages below a folder, as they were when they were first looked at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.memory = Memory()
        self.places: dict[tuple[str, Roots], Path | None] = {}

    def digest(self, module: str, inputs: bytes = b"") -> str:
        """Of a module's closure and of those of the user's modules that `inputs` names."""
        lines = [f"python {sys.version_info.major}.{sys.version_info.minor}"]
        users = sorted({name.decode() for name in USERS_CODE.findall(inputs)})
        for name, roots in ((module, ()), *((name, home_of(name)) for name in users)):
            found = self.closure(name, (self.root, *roots))
            lines += [
                f"{each} {self.memory.facts(path).digest}" for each, path in sorted(found.modules.items())
            ]
            lines += [f"{path.name} {content(path)}" for path in sorted(found.files)]
            lines += [f"{each} {self.memory.version(each)}" for each in sorted(found.libraries)]
        self.memory.keep()
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def closure(self, module: str, roots: Roots) -> Closure:
        """Everything below `roots` that a module may import, however indirectly, and what that uses beside."""
        found, pending, seen = Closure(), [module], set[str]()
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            top = name.partition(".")[0]
            if self.place(top, roots) is None:
                if top not in sys.stdlib_module_names and top not in UNCOUNTED:
                    found.libraries.add(top)
                    pending += [BUILT_HERE[top].replace("/", ".")] if top in BUILT_HERE else []
                continue
            path = self.place(name, roots)
            if path is None:
                pending.append(name.rpartition(".")[0])  # a class or function of that module
                continue
            if "." in name:
                pending.append(name.rpartition(".")[0])  # a package is imported before what lies in it
            if path.is_file():
                found.modules[name] = path
                found.files |= self.named_files(path)
                pending += self.imports(name, path, roots)
        return found

    def imports(self, name: str, path: Path, roots: Roots) -> Iterator[str]:
        """The modules that one module imports, and those that import paths in its texts name."""
        facts = self.memory.facts(path)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for each in facts.imports:
            yield absolute(each, package)
        for text in facts.texts:
            target, is_path, _ = text.partition(":")
            if self.place(target, roots) or (is_path and is_there(target.partition(".")[0])):
                yield target

    def named_files(self, path: Path) -> set[Path]:
        """Files beside a module that it names and that are no modules."""
        beside = {path.parent / text for text in self.memory.facts(path).texts if ":" not in text}
        return {file for file in beside if file.suffix != ".py" and file.is_file()}

    def place(self, name: str, roots: Roots) -> Path | None:
        """The file of a module below one of `roots`, or the folder of a package without __init__.py.

        None where there is neither.
        """
        if (name, roots) not in self.places:
            self.places[name, roots] = place(name, roots)
        return self.places[name, roots]


def place(name: str, roots: Roots) -> Path | None:
    """As `Code.place`, looked for."""
    if not re.fullmatch(r"\w+(\.\w+)*", name):
        return None
    for root in roots:
        folder = root.joinpath(*name.split("."))
        for path in (folder / "__init__.py", folder.with_name(f"{folder.name}.py")):
            if path.is_file():
                return path
        if any(folder.glob("*.py")):
            return folder
    return None


def absolute(name: str, package: str) -> str:
    """A relative import as seen from a package."""
    level = len(name) - len(name.lstrip("."))
    if level == 0:
        return name
    parts = package.split(".")
    above = parts[: len(parts) - (level - 1)]
    return ".".join([*above, name[level:]]).rstrip(".")


def home_of(module: str) -> Roots:
    """The folder of the import path where a user's module lies, such as the YAML's.

    None for what is installed, or is no module.
    """
    try:
        found = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        return ()
    if found is None:
        return ()
    lie = list(found.submodule_search_locations or [found.origin or ""])
    installed = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")]
    return tuple(
        Path(each).parent
        for each in lie
        if not any(Path(each).is_relative_to(folder) for folder in installed)
    )


def content(path: Path) -> str:
    """What a file that is no module counts by."""
    about = path.stat()
    return (
        f"{about.st_size} {about.st_mtime_ns}"
        if about.st_size > LARGE
        else hashlib.sha256(path.read_bytes()).hexdigest()
    )
