"""A process's place among those that serve one port together, and what it shares with them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tasks.serving.log.known import NewestIds
from tasks.serving.processes.board import Board
from tasks.serving.processes.counts import Post

log = logging.getLogger("gyre.serving")


@dataclass
class Shared:
    """Memory that all processes of a server have in common: mapped before they are forked."""

    processes: int
    newest: NewestIds = field(default_factory=NewestIds)
    board: Board = field(init=False)

    def __post_init__(self) -> None:
        """A board with a place for each."""
        self.board = Board(self.processes)


class Place(NamedTuple):
    """Of one process."""

    number: int
    shared: Shared

    @property
    def processes(self) -> int:
        """How many there are."""
        return self.shared.processes

    def before(self) -> Post | None:
        """What the process told that held this place before, and was killed."""
        return self.shared.board.read(self.number)

    def tell(self, post: Callable[[], Post]) -> None:
        """Tells the others what is counted here; who is alone tells nobody."""
        if self.processes == 1:
            return
        try:
            self.shared.board.post(self.number, post())
        except BufferError as error:
            log.error("the other processes do not hear what this one counts: %s", error)

    def everybody(self, post: Callable[[], Post]) -> dict[int, Post]:
        """What each process told last, by its number; this one tells it now."""
        if self.processes == 1:
            return {0: post()}
        self.tell(post)
        return self.shared.board.all()

    def missing(self, project: str, version: int, role: str | None = None) -> int:
        """How many of the others do not know a version yet, or not in that role."""
        if self.processes == 1:
            return 0
        others = [post for number, post in self.shared.board.all().items() if number != self.number]
        return sum(not knows(post, project, version, role) for post in others)

    def restarts(self) -> dict[int, int]:
        """How often each process was started again, by its number."""
        return {number: self.shared.board.restarts(number) for number in range(self.processes)}


def knows(post: Post, project: str, version: int, role: str | None) -> bool:
    """Whether a process has loaded a version, in that role if one is named."""
    roles = post.standing.roles.get(project, {})
    return roles.get(role) == version if role else version in roles.values()
