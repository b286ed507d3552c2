"""How a rank's process joins the others, by its strategy's process group (configs/training.py).

Runs in the rank.

- `horovod`: hvd.init(); the addresses come from the driver's rendezvous server.
- `torch`: the default process group of torch.distributed, NCCL for tensors on a GPU and gloo for the rest.
Its store is on rank 0, on a
  socket that the worker bound for it to the cluster's own address; torch by itself would listen on every
  interface.
- `none`: one rank, which joins nobody.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from configs.training import PROCESS_GROUPS, Strategy
from infra.ranks.slots import Slot, own_slot

log = logging.getLogger("gyre.ranks")
LISTENER = "GYRE_STORE_SOCKET"
"""Number of the file handle on which rank 0 serves torch's store."""
JOIN_S = 300
"""How long ranks wait for each other at the start; a worker may be busy with something else."""
STALL_S = 1800.0
"""How long ranks in a collective wait for one that does not come: longer than anything that a rank does
alone, such as a validation."""


@contextmanager
def join_ranks(strategy: Strategy, stall_s: float) -> Iterator[None]:
    """Joins the other ranks; leaves them when the block ends well.

    When it fails they see the connection close, and nobody waits.
    """
    slot = own_slot()
    accelerated = use_device(slot)
    group = PROCESS_GROUPS[strategy]
    if group == "horovod":
        import horovod.torch as hvd

        hvd.init()
        if accelerated and not hvd.nccl_built():
            log.warning(
                "Horovod was built without NCCL: gradients go through the CPU. Rebuild: infra/horovod/build.py --operations cuda"
            )
        yield
        hvd.shutdown()
    elif group == "torch":
        from torch import distributed

        join_group(slot, accelerated, stall_s)
        yield
        # Rank 0 serves the store: it must not go while another still asks it.
        distributed.barrier()
        distributed.destroy_process_group()
    else:
        yield


def use_device(slot: Slot) -> bool:
    """Makes the rank's accelerator, if there is one, torch's current device.

    CUDA_VISIBLE_DEVICES stays as the worker has it.
    """
    import torch

    if not torch.cuda.is_available():
        return False
    if slot.device >= (count := torch.cuda.device_count()):
        raise RuntimeError(
            f"rank {slot.rank} is number {slot.device} on {slot.hostname}, whose GPUs number {count}: start at most one Dask worker a GPU"
        )
    torch.cuda.set_device(slot.device)
    return True


def join_group(slot: Slot, accelerated: bool, stall_s: float) -> None:
    """Initialises torch.distributed's default group."""
    from torch import distributed

    listener = int(os.environ[LISTENER]) if LISTENER in os.environ else None
    store = distributed.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=slot.rank == 0,
        timeout=timedelta(seconds=JOIN_S),
        wait_for_workers=False,
        master_listen_fd=listener,
    )
    backend = "cpu:gloo,cuda:nccl" if accelerated else "gloo"
    distributed.init_process_group(
        backend, store=store, rank=slot.rank, world_size=slot.size, timeout=timedelta(seconds=stall_s)
    )


def is_consequence(error: BaseException) -> bool:
    """Whether another rank's end explains the error: a collective broke because its partner went."""
    if type(error).__name__ in {
        "HorovodInternalError",
        "DistBackendError",
        "DistNetworkError",
        "DistStoreError",
    }:
        return True
    # torch raises gloo's errors as plain RuntimeError.
    return isinstance(error, RuntimeError) and "gloo/" in str(error)
