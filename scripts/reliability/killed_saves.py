"""Kill -9 while labels are saved: what was acknowledged is there, whole, and nothing half written is left."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import requests as http
from demo_server import server_process
from tqdm import tqdm

APP = Path(__file__).resolve().parents[2] / "apps" / "seganypet_label"
SHAPE = (64, 64, 80)
WAIT_S = 60.0


@dataclass
class Saving:
    """What one client knows of its saves.

    Args:
        acknowledged: the checksum of the label that the server said it has; "" before the first.
        under_way: of the one it was sent and has not acknowledged; "" between two.
    """

    acknowledged: str = ""
    under_way: str = ""
    ended: threading.Event = field(default_factory=threading.Event)


def kill_saves(count: int, seed: int) -> None:
    """Kill a server of its own at random moments of a save, start it again and look, `count` times."""
    rng, within = np.random.default_rng(seed), 0
    with tempfile.TemporaryDirectory(prefix="seganypet-kills-") as temporary:
        folder = Path(temporary)
        (folder / "studies").mkdir()
        image = nib.Nifti1Image(np.ones(SHAPE, np.float32), np.eye(4) * [4, 4, 4, 1])
        nib.save(image, folder / "studies" / "study.nii.gz")
        environment = {"OMP_WAIT_POLICY": "passive", **os.environ, "HOME": str(folder)}
        saving = Saving()
        for number in tqdm(range(count + 1), unit="kill"):
            log = folder / f"{number}.log"
            with server_process(APP, folder / "studies", log, {"encode_ahead_s": 0}, environment) as (url, pid):
                problem = _look(url, folder / "studies", saving)
                if problem:
                    sys.exit(f"seed {seed}, kill {number}: {problem}")
                if number == count:
                    break
                client = threading.Thread(target=_save, args=(url, saving, int(rng.integers(2**31))))
                client.start()
                time.sleep(float(rng.uniform(0.2, 0.6)))
                deadline = time.monotonic() + WAIT_S
                while not saving.under_way and time.monotonic() < deadline:
                    time.sleep(0.0005)
                time.sleep(float(rng.uniform(0, 0.06)))  # a save takes about that long
                within += bool(saving.under_way)
                os.kill(pid, signal.SIGKILL)
                saving.ended.set()
                client.join()
                saving.ended.clear()
    print(f"seed {seed}: {count} kills, {within} of them between a save's first byte and its acknowledgement")
    print("no acknowledged label was lost or half written, and nothing half written was left")


def _save(url: str, saving: Saving, seed: int) -> None:
    """Save one label after the other until the server is gone."""
    rng = np.random.default_rng(seed)
    while not saving.ended.is_set():
        voxels = (rng.random(SHAPE) > 0.5).astype(np.uint8)
        content = nib.Nifti1Image(voxels, np.eye(4) * [4, 4, 4, 1]).to_bytes()
        saving.under_way = _sum(voxels)
        try:
            answer = put_label(url, "study", "liver", content)
        except http.RequestException:
            return  # under way when it was killed: it may be there or not
        answer.raise_for_status()
        saving.acknowledged, saving.under_way = saving.under_way, ""


def put_label(url: str, study: str, name: str, content: bytes) -> http.Response:
    """Save a final label of one target, a NIfTI's bytes.

    Raises:
        http.RequestException: no answer came.
    """
    return http.put(
        f"{url}/datastore/label",
        params={"image": study, "tag": "final"},
        data={"params": json.dumps({"label_info": [{"name": name, "idx": 1}]})},
        files={"label": ("x.nii", content)},
        timeout=WAIT_S,
    )


def _look(url: str, studies: Path, saving: Saving) -> str:
    """What is wrong after a start, "" if nothing."""
    drafts = [str(file) for file in studies.rglob("*.partial")]
    if drafts:
        return f"left half written: {', '.join(drafts)}"
    if not saving.acknowledged:
        return ""
    answer = http.get(f"{url}/datastore/label", params={"label": "study", "tag": "final"}, timeout=WAIT_S)
    if answer.status_code != 200:
        return f"the acknowledged label is gone: {answer.status_code} {answer.text[:200]}"
    file = nib.FileHolder(fileobj=io.BytesIO(_unzipped(answer.content)))
    found = _sum(np.asarray(nib.Nifti1Image.from_file_map({"header": file, "image": file}).dataobj))
    if found not in (saving.acknowledged, saving.under_way):
        return "the label is neither the one acknowledged nor the one under way"
    saving.acknowledged, saving.under_way = found, ""
    return ""


def _unzipped(content: bytes) -> bytes:
    return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content


def _sum(voxels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(voxels.astype(np.uint8)).tobytes()).hexdigest()
