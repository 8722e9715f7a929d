"""The archive the other tests of this room stand on."""

from __future__ import annotations

import socket

import psutil
import requests


def test_an_orthanc_of_our_own_answers_and_nothing_outside_sees_it(namespace, orthanc):
    assert requests.get(f"{orthanc.dicomweb}/series", timeout=10).ok
    assert set(psutil.net_if_addrs()) == {"lo"}
    assert socket.gethostbyname("localhost") == "127.0.0.1"
