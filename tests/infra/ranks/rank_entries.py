"""What the ranks of these tests run."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import psutil
from pydantic import Field

from infra.files import whole_file
from infra.ranks.messages import Committed
from infra.ranks.slots import own_slot


def worker():
    """The Dask worker's process: its fork server's parent."""
    return psutil.Process(os.getppid()).ppid()


def tell(arguments, send):
    import horovod.torch as hvd
    import torch

    for number in range(arguments["messages"]):
        send({"rank": hvd.rank(), "number": number})
    sys.stdout.write(f"rank {hvd.rank()} speaks\n")
    total = hvd.allreduce(torch.tensor([hvd.rank() + 1.0]), op=hvd.Sum)
    return {"rank": hvd.rank(), "total": total.item(), "threads": torch.get_num_threads()}


@dataclass(frozen=True)
class Spoken:
    words: str
    number: float


def echo(arguments: Spoken, send: Callable[[Spoken], None]) -> Spoken:
    send(arguments)
    return Spoken(f"{arguments.words} {arguments.words}", arguments.number - arguments.number)


def addresses(arguments, send):
    """The local addresses of all sockets of the rank, once it has spoken with the other."""
    import horovod.torch as hvd
    import psutil
    import torch

    hvd.allreduce(torch.ones(1))
    send({})
    hvd.allreduce(torch.ones(1))
    return sorted({connection.laddr.ip for connection in psutil.Process().net_connections("tcp")})


def misbehave(arguments, send):
    """After a first allreduce, the rank `who` does what `how` says; the others go on for a minute."""
    import horovod.torch as hvd
    import torch

    # Long enough for the memory that ranks share.
    tensor = torch.ones(100_000)
    hvd.allreduce(tensor)
    send({"rank": hvd.rank(), "pid": os.getpid()})
    # A killed worker takes along what it has not passed on yet.
    time.sleep(0.5)
    if hvd.rank() == arguments["who"]:
        match arguments["how"]:
            case "raise":
                raise ValueError("the cat sat on the keyboard")
            case "kill rank":
                os.kill(os.getpid(), signal.SIGKILL)
            case "kill worker":
                os.kill(worker(), signal.SIGKILL)
            case "hang":
                time.sleep(600)
    for _ in range(600):
        hvd.allreduce(tensor)
        time.sleep(0.1)


def total(value):
    """Sum of all ranks' numbers, whatever joined them."""
    import torch

    tensor = torch.tensor([float(value)])
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(tensor)
        return tensor.item()
    if "HOROVOD_RANK" in os.environ:
        import horovod.torch as hvd

        return hvd.allreduce(tensor, op=hvd.Sum).item()
    return tensor.item()


def report(arguments, send):
    """The rank's place, and the sum of 1 for rank 0, 2 for rank 1 and so on."""
    from dataclasses import asdict

    slot = own_slot()
    addresses = None
    summed = total(slot.rank + 1)
    if arguments.get("addresses"):
        import psutil

        addresses = sorted({connection.laddr.ip for connection in psutil.Process().net_connections("tcp")})
        total(0)
    return {**asdict(slot), "total": summed, "addresses": addresses}


def sums(arguments, send):
    """What went wrong with sums of every kind and size, some begun at once.

    And whether this rank shares memory with others.
    """
    import horovod.torch as hvd
    import torch

    operations = {
        "Sum": torch.Tensor.sum,
        "Min": torch.Tensor.amin,
        "Max": torch.Tensor.amax,
        "Product": torch.Tensor.prod,
    }
    wrong = []
    for kind in (torch.float32, torch.float64, torch.float16, torch.int32, torch.int64):
        for name, operation in operations.items():
            # One number, an odd share for each rank, more than a slot holds: the last two in shared memory,
            # whatever their kind.
            tensors = [(torch.arange(size) % 5 + 1).to(kind) for size in (1, 200_001, 2_500_001)]
            handles = [
                hvd.allreduce_async(each + hvd.rank(), name=f"{kind}{name}{len(each)}", op=getattr(hvd, name))
                for each in tensors
            ]
            for tensor, handle in zip(tensors, handles, strict=True):
                expected = operation(
                    torch.stack([tensor[:5] + rank for rank in range(hvd.size())]).double(), dim=0
                )
                found = hvd.synchronize(handle).double()
                if not torch.equal(found, expected.repeat(len(tensor) // 5 + 1)[: len(tensor)]):
                    wrong.append(f"{name} of {len(tensor)} {kind}")
    return {"wrong": wrong, "shared": "memfd:horovod" in Path("/proc/self/maps").read_text()}


@dataclass(frozen=True)
class Began:
    """A rank begins to count, from where it was committed."""

    pid: int
    worker: int
    generation: int
    rank: int
    size: int
    start: int
    kind: Literal["began"] = "began"


@dataclass(frozen=True)
class Counted:
    step: int
    size: int
    generation: int


def count_steps(
    arguments: dict[str, Any],
    send: Callable[[Annotated[Began | Committed, Field(discriminator="kind")]], None],
) -> Counted:
    """Counts to `steps`, a step each `step_s` seconds, with a commit after each `every`.

    Accidents: {generation: [rank, step, how]}.
    """
    folder, slot = Path(arguments["folder"]), own_slot()
    commits = sorted(folder.glob("commit-*.json"))
    step = json.loads(commits[-1].read_text())["step"] if commits else 0
    send(Began(os.getpid(), worker(), slot.generation, slot.rank, slot.size, start=step))
    total(0)
    while step < arguments["steps"]:
        step += 1
        who, when, how = arguments.get("accidents", {}).get(str(slot.generation), [-1, 0, ""])
        if (slot.rank, step) == (who, when):
            accident(how)
        time.sleep(arguments.get("step_s", 0.0))
        assert total(1) == slot.size
        if slot.rank == 0 and step % arguments["every"] == 0:
            with whole_file(folder / f"commit-{slot.generation:04d}-{step:06d}.json") as temporary:
                temporary.write_text(json.dumps({"step": step}))
            send(Committed(step))
    return Counted(step, slot.size, slot.generation)


def accident(how):
    # What was said before must have left the worker that dies.
    time.sleep(0.3)
    match how:
        case "raise":
            raise ValueError("the dog ate the batch")
        case "kill rank":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill worker":
            os.kill(worker(), signal.SIGKILL)
            # This process dies with its worker, but not at once: it must not take part in another step.
            time.sleep(60)
        case "hang":
            time.sleep(600)
