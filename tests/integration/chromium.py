"""A real browser, headless, that opens pages and runs scripts in them as these pages could."""

import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from websockets.sync.client import ClientConnection, connect

PROGRAM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--remote-debugging-port=0",
)
DEADLINE_S = 120


class Page:
    """The browser's one tab, driven over Chromium's debugging protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    def open(self, url: str) -> None:
        """Opens a page and returns when it is loaded."""
        self._call("Page.enable")
        self._call("Page.navigate", url=url)
        while self._next().get("method") != "Page.loadEventFired":
            pass

    def run(self, script: str) -> Any:
        """What an expression gives in the open page; a promise is awaited."""
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (answer := self._next()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        return json.loads(self._socket.recv(timeout=DEADLINE_S))


@contextmanager
def browser(folder: Path, *flags: str) -> Iterator[Page]:
    """A browser with a profile of its own."""
    command = [str(PROGRAM), *FLAGS, f"--user-data-dir={folder}", *flags, "about:blank"]
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        with connect(debugger(folder, process), max_size=None) as socket:
            yield Page(socket)
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(DEADLINE_S)
        for child in psutil.wait_procs(family, timeout=10)[1]:
            child.kill()


def debugger(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    """The address of the tab's debugger, once the browser has written down its port."""
    deadline = time.monotonic() + DEADLINE_S
    port = folder / "DevToolsActivePort"
    while not (port.exists() and port.read_text().strip()):
        assert process.poll() is None and time.monotonic() < deadline, (folder / "output").read_text()[-2000:]
        time.sleep(0.1)
    with urllib.request.urlopen(
        f"http://127.0.0.1:{port.read_text().split()[0]}/json", timeout=DEADLINE_S
    ) as answer:
        return next(tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page")
