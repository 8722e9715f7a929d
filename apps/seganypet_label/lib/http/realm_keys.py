"""The keys that an identity provider signs with: asked for once, and again for a token that none of them fits."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import jwt
import requests
from monailabel.config import settings

logger = logging.getLogger(__name__)

ASK_AGAIN_S = 10.0  # a stranger's tokens make nobody ask the provider more often
ONLY = ""  # name of a realm page's key, whatever a token calls it


class RealmKeys:
    """Keys by their `kid`, from the provider's `jwks_uri`, or the one that Keycloak's realm page shows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._realm, self._asked = "", float("-inf")

    def keys_for(self, token: str, realm: str) -> list[Any]:
        """The key that a token says it is signed with; all of them where it does not say.

        Raises:
            jwt.InvalidTokenError: it is no token; jwt.InvalidSignatureError: the realm has no such key.
            requests.RequestException: the provider does not answer, or with no keys.
        """
        kid = jwt.get_unverified_header(token).get("kid")
        if not self._keys or realm != self._realm:
            self.ask_again(realm)
        keys = self._keys
        if not keys:
            raise requests.ConnectionError(f"{realm} did not answer a moment ago")
        if ONLY in keys:
            return [keys[ONLY]]
        if kid is not None and kid not in keys:
            raise jwt.InvalidSignatureError(f"the realm has no key {kid!r}")
        return list(keys.values()) if kid is None else [keys[kid]]

    def ask_again(self, realm: str) -> bool:
        """Ask for the keys unless that was done a moment ago; whether it was done now."""
        with self._lock:
            if realm == self._realm and time.monotonic() - self._asked < ASK_AGAIN_S:
                return False
            try:
                self._keys = _fetched(realm)
            finally:
                self._realm, self._asked = realm, time.monotonic()  # from its end: who waited here does not ask, too
            logger.info("keys of %s: %s", realm, ", ".join(self._keys))
            return True


def _fetched(realm: str) -> dict[str, Any]:
    found = _json(f"{realm}/.well-known/openid-configuration", may_be_missing=True)
    reason = f"{realm} names neither a jwks_uri nor a public_key"
    if "jwks_uri" in found:
        try:
            keys = jwt.PyJWKSet.from_dict(_json(str(found["jwks_uri"]))).keys
            return {key.key_id or f"unnamed {number}": key.key for number, key in enumerate(keys)}
        except (jwt.PyJWTError, requests.RequestException) as error:  # a name that browsers alone reach
            reason = f"the keys at {found['jwks_uri']} cannot be had: {error}"
    shown = found if "public_key" in found else _json(realm)
    if "public_key" not in shown:
        raise requests.RequestException(reason)
    return {ONLY: f"-----BEGIN PUBLIC KEY-----\n{shown['public_key']}\n-----END PUBLIC KEY-----"}


def _json(url: str, *, may_be_missing: bool = False) -> dict[str, Any]:
    answer = requests.get(url, timeout=settings.MONAI_LABEL_AUTH_TIMEOUT)
    if may_be_missing and answer.status_code == 404:
        return {}
    answer.raise_for_status()
    content = answer.json()
    if not isinstance(content, dict):
        raise requests.RequestException(f"{url} answers with {type(content).__name__}, no object")
    return content
