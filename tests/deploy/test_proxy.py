"""The TLS proxy of deploy/nginx.conf before a real server: clicks pass, other names and metrics do not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import requests
from nginx import NAME, start_nginx
from running_server import MODEL, Server, save_everything_network, start_server

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
    site = (repo / "deploy" / "nginx.conf").read_text()
    yield from start_nginx(tmp_path_factory.mktemp("nginx"), site, server.url)


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
