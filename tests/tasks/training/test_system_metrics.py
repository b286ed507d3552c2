"""What a rank tells of its own process."""

import psutil
import pytest
import torch

from tasks.training.system_metrics import Usage


def test_a_rank_tells_its_memory_and_work_once_in_a_while():
    told = []
    usage = Usage(1, torch.device("cpu"), told.append)
    for step in (1, 2, 3):
        sum(number * number for number in range(10**6))
        usage.tell(step)
    (message,) = told
    assert (message.rank, message.step) == (1, 1)
    assert message.metrics["process_memory_megabytes"] == pytest.approx(
        psutil.Process().memory_info().rss / 1e6, rel=0.1
    )
    assert message.metrics["process_cpu_percentage"] > 0
    assert 0 < message.metrics["system_memory_usage_percentage"] < 100
