"""Freed memory stays with the process; in a process of its own, since the setting cannot be taken back."""

import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, runpy, sys
import numpy as np
if sys.argv[1] == "keep":
    assert runpy.run_path(sys.argv[2])["keep_freed_memory"]()
def work():
    return [np.ones(1_000_000, np.float32) for _ in range(4)]  # 4 MB, some thousand pages, each
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc's, which this system does not have")
def test_memory_is_not_fetched_from_the_system_again_and_again(repo):
    module = str(repo / "bundle/seganypet/inference/host_memory.py")  # by its path: no import of torch
    faults = {
        mode: int(
            subprocess.run(
                [sys.executable, "-c", COUNT_FAULTS, mode, module], capture_output=True, text=True, check=True
            ).stdout
        )
        for mode in ("plain", "keep")
    }
    assert faults["keep"] < 2_000  # all of it fetched again would be 40,000
    assert faults["keep"] < faults["plain"] / 5
