"""What one Python file says, however it is laid out: comments, docstrings and blank lines change nothing."""

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

NAMES_SOMETHING = re.compile(r"[A-Za-z_][\w-]*(?:[./][\w-]+)*(?::[A-Za-z_]\w*)?")
LONGEST = 200


@dataclass(frozen=True)
class Facts:
    """What was found in a file."""

    digest: str
    """Of its syntax tree, without docstrings."""
    imports: tuple[str, ...]
    """Modules that it may import, inside functions too, as written: relative ones begin with dots."""
    texts: tuple[str, ...]
    """Texts that may be an import path, such as my_package.networks:Net, or the name of a file."""


def parse(source: bytes) -> Facts:
    """The facts of a file.

    One that is not Python counts by its bytes: whoever imports it is told why it cannot be.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return Facts(hashlib.sha256(source).hexdigest(), (), ())
    # Dictionaries keep each once, in their order.
    imports: dict[str, None] = {}
    texts: dict[str, None] = {}
    for node in nodes(tree):
        imports |= dict.fromkeys(imported_names(node))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and may_name(node.value):
            texts[node.value] = None
    return Facts(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(imports), tuple(texts))


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but docstrings, which are taken out of the tree, and what stands under `if TYPE_CHECKING`, which never runs."""
    pending = [tree]
    while pending:
        node = pending.pop()
        drop_docstrings(node)
        yield node
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            pending += node.orelse
        else:
            pending += ast.iter_child_nodes(node)


def drop_docstrings(node: ast.AST) -> None:
    """Takes statements that are a text and nothing else out of a node's body."""
    body = getattr(node, "body", None)
    if isinstance(body, list):
        body[:] = [each for each in body if not is_docstring(each)]


def is_docstring(node: ast.AST) -> bool:
    """Whether a statement is a text that nothing takes; those below fields are docstrings too."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def imported_names(node: ast.AST) -> list[str]:
    """What a statement may import: `from a import b` imports a, and a.b where that is a module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = "." * node.level + (node.module or "")
    dot = "." if node.module else ""
    return [base, *(f"{base}{dot}{alias.name}" for alias in node.names)]


def may_name(text: str) -> bool:
    """Whether a text may be an import path or a file's name."""
    return (
        len(text) < LONGEST and ("." in text or ":" in text) and NAMES_SOMETHING.fullmatch(text) is not None
    )
