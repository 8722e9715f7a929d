"""With MONAI Label's authentication on: who has a token gets in, by role, and is named with what they save."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import jwt
import pydicom
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from running_server import MODEL, Server, start_server
from small_studies import DICOM_AFFINE, HOT_CENTRE, hot_block, save_nifti

from seganypet.pet import write_pet_dicom_series

USER, ANNOTATOR = "monailabel-user", "monailabel-annotator"


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def realm(private_key: rsa.RSAPrivateKey) -> Iterator[str]:
    """An identity provider that gives its public key, as Keycloak does."""
    public = private_key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    body = json.dumps({"public_key": base64.b64encode(public).decode()}).encode()

    class Realm(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    provider = HTTPServer(("127.0.0.1", 0), Realm)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{provider.server_port}"
    provider.shutdown()


@pytest.fixture(scope="module")
def closed_server(tmp_path_factory, everything_weights, realm) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("closed")
    studies = folder / "studies"
    studies.mkdir()
    save_nifti(hot_block(), studies / "block.nii.gz")
    write_pet_dicom_series(hot_block(), DICOM_AFFINE, studies / "ann")
    env = {"MONAI_LABEL_AUTH_ENABLE": "true", "MONAI_LABEL_AUTH_REALM_URI": realm}
    yield from start_server(folder, studies, "--conf", "weights", str(everything_weights), env=env)


def token(key: object, *roles: str, algorithm: str = "RS256", **claims: object) -> dict[str, str]:
    payload = {
        "preferred_username": "ann",
        "exp": int(time.time()) + 60,
        "realm_access": {"roles": list(roles)},
        **claims,
    }
    return {"Authorization": f"Bearer {jwt.encode(payload, key, algorithm=algorithm)}"}


def click(server: Server, headers: dict[str, str], **more: object) -> requests.Response:
    form = {"params": json.dumps({"foreground": [HOT_CENTRE], "label": "liver", **more})}
    url = f"{server.url}/infer/{MODEL}?image=block&output=json"
    return requests.post(url, data=form, headers=headers, timeout=60)


def test_only_valid_tokens_with_the_role_get_in(closed_server, private_key):
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert click(closed_server, {}).status_code == 401
    assert click(closed_server, token(stranger, USER)).status_code == 401
    assert click(closed_server, token(private_key, USER, exp=int(time.time()) - 60)).status_code == 401
    assert click(closed_server, token(private_key, USER, preferred_username=None)).status_code == 401
    assert click(closed_server, token(private_key, USER, realm_access=None)).status_code == 403
    assert click(closed_server, token("a secret of at least 32 bytes" * 2, USER, algorithm="HS256")).status_code == 401
    assert click(closed_server, token(private_key, USER)).status_code == 200
    assert requests.get(f"{closed_server.url}/info/", timeout=60).status_code == 401
    assert requests.get(f"{closed_server.url}/info/", headers=token(private_key, USER), timeout=60).status_code == 200


@pytest.mark.parametrize("path", ["/infer/seganypet?image=block", "/read/block/save", "/datastore/?image=new"])
@pytest.mark.parametrize("authorization", ["", "Bearer x", "Basic YTpi"])
def test_no_body_of_somebody_unknown_is_read(closed_server, path, authorization):
    connection = HTTPConnection("127.0.0.1", urlsplit(closed_server.url).port, timeout=30)
    connection.putrequest("POST", path)
    for name, value in (("Content-Type", "application/json"), ("Content-Length", "1000000000000")):
        connection.putheader(name, value)
    if authorization:
        connection.putheader("Authorization", authorization)
    connection.endheaders()
    answer = connection.getresponse()  # though nothing of the body was sent
    assert answer.status == 401
    assert "sign in first" in json.loads(answer.read())["detail"]
    connection.close()


def test_dicomweb_of_a_folder_asks_for_the_same_tokens(closed_server, private_key):
    header = pydicom.dcmread(next((closed_server.studies / "ann").glob("*.dcm")), stop_before_pixels=True)
    series = f"wado/studies/{header.StudyInstanceUID}/series/{header.SeriesInstanceUID}"
    instance = f"{series}/instances/{header.SOPInstanceUID}"
    user = token(private_key, USER)
    paths = ("qido/studies", f"{series}/metadata", f"{instance}/frames/1", f"{instance}/rendered", instance)
    for path in (*paths, f"{instance}/bulkdata/7FE00010"):
        url = f"{closed_server.url}/proxy/dicom/{path}"
        refused = requests.get(url, timeout=60)
        assert refused.status_code == 401
        assert header.PatientID not in refused.text
        assert requests.get(url, headers=user, timeout=60).status_code == 200


def test_the_reading_page_and_drawing_sessions_ask_for_the_same_tokens(closed_server, private_key):
    url, user = closed_server.url, token(private_key, USER)
    for path in ("/read/block", "/read/block/about", "/read/block/voxels", "/nninteractive/capabilities"):
        assert requests.get(f"{url}{path}", timeout=60).status_code == 401
        assert requests.get(f"{url}{path}", headers=user, timeout=60).status_code == 200
    assert requests.get(f"{url}/nninteractive/healthz", timeout=60).status_code == 200
    for action in ("save", "remove", "back"):
        answer = requests.post(f"{url}/read/block/{action}", json={"name": "a"}, headers=user, timeout=60)
        assert answer.status_code == 403
    assert (
        requests.post(f"{url}/nninteractive/claim", headers={"Authorization": "Bearer x"}, timeout=60).status_code
        == 401
    )
    claimed = requests.post(f"{url}/nninteractive/claim", headers=user, timeout=60).json()
    lease = {"X-Lease-Token": claimed["lease_token"]}
    assert requests.get(f"{url}/nninteractive/lease_status", headers=user | lease, timeout=60).status_code == 200
    other = token(private_key, USER, preferred_username="bob")
    assert requests.get(f"{url}/nninteractive/lease_status", headers=other | lease, timeout=60).status_code == 410


def test_what_is_saved_names_its_reader(closed_server, private_key):
    label = {"label": ("x.nii.gz", (closed_server.studies / "block.nii.gz").read_bytes())}
    url = f"{closed_server.url}/datastore/label?image=block"
    assert requests.put(url, files=label, headers=token(private_key, USER), timeout=60).status_code == 403
    saved = requests.put(url, files=label, headers=token(private_key, ANNOTATOR), timeout=60)
    assert saved.status_code == 200
    assert click(closed_server, token(private_key, USER), save_label=True).status_code == 403
    assert click(closed_server, token(private_key, USER), save_label="false").status_code == 200
    assert click(closed_server, token(private_key, USER, ANNOTATOR), save_label=True).status_code == 200
    index = json.loads((closed_server.studies / "datastore_v2.json").read_text())
    labels = index["objects"]["block"]["labels"]
    assert labels["final"]["info"]["reader"] == "ann"
    assert labels["original"]["info"]["reader"] == "ann"
