"""Who asks: tokens of an identity provider, and the reader of the request being answered.

MONAI Label 0.8.5 calls `jwt.decode` without `algorithms`, so that it refuses every valid token, and drops the reader's
name on the way to the datastore.
"""

from __future__ import annotations

from typing import Any

import jwt
from monailabel.config import settings
from monailabel.endpoints.user import auth

from lib.http.realm_keys import RealmKeys
from lib.store.reader import READER

# Signed by the provider's private key. None of the HS ones: their secret would be the public key.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
KEYS = RealmKeys()


def accept_valid_tokens() -> None:
    """Let MONAI Label's routes take the tokens that `user_of` takes."""
    auth.from_token = user_of


def user_of(token: str) -> auth.User:
    """The user a token names; MONAI Label's default user where authentication is off.

    Raises:
        jwt.InvalidTokenError: a token that is expired, not signed by the realm, or names no user.
        requests.RequestException: the identity provider does not answer, or has no keys.
    """
    if not settings.MONAI_LABEL_AUTH_ENABLE:
        return auth.DEFAULT_USER
    payload = _payload(token, settings.MONAI_LABEL_AUTH_REALM_URI)
    username = payload.get(settings.MONAI_LABEL_AUTH_TOKEN_USERNAME)
    if not isinstance(username, str) or not username:
        raise jwt.InvalidTokenError(f"the token has no {settings.MONAI_LABEL_AUTH_TOKEN_USERNAME}")
    roles: Any = payload
    for name in settings.MONAI_LABEL_AUTH_TOKEN_ROLES.split("#"):
        roles = roles.get(name) if isinstance(roles, dict) else None
    return auth.User(
        username=username,
        email=payload.get(settings.MONAI_LABEL_AUTH_TOKEN_EMAIL),
        name=payload.get(settings.MONAI_LABEL_AUTH_TOKEN_NAME),
        roles=[str(role) for role in roles] if isinstance(roles, list) else [],
    )


def _payload(token: str, realm: str) -> dict[str, Any]:
    """What a token says; where no known key fits it, the provider may have changed its keys and is asked again."""
    try:
        return _decoded(token, realm)
    except jwt.InvalidSignatureError:
        if not KEYS.ask_again(realm):
            raise
    return _decoded(token, realm)


def _decoded(token: str, realm: str) -> dict[str, Any]:
    options: Any = {"verify_aud": False, "require": ["exp"]}
    failed: jwt.InvalidTokenError = jwt.InvalidTokenError("the token is not signed as the realm signs")
    for key in KEYS.keys_for(token, realm):
        try:
            return jwt.decode(token, key, algorithms=list(ALGORITHMS), options=options)
        except jwt.InvalidSignatureError as error:
            failed = error
        except (jwt.InvalidKeyError, TypeError, ValueError):  # of another kind than the token's algorithm
            continue
    raise failed


def note_reader(user: object) -> None:
    """Remember whose request this thread answers; "" where nobody was asked who they are."""
    READER.set(user.username if settings.MONAI_LABEL_AUTH_ENABLE and isinstance(user, auth.User) else "")


def may_save(user: auth.User) -> bool:
    """Whether a user may save labels, by the same roles as MONAI Label's own route for it."""
    return not settings.MONAI_LABEL_AUTH_ENABLE or settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR in user.roles
