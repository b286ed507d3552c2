"""What the ranks of test_ranks.py run; found by them because the test puts this folder on the driver's sys.path."""

import os
import signal
import sys
import time


def tell(arguments, send):
    import horovod.torch as hvd
    import torch

    for number in range(arguments["messages"]):
        send({"rank": hvd.rank(), "number": number})
    sys.stdout.write(f"rank {hvd.rank()} speaks\n")
    total = hvd.allreduce(torch.tensor([hvd.rank() + 1.0]), op=hvd.Sum)
    return {"rank": hvd.rank(), "total": total.item(), "threads": torch.get_num_threads()}


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

    hvd.allreduce(torch.ones(1))
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
                os.kill(os.getppid(), signal.SIGKILL)
            case "hang":
                time.sleep(600)
    for _ in range(600):
        hvd.allreduce(torch.ones(1))
        time.sleep(0.1)
