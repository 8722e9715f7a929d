"""Many clicks on many studies by many readers: memory and disk stay within what was configured."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import requests as http
from demo_server import server_process
from tqdm import tqdm

APP = Path(__file__).resolve().parents[2] / "apps" / "seganypet_label"
MODEL = "seganypet"
SHAPE = (100, 100, 150)
WAIT_S = 120.0


def soak(
    clicks: int = 2000,
    studies: int = 40,
    readers: int = 8,
    embedding_mb: int = 256,
    study_mb: int = 64,
    seed: int = 0,
) -> None:
    """Click at random in a server of its own, and end with status 1 where a cache outgrows its bound or a click fails.

    Args:
        clicks: requests in all; every fourth one saves the mask, too.
        studies: how many, of 100×100×150 voxels of 4 mm, so that they do not fit into the caches together.
        readers: at work at once.
        embedding_mb: bound on remembered embeddings.
        study_mb: bound on volumes in memory.
        seed: of studies and clicks.
    """
    with tempfile.TemporaryDirectory(prefix="seganypet-soak-") as temporary:
        folder = Path(temporary)
        (folder / "tmp").mkdir()
        names = _write(folder / "studies", studies, seed)
        conf = {"embedding_mb": embedding_mb, "study_mb": study_mb, "encode_ahead_s": 5}
        environment = {"OMP_WAIT_POLICY": "passive", **os.environ, "HOME": str(folder), "TMPDIR": str(folder / "tmp")}
        with server_process(APP, folder / "studies", folder / "server.log", conf, environment) as (url, pid):
            before = set((folder / "tmp").rglob("*"))  # MONAI Label leaves its logging's settings there at each start
            soaked = _Soak(url, names, pid, seed)
            with ThreadPoolExecutor(readers) as pool, tqdm(total=clicks, unit="click") as bar:
                for _ in pool.map(soaked.click, range(clicks)):
                    bar.update()
            left = [str(file) for file in set((folder / "tmp").rglob("*")) - before if file.is_file()]
            caches = _caches(url)
    if soaked.problems:
        sys.exit(f"seed {seed}: {len(soaked.problems)} of {clicks} clicks failed, the first: {soaked.problems[0]}")
    over = {name: most for name, (most, bound) in soaked.most.items() if most > bound}
    if over or left:
        sys.exit(f"seed {seed}: over their bounds: {over}; left in the temporary folder: {left[:5]}")
    print(f"seed {seed}: {clicks} clicks by {readers} readers on {studies} studies, none failed, nothing left behind")
    for name, (most, bound) in soaked.most.items():
        held = caches[name][0] / 2**20
        print(f"{name:12} at most {most / 2**20:6.0f} of {bound / 2**20:.0f} MiB, {held:.0f} at the end")
    quarter = max(1, len(soaked.resident) // 4)
    first, last = (max(part) for part in (soaked.resident[:quarter], soaked.resident[-quarter:]))
    print(f"resident memory at most {first:.0f} MiB in the first quarter, {last:.0f} MiB in the last")


class _Soak:
    """What readers do, and what the server held meanwhile."""

    def __init__(self, url: str, names: list[str], pid: int, seed: int) -> None:
        self._url, self._names, self._pid, self._seed = url, names, pid, seed
        self._lock = threading.Lock()
        self.problems: list[str] = []
        self.most: dict[str, tuple[float, float]] = {}
        self.resident: list[float] = []

    def click(self, number: int) -> None:
        rng = np.random.default_rng([self._seed, number])
        study = self._names[rng.integers(len(self._names))]
        places = [[int(rng.integers(20, n - 20)) for n in SHAPE] for _ in range(int(rng.integers(1, 4)))]
        params = {"label": f"finding {rng.integers(5)}", "foreground": places[:1], "background": places[1:]}
        params |= {"save_label": True} if number % 4 == 0 else {}
        try:
            answer = http.post(
                f"{self._url}/infer/{MODEL}",
                params={"image": study, "output": "json"},
                data={"params": json.dumps(params)},
                timeout=WAIT_S,
            )
            problem = "" if answer.ok else f"{answer.status_code} {answer.text[:200]}"
        except http.RequestException as error:
            problem = repr(error)
        if problem:
            self.problems.append(f"{study} {params}: {problem}")
        if number % 20 == 0:
            found = _caches(self._url)
            with self._lock:
                for name, (held, bound) in found.items():
                    self.most[name] = (max(held, self.most.get(name, (0.0, 0.0))[0]), bound)
                self.resident.append(_resident_mib(self._pid))


def _write(folder: Path, count: int, seed: int) -> list[str]:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    names = [f"study_{number:02d}" for number in range(count)]
    for name in names:
        voxels = rng.gamma(4.0, 0.25, SHAPE).astype(np.float32)
        for _ in range(6):
            corner = [int(rng.integers(20, n - 30)) for n in SHAPE]
            voxels[tuple(slice(c, c + int(rng.integers(3, 9))) for c in corner)] *= 6
        nib.save(nib.Nifti1Image(voxels, np.diag([4.0, 4.0, 4.0, 1.0])), folder / f"{name}.nii")
    return names


def _caches(url: str) -> dict[str, tuple[float, float]]:
    """Bytes that each cache holds, and may hold."""
    text = http.get(f"{url}/metrics", timeout=WAIT_S).text
    found = re.findall(r'^seganypet_cache_bytes(_max)?\{cache="(\w+)"\} (\S+)$', text, flags=re.M)
    values = {(name, bool(bound)): float(value) for bound, name, value in found}
    return {name: (values[name, False], values[name, True]) for name, bound in values if not bound}


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
