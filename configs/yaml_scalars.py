"""Reads YAML and keeps how scalars were written.

YAML turns an unquoted no into false, 007 into 7 and 2026-01-31 into a date.

Where a text is wanted and such a number or date stands, the text is taken as it was written. What nobody can
tell apart is an error that says what to quote.
"""

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

SWITCH = re.compile(r"(?i:yes|no|on|off|y|n)")
"""Texts that YAML 1.1 reads as true or false, and that are answers, states or countries at least as often."""
ODD_NUMBER = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
"""Numbers that YAML 1.1 reads as octal or as minutes and seconds."""
MERGE = "tag:yaml.org,2002:merge"
TEXT = "tag:yaml.org,2002:str"


@dataclass
class Written:
    """What was written in place of values that are no texts, by the container that holds them and their key in it."""

    values: dict[tuple[int, Any], str] = field(default_factory=dict)
    keys: dict[tuple[int, Any], str] = field(default_factory=dict)
    """Likewise of keys."""
    containers: list[Any] = field(default_factory=list)
    """All of them, so that none is freed and another comes to its id."""

    def add(self, other: "Written") -> None:
        """Takes in what is known of another text."""
        self.values |= other.values
        self.keys |= other.keys
        self.containers += other.containers

    def of(self, container: Any, key: Any) -> str | None:
        """How a value was written, where that is another thing than the value."""
        return self.values.get((id(container), key))

    def at(self, tree: Any, location: Sequence[str]) -> str | None:
        """Likewise of what stands at a location of the tree.

        One that ends with `[key]` is about the key itself.
        """
        if location and location[-1] == "[key]":
            container, key = descend(tree, location[:-1])
            return self.keys.get((id(container), key))
        return self.of(*descend(tree, location))

    def take_text(self, tree: Any, location: Sequence[str]) -> bool:
        """Puts the text that was written in place of the number or date at a location of the tree.

        Whether there was one.
        """
        if location and location[-1] == "[key]":
            return self.take_key(tree, location[:-1])
        container, key = descend(tree, location)
        written = self.of(container, key)
        if written is None or not is_number_or_date(container[key]):
            return False
        container[key] = written
        del self.values[id(container), key]
        return True

    def take_key(self, tree: Any, location: Sequence[str], is_name: bool = False) -> bool:
        """Likewise of a key; where it is known to be a name, of any key."""
        container, key = descend(tree, location)
        written = self.keys.get((id(container), key))
        if written is None or not (is_name or is_number_or_date(key)) or written in container:
            return False
        moved = {written if each == key else each: value for each, value in container.items()}
        if (id(container), key) in self.values:
            self.values[id(container), written] = self.values.pop((id(container), key))
        container.clear()
        container.update(moved)
        return True


class ReadingError(ValueError):
    """The YAML says something twice, or something that nobody can tell what it means."""


def read_yaml(text: str) -> tuple[Any, Written]:
    """The value of a YAML text, and how its scalars were written.

    Raises yaml.YAMLError, and ReadingError naming the key and the fix.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, Written()
        if problems := list(repeated_keys(node, "")):
            raise ReadingError("; ".join(problems))
        tree = loader.construct_document(node)
        written = Written()
        if problems := list(note(loader, node, tree, written, "")):
            raise ReadingError("; ".join(problems))
        return tree, written
    finally:
        loader.dispose()


def note(loader: yaml.SafeLoader, node: yaml.Node, value: Any, written: Written, place: str) -> Iterator[str]:
    """Fills `written` from a node and what was made of it; yields what is wrong with switches in lists."""
    written.containers.append(value)
    if isinstance(node, yaml.SequenceNode) and isinstance(value, list):
        for number, (each, made) in enumerate(zip(node.value, value, strict=True)):
            if is_plain(each):
                written.values[id(value), number] = each.value
                if isinstance(made, bool) and SWITCH.fullmatch(each.value):
                    yield f"{place}.{number}: {hint(made, each.value)}".lstrip(".")
            yield from note(loader, each, made, written, f"{place}.{number}")
    elif isinstance(node, yaml.MappingNode) and isinstance(value, dict):
        for key_node, each in node.value:
            key = loader.construct_object(key_node, deep=True)
            if is_plain(key_node):
                written.keys[id(value), key] = key_node.value
            if is_plain(each):
                written.values[id(value), key] = each.value
            yield from note(loader, each, value.get(key), written, f"{place}.{key}".lstrip("."))


def repeated_keys(node: yaml.Node, place: str) -> Iterator[str]:
    """Keys that come twice in one mapping: YAML takes the last and says nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            here = f"{place}.{name}".lstrip(".")
            line = key.start_mark.line + 1
            if name in seen and key.tag != MERGE:
                yield f"{here}: this key comes twice, in lines {seen[name]} and {line}; the first would be ignored, so remove one"
            seen.setdefault(name, line)
            yield from repeated_keys(value, here)
    elif isinstance(node, yaml.SequenceNode):
        for number, each in enumerate(node.value):
            yield from repeated_keys(each, f"{place}.{number}")


def odd_numbers(tree: Any, written: Written, place: str = "") -> Iterator[str]:
    """Numbers that YAML made another number of than a person reads, wherever they were not taken as texts."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        here, text = f"{place}.{key}".lstrip("."), written.of(tree, key)
        if (
            text is not None
            and isinstance(value, int | float)
            and not isinstance(value, bool)
            and ODD_NUMBER.fullmatch(text)
        ):
            yield f"{here}: {hint(value, text)}"
        yield from odd_numbers(value, written, here)


def hint(value: Any, text: str | None) -> str:
    """What YAML made of an unquoted text, and how to write what was meant."""
    if isinstance(value, bool) and text and not SWITCH.fullmatch(text):
        return f'quote it, "{text}", where a text is meant'
    if isinstance(value, bool):
        shown = f"`{text}`" if text else "yes/no/on/off"
        quoted = f'"{text}"' if text else "the text"
        return f"YAML reads an unquoted {shown} as {str(value).lower()}: quote it, {quoted}, or write true or false where that is meant"
    if value is None:
        return f'YAML reads an unquoted `{text or "null"}` as nothing: quote it, "{text or "null"}"'
    return f"YAML reads an unquoted {text} as {value}: quote it where a text is meant; a number is written without a leading 0 or colon"


def descend(tree: Any, location: Sequence[str]) -> tuple[Any, Any]:
    """The container of the value at a location and its key there.

    The last parts of a location may name no key, but a type.
    """
    container: Any = None
    key: Any = None
    value = tree
    for part in location:
        if isinstance(value, list) and part.isdigit() and int(part) < len(value):
            container, key = value, int(part)
        elif isinstance(value, dict) and (found := [each for each in value if part in names(each)]):
            container, key = value, found[0]
        else:
            break
        value = container[key]
    return container, key


def names(key: Any) -> set[str]:
    """What a key of a mapping is called in pydantic's errors, where true is 1 and a date its constructor."""
    return {str(key), str(int(key))} if isinstance(key, bool) else {str(key), repr(key)}


def is_plain(node: yaml.Node) -> bool:
    """Whether a scalar was not quoted, and was made into something else than a text."""
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.tag != TEXT


def is_number_or_date(value: Any) -> bool:
    """What has one text, the one that was written. True and nothing have many: they are asked about."""
    return isinstance(value, int | float | dt.date) and not isinstance(value, bool)
