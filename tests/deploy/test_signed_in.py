"""The lines of docs/deploy.md that let a browser in where authentication is on, with a stand-in for oauth2-proxy."""

from __future__ import annotations

import base64
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import nibabel as nib
import numpy as np
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from nginx import NAME, start_nginx
from running_server import MODEL, Server, save_everything_network, start_server

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SIGNED_IN = {"Cookie": "_oauth2_proxy=ann"}

pytestmark = [
    pytest.mark.filterwarnings("ignore:Unverified HTTPS"),
    pytest.mark.skipif(not (shutil.which("nginx") and shutil.which("openssl")), reason="needs nginx and openssl"),
]


class Provider(BaseHTTPRequestHandler):
    """The realm's page with its key, and what oauth2-proxy answers to nginx: a token for whoever has its cookie."""

    def do_GET(self) -> None:
        if self.path == "/oauth2/auth":
            cookie = self.headers.get("Cookie") == SIGNED_IN["Cookie"]
            self.send_response(202 if cookie else 401)
            if cookie:
                roles = {"roles": ["monailabel-user"]}
                said = {"preferred_username": "ann", "exp": int(time.time()) + 60, "realm_access": roles}
                self.send_header("Authorization", f"Bearer {jwt.encode(said, KEY, algorithm='RS256')}")
            self.end_headers()
            return
        self.send_response(200 if self.path in ("/realm", "/oauth2/sign_in") else 404)
        self.end_headers()
        public = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        shown = json.dumps({"public_key": base64.b64encode(public).decode()})
        self.wfile.write((shown if self.path == "/realm" else "sign in here").encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()


@pytest.fixture(scope="module")
def server(provider, tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("closed")
    (folder / "studies").mkdir()
    block = nib.Nifti1Image(np.ones((24, 20, 30), np.float32), np.diag([4.0, 4.0, 4.0, 1.0]))
    nib.save(block, folder / "studies" / "block.nii.gz")
    env = {"MONAI_LABEL_AUTH_ENABLE": "true", "MONAI_LABEL_AUTH_REALM_URI": f"{provider}/realm"}
    conf = ("--conf", "weights", str(save_everything_network(folder / "everything.pt")))
    yield from start_server(folder, folder / "studies", *conf, "--conf", "origins", f"https://{NAME}", env=env)


@pytest.fixture(scope="module")
def proxy(provider, server, repo, tmp_path_factory) -> Iterator[str]:
    beside, inside = re.findall(r"```nginx\n(.*?)```", (repo / "docs" / "deploy.md").read_text(), re.DOTALL)
    assert "http://127.0.0.1:4180" in beside
    beside = beside.replace("http://127.0.0.1:4180", provider)
    site = (repo / "deploy" / "nginx.conf").read_text()
    yield from start_nginx(tmp_path_factory.mktemp("nginx"), site, server.url, inside, beside)


def get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers={"Host": NAME, **headers}, verify=False, timeout=60)


def test_who_is_signed_in_sees_the_pages_and_clicks(proxy):
    for path in ("/", "/read/block", "/read/block/about"):
        assert get(f"{proxy}{path}", **SIGNED_IN).status_code == 200
    click = {"params": json.dumps({"foreground": [[8, 6, 12]], "background": []})}
    url = f"{proxy}/infer/{MODEL}?image=block&output=json"
    answer = requests.post(url, data=click, headers={"Host": NAME, **SIGNED_IN}, verify=False, timeout=60)
    assert answer.status_code == 200, answer.text


def test_others_are_asked_to_sign_in(proxy):
    answer = get(f"{proxy}/read/block")
    assert answer.text == "sign in here"
    assert "block" not in answer.text
    answer = get(f"{proxy}/read/block", Authorization="Bearer made.up.token")
    assert answer.text == "sign in here"
