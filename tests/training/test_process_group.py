"""No thread of a process group outlives it, and ending one waits for nobody who waits for it."""

import faulthandler
import time
from pathlib import Path

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from seganypet.training import end_process_group

THREADS = Path("/proc/self/task")
pytestmark = pytest.mark.skipif(not THREADS.is_dir(), reason="threads are listed on Linux")


def gloo_threads() -> int:
    return sum("gloo" in (thread / "comm").read_text() for thread in THREADS.iterdir())


def trained_network() -> DistributedDataParallel:
    network = DistributedDataParallel(torch.nn.Linear(2, 1))
    network(torch.ones(1, 2)).sum().backward()
    return network


def end_with_a_reduction_under_way(rank: int, store: str) -> None:
    faulthandler.dump_traceback_later(60, exit=True)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    network = trained_network()
    time.sleep(rank)  # the first process is in its reduction, and nobody waits for it, until the second comes
    torch.distributed.all_reduce(torch.ones(1), async_op=True)
    end_process_group(network)
    assert gloo_threads() == 0


def test_no_thread_outlives_its_group():
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    network = trained_network()
    assert gloo_threads() > 0
    end_process_group(network)
    assert not torch.distributed.is_initialized()
    assert gloo_threads() == 0


@pytest.mark.slow
def test_a_group_ends_with_a_reduction_under_way(tmp_path):
    torch.multiprocessing.spawn(end_with_a_reduction_under_way, (str(tmp_path / "store"),), nprocs=2)
