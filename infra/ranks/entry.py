"""The function that every rank calls.

The driver refers to it, a rank imports it by name, its annotations say what travels.

So it lives in a module that imports no torch, and imports what it needs when it is called: the driver
imports that module too.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter

ArgumentsT = TypeVar("ArgumentsT")
MessageT = TypeVar("MessageT")
ResultT = TypeVar("ResultT")
Function = Callable[[ArgumentsT, Callable[[MessageT], None]], ResultT]
"""Takes its arguments and `send`, which sends a message to the driver while the rank goes on."""


@dataclass(frozen=True)
class Entry(Generic[ArgumentsT, MessageT, ResultT]):
    """A function of a module, and how what it takes, sends and returns becomes JSON and comes back."""

    path: str
    """`module:function`."""
    arguments: TypeAdapter[ArgumentsT]
    messages: TypeAdapter[MessageT]
    result: TypeAdapter[ResultT]


def entry_of(function: Function[ArgumentsT, MessageT, ResultT]) -> Entry[ArgumentsT, MessageT, ResultT]:
    """The entry that a function is; what it does not annotate must be JSON values.

    Raises ValueError where ranks could not import it by name.
    """
    named = inspect.isfunction(function) and function.__qualname__.isidentifier()
    if not named or function.__module__ == "__main__":
        raise ValueError(
            f"{function!r}: ranks import what they call by name; define a function at the top of a module that is imported"
        )
    hints = get_type_hints(function, include_extras=True)
    arguments, send = list(inspect.signature(function).parameters)
    # Callable[[Message], None] -> ([Message], None)
    sent = get_args(hints.get(send)) or ([Any], None)
    return Entry(
        f"{function.__module__}:{function.__qualname__}",
        TypeAdapter(hints.get(arguments, Any)),
        TypeAdapter(sent[0][0]),
        TypeAdapter(hints.get("return", Any)),
    )
