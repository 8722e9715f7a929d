"""One reader's click neither changes another's answer nor keeps any other request waiting."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import requests
from small_studies import save_nifti

CLICKS = [[30, 30, 60], [5, 5, 105], [65, 45, 20], [40, 30, 90]]


def test_info_answers_while_clicks_run(server):
    done = threading.Event()
    waits = []

    def ask_for_info() -> None:
        while not done.is_set():
            start = time.perf_counter()
            assert requests.get(f"{server.url}/info/", timeout=60).status_code == 200
            waits.append(time.perf_counter() - start)
            time.sleep(0.02)

    asking = threading.Thread(target=ask_for_info)
    asking.start()
    start = time.perf_counter()
    with ThreadPoolExecutor(4) as readers:
        answers = list(readers.map(lambda click: server.numbers("image=large", {"foreground": [click]}), CLICKS))
    took = time.perf_counter() - start
    done.set()
    asking.join()
    assert all(answer["volume_ml"] > 0 for answer in answers)
    assert len(waits) >= 5, f"clicks took only {took:.2f} s"
    assert np.quantile(waits, 0.9) < 0.3 * took, (sorted(waits)[-5:], took)


def test_many_readers_get_bit_equal_masks_and_encode_once(server, tmp_path):
    rng = np.random.default_rng(3)
    file = save_nifti(rng.random((40, 40, 60), dtype=np.float32), tmp_path / "shared.nii.gz")
    session = server.client.create_session(str(file))["session_id"]
    params = {"foreground": [[20, 20, 30]], "background": [], "result_extension": ".nrrd"}
    with ThreadPoolExecutor(4) as readers:
        asked = [readers.submit(server.click, f"session_id={session}&output=image", params) for _ in range(4)]
        masks = {answer.result().content for answer in asked}
    assert len(masks) == 1
    alone = server.click(f"session_id={session}&output=image", params)
    assert masks == {alone.content}
    again = server.numbers(f"session_id={session}", {"foreground": [[10, 20, 30]]})
    assert again["windows_encoded"] == 1  # the fine window around another click, and no coarse one
