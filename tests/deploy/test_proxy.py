"""The TLS proxy of deploy/nginx.conf before a real server: clicks pass, other names and metrics do not."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
from running_server import MODEL, Server, save_everything_network, start_server

NAME = "pet.example.org"
CLICK = {"params": json.dumps({"foreground": [[8, 6, 12]], "background": []})}

pytestmark = [
    pytest.mark.filterwarnings("ignore:Unverified HTTPS"),
    pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("openssl")), reason="needs nginx and openssl"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("proxied")
    (folder / "studies").mkdir()
    block = nib.Nifti1Image(np.ones((24, 20, 30), np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    nib.save(block, folder / "studies" / "block.nii.gz")
    weights = save_everything_network(folder / "everything.pt")
    yield from start_server(
        folder, folder / "studies", "--conf", "weights", str(weights), "--conf", "origins", f"https://{NAME}"
    )  # fmt: skip


@pytest.fixture(scope="module")
def proxy(server, repo, tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("nginx")
    made = ["-nodes", "-days", "2", "-subj", f"/CN={NAME}", "-keyout", str(folder / "key"), "-out", str(folder / "pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", *made], check=True, capture_output=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = (repo / "deploy" / "nginx.conf").read_text()
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        (f"/etc/ssl/certs/{NAME}.pem", str(folder / "pem")),
        (f"/etc/ssl/private/{NAME}.key", str(folder / "key")),
        ("http://127.0.0.1:8000", server.url),
    ):
        assert old in site
        site = site.replace(old, new)
    for name in ("body", "proxy", "fastcgi", "uwsgi", "scgi"):
        (folder / name).mkdir()
    temporary = "".join(
        f"{directive}_temp_path {folder / name};\n"
        for directive, name in [("client_body", "body"), *((one, one) for one in ("proxy", "fastcgi", "uwsgi", "scgi"))]
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder / 'pid'}; error_log {folder / 'error.log'};\n"
        f"events {{}}\nhttp {{ access_log off;\n{temporary}{site}}}\n"
    )
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(config)], stderr=subprocess.PIPE, text=True)
    try:
        wait_for(port, process)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert process.poll() is None, process.stderr and process.stderr.read()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("nginx does not listen")


def test_a_click_through_the_proxy_is_the_servers_with_one_number(server, proxy):
    url = f"{proxy}/infer/{MODEL}?image=block&output=image"
    through = requests.post(url, data=CLICK, headers={"Host": NAME}, verify=False, timeout=60)
    direct = requests.post(url.replace(proxy, server.url), data=CLICK, timeout=60)
    assert (through.status_code, through.content) == (200, direct.content)
    assert f'{{"id": "{through.headers["x-request-id"]}"' in server.log.read_text()


def test_a_page_of_the_proxys_name_may_save_and_one_of_another_may_not(proxy):
    for origin, status in ((f"https://{NAME}", 404), ("https://evil.example", 403)):  # 404: nothing to save yet
        answer = requests.post(
            f"{proxy}/seganypet/final",
            data={"study": "block", "label": "x", "seen": "0", "name": "x"},
            headers={"Host": NAME, "Origin": origin},
            verify=False,
            timeout=60,
        )
        assert answer.status_code == status


def test_metrics_stay_inside_and_another_name_is_not_served(proxy):
    assert requests.get(f"{proxy}/metrics", headers={"Host": NAME}, verify=False, timeout=60).status_code == 403
    assert requests.get(f"{proxy}/info/", headers={"Host": "evil.example"}, verify=False, timeout=60).status_code == 421
    assert requests.get(f"{proxy}/health", headers={"Host": NAME}, verify=False, timeout=60).status_code == 200


def test_compose_names_what_is_here(repo):
    for name in ("nginx.compose.conf", "Dockerfile"):
        assert name in (repo / "deploy" / "compose.yaml").read_text()
        assert Path(repo / "deploy" / name).is_file()
    assert os.access(repo / "requirements-nodeps.txt", os.R_OK)  # the Dockerfile copies it
