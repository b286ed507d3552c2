"""Starts a service's entry point once what it needs is there.

    python -m infra.services.launch [--nice 10] [--after URL|FILE]... package.module:function [argument]...

The module is imported before it waits, so that a runner need not load Prefect after the server is ready. At a
lower priority it is imported
afterwards: nobody waits for such a service, and on two cores its imports would hold up those that `gyre up`
waits for.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from infra.imports import resolve, without_collections
from infra.services.http import answers

POLL_S = 0.1


def main() -> None:
    """Waits, then becomes the entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nice", type=int, default=0, help="lower the priority by this much")
    parser.add_argument(
        "--after", action="append", default=[], help="a URL that must answer, or a file that must exist"
    )
    parser.add_argument("entry")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    os.nice(options.nice)
    if options.nice:
        wait_for_all(options.after)
    with without_collections():
        entry = resolve(options.entry)
    wait_for_all(options.after)
    sys.argv = [options.entry, *options.arguments]
    sys.exit(entry())


def wait_for_all(needed: list[str]) -> None:
    """Returns once every URL has answered and every file exists."""
    while not all(is_there(each) for each in needed):
        time.sleep(POLL_S)


def is_there(needed: str) -> bool:
    """Whether a URL answers, or a file exists."""
    return answers(needed) if needed.startswith("http://") else Path(needed).exists()


if __name__ == "__main__":
    main()
