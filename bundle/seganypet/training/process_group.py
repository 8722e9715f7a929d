"""The end of training in several processes."""

from __future__ import annotations

import torch
from torch.nn.parallel import DistributedDataParallel


def end_process_group(network: DistributedDataParallel) -> None:
    """Ends the default process group and its threads. `network` cannot be trained in it any more.

    `torch.distributed.destroy_process_group` leaves gloo's threads to themselves while anything holds the group, as
    DistributedDataParallel does. Such a thread lets go of a collective's tensors a moment after the collective has
    returned, and needs Python's lock for it: where the interpreter is already on its way out, Python ends the thread
    inside a C++ destructor, and the process aborts with "terminate called without an active exception". The last holder
    to go joins the threads.

    Import torch.distributed.nn, as MONAI does, before the group starts: its functions' defaults hold the group that is
    there when they are defined.

    Args:
        network: what wraps the trained network, in the default group.
    """
    # Held here to the last: Python lets its lock go before it joins the threads, a network's reducer would not, and
    # the two would wait for each other.
    group = torch.distributed.group.WORLD
    torch.distributed.destroy_process_group()
    del network.process_group, network.reducer, network.logger  # what DistributedDataParallel does not pickle either
    del group
