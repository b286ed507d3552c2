"""The demo's clients: they ask the model server over HTTP, one scan a request, and count what failed."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from flows.demo.scanner import Scans
from tasks.production.inference_client import InferenceClient

PAUSE_S = 0.1


class Traffic:
    """Requests sent so far, and how they ended."""

    def __init__(self, url: str, project: str) -> None:
        self.url, self.project = url, project
        self.sent = self.failed = 0
        self._counting = threading.Lock()

    def accuracy(self, scans: Scans, prefix: str) -> float:
        """Sends every scan once, as request `<prefix>-<id>`.

        The share of right answers (a failed request is a wrong one).
        """
        with InferenceClient(self.url, self.project) as client:
            right = [
                self._ask(client, scans, number, prefix) == scans.labels[number]
                for number in range(len(scans))
            ]
        return sum(right) / len(right)

    def report_truth(self, scans: Scans, prefix: str) -> None:
        """The truth of scans sent before, by request id."""
        with InferenceClient(self.url, self.project) as client:
            client.label(
                {f"{prefix}-{scans.ids[number]}": scans.labels[number] for number in range(len(scans))}
            )

    @contextmanager
    def steady(self, scans: Scans, prefix: str) -> Iterator[None]:
        """A client that goes on asking in the background while the block runs, so that a swap which loses a request is seen."""
        ended = threading.Event()

        def ask_on() -> None:
            with InferenceClient(self.url, self.project) as client:
                number = 0
                while not ended.wait(PAUSE_S):
                    self._ask(client, scans, number % len(scans), f"{prefix}-{number}")
                    number += 1

        thread = threading.Thread(target=ask_on, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(timeout=30)

    def _ask(self, client: InferenceClient, scans: Scans, number: int, prefix: str) -> str | None:
        """The answer to one scan; None where the request failed."""
        try:
            answer = client.answers(
                scans.images[number : number + 1], request_id=f"{prefix}-{scans.ids[number]}"
            )[0]
            failed = 0
        except httpx.HTTPError:
            answer, failed = None, 1
        with self._counting:
            self.sent += 1
            self.failed += failed
        return answer
