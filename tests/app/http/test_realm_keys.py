"""Identity providers of several kinds, whose keys change, that hang, or have none."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lib.http import realm_keys, tokens
from lib.http.realm_keys import RealmKeys
from monailabel.config import settings
from running_server import Server, start_server
from small_studies import hot_block, save_nifti

FIRST, SECOND = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


class Provider:
    """An OpenID provider on loopback; `pages` says what it answers, by path, and `asked` what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, object] = {}
        self.asked: list[str] = []
        self.answers = threading.Event()  # cleared, it hangs
        self.answers.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.answers.wait()
                found = self.path in outer.pages
                self.send_response(200 if found else 404)
                self.end_headers()
                self.wfile.write(json.dumps(outer.pages.get(self.path, {})).encode())

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def has_keys(self, **keys: rsa.RSAPrivateKey) -> None:
        """Keys by their kid, as OpenID discovery gives them."""
        listed = [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}
            for kid, key in keys.items()
        ]
        self.pages = {"/.well-known/openid-configuration": {"jwks_uri": f"{self.url}/jwks"}, "/jwks": {"keys": listed}}

    def shows_key(self, key: rsa.RSAPrivateKey) -> None:
        """As the page of a Keycloak realm."""
        public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.pages = {"": {}, "/": {"public_key": base64.b64encode(public).decode()}}


@pytest.fixture
def provider(monkeypatch) -> Iterator[Provider]:
    made = Provider()
    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_ENABLE", True)
    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_REALM_URI", made.url)
    monkeypatch.setattr(tokens, "KEYS", RealmKeys())
    yield made
    made.server.shutdown()


def signed(key: object, kid: str | None = None, algorithm: str = "RS256") -> str:
    payload = {"preferred_username": "ann", "exp": int(time.time()) + 60}
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def later(monkeypatch) -> None:
    monkeypatch.setattr(realm_keys, "ASK_AGAIN_S", 0.0)


def test_keys_by_discovery_and_a_new_one(provider, monkeypatch):
    provider.has_keys(a=FIRST)
    assert tokens.user_of(signed(FIRST, "a")).username == "ann"
    assert tokens.user_of(signed(FIRST)).username == "ann"  # the only key needs no name
    assert provider.asked == ["/.well-known/openid-configuration", "/jwks"]
    provider.has_keys(b=SECOND)
    with pytest.raises(jwt.InvalidTokenError, match=r"no key 'b'|verification failed"):
        tokens.user_of(signed(SECOND, "b"))  # a moment ago it was asked
    later(monkeypatch)
    assert tokens.user_of(signed(SECOND, "b")).username == "ann"
    with pytest.raises(jwt.InvalidTokenError):
        tokens.user_of(signed(FIRST, "a"))


def test_a_realm_page_s_key_and_a_new_one(provider, monkeypatch):
    provider.shows_key(FIRST)
    assert tokens.user_of(signed(FIRST, "whatever")).username == "ann"
    provider.shows_key(SECOND)
    later(monkeypatch)
    assert tokens.user_of(signed(SECOND)).username == "ann"
    with pytest.raises(jwt.InvalidTokenError):
        tokens.user_of(signed(FIRST))


def test_a_token_without_a_key_s_name_is_held_against_all(provider):
    provider.has_keys(a=FIRST, b=SECOND)
    for key in (FIRST, SECOND):
        assert tokens.user_of(signed(key)).username == "ann"
    with pytest.raises(jwt.InvalidTokenError):
        tokens.user_of(signed(SECOND, "a"))


def test_keys_that_browsers_alone_reach_are_those_of_the_realm_page(provider):
    provider.shows_key(FIRST)
    provider.pages["/.well-known/openid-configuration"] = {"jwks_uri": "http://127.0.0.1:1/jwks"}
    assert tokens.user_of(signed(FIRST, "a")).username == "ann"


def test_who_waited_for_a_provider_that_hangs_does_not_ask_again(provider, monkeypatch):
    provider.answers.clear()
    monkeypatch.setattr(settings, "MONAI_LABEL_AUTH_TIMEOUT", 1)
    refused: list[str] = []

    def ask() -> None:
        with pytest.raises(requests.RequestException) as error:
            tokens.user_of(signed(FIRST))
        refused.append(str(error.value))

    asking = [threading.Thread(target=ask) for _ in range(5)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    provider.answers.set()
    assert len(refused) == 5
    assert len(provider.asked) == 1


def test_strangers_tokens_do_not_make_it_ask(provider):
    provider.has_keys(a=FIRST)
    for kid in ("a", "x", None):
        for _ in range(5):
            with pytest.raises(jwt.InvalidTokenError):
                tokens.user_of(signed(SECOND, kid))
    for bad in ("", "x", "a.b.c", signed(ec.generate_private_key(ec.SECP256R1()), "a", "ES256")):
        with pytest.raises(jwt.InvalidTokenError):
            tokens.user_of(bad)
    assert len(provider.asked) == 2


@pytest.mark.parametrize("pages", [{}, {"/": {}}, {"/": []}, {"/.well-known/openid-configuration": {"jwks_uri": "x"}}])
def test_a_provider_without_keys_is_one_that_does_not_answer(provider, pages):
    provider.pages = pages
    with pytest.raises(requests.RequestException):
        tokens.user_of(signed(FIRST))
    with pytest.raises(requests.RequestException, match="did not answer a moment ago"):
        tokens.user_of(signed(FIRST))


@pytest.fixture
def hanging_provider() -> Iterator[Provider]:
    made = Provider()
    made.answers.clear()
    yield made
    made.answers.set()
    made.server.shutdown()


@pytest.fixture
def server(tmp_path, everything_weights, hanging_provider) -> Iterator[Server]:
    (tmp_path / "studies").mkdir()
    save_nifti(hot_block(), tmp_path / "studies" / "block.nii.gz")
    env = {"MONAI_LABEL_AUTH_ENABLE": "true", "MONAI_LABEL_AUTH_REALM_URI": hanging_provider.url}
    env["MONAI_LABEL_AUTH_TIMEOUT"] = "300"
    conf = ("--conf", "weights", str(everything_weights))
    yield from start_server(tmp_path / "server", tmp_path / "studies", *conf, env=env)


def test_others_are_answered_while_a_provider_hangs(server, hanging_provider):
    said: list[int] = []

    def ask() -> None:
        headers = {"Authorization": f"Bearer {signed(FIRST)}"}
        said.append(requests.get(f"{server.url}/info/", headers=headers, timeout=60).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    while not hanging_provider.asked:
        time.sleep(0.05)
    assert requests.get(f"{server.url}/health", timeout=60).status_code == 200
    assert not said  # the other one still waits
    hanging_provider.answers.set()
    asking.join()
    assert said == [502]
