"""Readers who click through a server, all at once, and somebody who asks how it is meanwhile."""

from __future__ import annotations

import json
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests
from benchmarks.served_studies import ServedStudy

MODEL = "seganypet"
TIMEOUT_S = 300
PROBE_EVERY_S = 0.05


@dataclass
class Reading:
    """What some readers met.

    Args:
        first: seconds of each reader's first click.
        later: seconds of every click after it.
        masks: checksum of each mask, by (study, clicks made).
        bytes_sent: size of an answer's body as it came.
        info: seconds of each /info request made meanwhile.
    """

    first: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    masks: dict[tuple[str, int], int] = field(default_factory=dict)
    bytes_sent: int = 0
    info: list[float] = field(default_factory=list)


def read_together(url: str, studies: Sequence[ServedStudy], *, clicks: int, at_once: int) -> Reading:
    """Each study by a reader of its own.

    Args:
        url: of the server.
        clicks: how many of a study's clicks are made, one request each, with all the clicks so far.
        at_once: readers at work at the same time; 1 has them come one after another.
    """
    reading = Reading()
    with asking_for_info(url, reading), ThreadPoolExecutor(at_once) as pool:
        for seconds, masks, size in pool.map(lambda study: read(url, study, clicks), studies):
            reading.first.append(seconds[0])
            reading.later += seconds[1:]
            reading.masks |= masks
            reading.bytes_sent = size
    return reading


def read(url: str, study: ServedStudy, clicks: int) -> tuple[list[float], dict[tuple[str, int], int], int]:
    """One reader: seconds of each click, checksums of the masks, bytes of the last answer."""
    seconds, masks, size = [], {}, 0
    with requests.Session() as session:
        for made in range(1, clicks + 1):
            start = time.perf_counter()
            answer = ask(session, url, study, made)
            seconds.append(time.perf_counter() - start)
            masks[study.name, made] = zlib.crc32(mask_part(answer))
            size = len(answer)
    return seconds, masks, size


def ask(session: requests.Session, url: str, study: ServedStudy, made: int) -> bytes:
    """The answer to a study's first clicks, as Slicer asks: the raw mask on the full grid, and the numbers.

    Raises:
        requests.HTTPError: the server refused.
    """
    clicks = study.clicks[:made]
    params = {
        "label": "target",
        "foreground": [list(click.ijk) for click in clicks if click.positive],
        "background": [list(click.ijk) for click in clicks if not click.positive],
        "result_extension": ".nrrd",
        "result_dtype": "uint8",
        "result_compress": False,
    }
    with session.post(
        f"{url}/infer/{MODEL}",
        params={"image": study.name},
        data={"params": json.dumps(params)},
        headers={"Accept-Encoding": "identity"},
        timeout=TIMEOUT_S,
        stream=True,
    ) as answer:
        answer.raise_for_status()
        return answer.raw.read()  # in one piece, as Slicer's client does; `content` would take it in 10 kB ones


def mask_part(answer: bytes) -> memoryview:
    """The mask's file in a multipart answer; before it come the numbers, which tell timings, behind it the boundary."""
    return memoryview(answer)[answer.index(b"NRRD") : answer.rindex(b"\r\n--")]


@contextmanager
def asking_for_info(url: str, reading: Reading) -> Iterator[None]:
    """Somebody who asks for /info twenty times a second, for as long as a `with` block lasts."""
    ended = threading.Event()

    def ask_on() -> None:
        with requests.Session() as session:
            while not ended.wait(PROBE_EVERY_S):
                start = time.perf_counter()
                session.get(f"{url}/info/", timeout=TIMEOUT_S).raise_for_status()
                reading.info.append(time.perf_counter() - start)

    asker = threading.Thread(target=ask_on, name="info")
    asker.start()
    try:
        yield
    finally:
        ended.set()
        asker.join()


def wait_until_encoded(url: str, *, at_most_s: float) -> bool:
    """Wait while the server encodes in the background; whether it came to an end."""
    deadline = time.monotonic() + at_most_s
    while time.monotonic() < deadline:
        progress = requests.get(f"{url}/info/", timeout=TIMEOUT_S).json().get("encoded_ahead", {})
        if not any(entry["state"] in ("waiting", "encoding") for entry in progress.values()):
            return True
        time.sleep(0.5)
    return False


def open_another(url: str, studies: Sequence[ServedStudy], opened: set[str]) -> ServedStudy | None:
    """Ask for a next sample until it is a study that nobody has opened; None where chance brings none."""
    for _ in range(50 * len(studies)):
        name = requests.post(f"{url}/activelearning/random", json={}, timeout=TIMEOUT_S).json()["id"]
        if name not in opened:
            return next(study for study in studies if study.name == name)
    return None
