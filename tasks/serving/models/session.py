"""A graph, run where its bundle is meant to be: on the CPU, or by what a target names and this machine has.

What is not installed, does not take the graph, answers otherwise or fails later has the CPU answer, whose
session is opened and warmed beforehand; why is told in metadata, readiness detail and metrics.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.serving.protocol.tensors import Values

log = logging.getLogger("gyre.serving")

CPU = "cpu"
PROVIDERS = {
    CPU: "CPUExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""ONNX Runtime's, by the name that the YAML's target has for them."""


@dataclass
class Session:
    """A graph on a provider, and on the CPU for when that fails."""

    provider: str
    opened: Any
    """onnxruntime.InferenceSession."""
    on_cpu: Any
    """The same where the provider is the CPU."""
    fell_back: str = ""
    """Why the CPU answers in place of the provider that the target names; empty where it does not."""

    def run(self, fed: dict[str, Values]) -> list[Values]:
        """The outputs in the graph's order. Raises what ONNX Runtime raises on the CPU."""
        if self.provider == CPU:
            found: list[Values] = self.on_cpu.run(None, fed)
            return found
        try:
            found = self.opened.run(None, fed)
        except Exception as error:
            # Rows that no provider can bear fail here too, and say nothing against the first one.
            found = self.on_cpu.run(None, fed)
            self.leave(self.provider, f"{self.provider} failed: {type(error).__name__}: {error}")
        return found

    def leave(self, target: str, reason: str) -> None:
        """Has the CPU answer from now on in place of a target's provider."""
        log.error("the CPU answers in place of %s: %s", target, reason)
        self.provider, self.opened, self.fell_back = CPU, self.on_cpu, reason


def open_session(graph: Path, target: str = CPU, differs: Callable[[Any], str] = lambda _: "") -> Session:
    """A graph on the provider that a target names, or on the CPU with the reason.

    differs: says why a session's answers are not those that the graph was judged by; empty where they are
    """
    session = Session(CPU, None, open_on(graph, CPU))
    if target == CPU:
        return session
    try:
        session.opened = open_on(graph, target)
        session.provider = target
        reason = differs(session.opened)
    except Exception as error:
        reason = f"{target} does not take it: {type(error).__name__}: {error}"
    if reason:
        session.leave(target, reason)
    return session


def open_on(graph: Path, target: str) -> Any:
    """An onnxruntime.InferenceSession on one thread: the others are the server's.

    Raises ValueError where the provider is not there, or does not come up.
    """
    import onnxruntime

    provider, there = PROVIDERS[target], onnxruntime.get_available_providers()
    if provider not in there:
        raise ValueError(f"this onnxruntime has {', '.join(there)}; want one with {provider}")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    wanted = [provider] if target == CPU else [provider, PROVIDERS[CPU]]
    opened = onnxruntime.InferenceSession(graph, options, providers=wanted)
    # Where a library is missing ONNX Runtime warns, and takes the CPU.
    if opened.get_providers()[0] != provider:
        raise ValueError(f"{provider} did not come up; a library that it needs is missing")
    return opened
