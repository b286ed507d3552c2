"""What a rank and its host use while they train, told under the names that MLflow's own monitor gives them.

That monitor would see the driver's host alone, and import MLflow on every rank.
"""

import time
from collections.abc import Callable

import psutil
import torch

from tasks.training.messages import SystemMetrics

EVERY_S = 10.0
MEGABYTE = 1e6


class Usage:
    """Tells it with the first step, then once each EVERY_S."""

    def __init__(self, rank: int, device: torch.device, send: Callable[[SystemMetrics], None]) -> None:
        self.rank, self.device, self.send = rank, device, send
        self.process, self.due = psutil.Process(), 0.0
        # Shares are counted from here on.
        self.process.cpu_percent()
        psutil.cpu_percent()

    def tell(self, step: int) -> None:
        """After an optimizer step; costs nothing until it is due."""
        if (now := time.monotonic()) >= self.due:
            self.due = now + EVERY_S
            self.send(SystemMetrics(rank=self.rank, step=step, metrics=self.measured()))

    def measured(self) -> dict[str, float]:
        """Shares in percent (of one core for the process, of all for the host), memory in megabytes."""
        memory = psutil.virtual_memory()
        found = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / MEGABYTE,
            "system_memory_usage_percentage": memory.percent,
            "process_cpu_percentage": self.process.cpu_percent(),
            "process_memory_megabytes": self.process.memory_info().rss / MEGABYTE,
        }
        if self.device.type == "cuda":
            free, whole = torch.cuda.mem_get_info(self.device)
            found["gpu_memory_usage_megabytes"] = (whole - free) / MEGABYTE
            found["gpu_memory_usage_percentage"] = 100 * (1 - free / whole)
            found["process_gpu_memory_megabytes"] = torch.cuda.max_memory_reserved(self.device) / MEGABYTE
        return found
