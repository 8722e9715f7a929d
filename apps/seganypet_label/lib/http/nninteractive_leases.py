"""Sessions of nnInteractive's remote protocol: claimed, kept alive, released; and what a client may send in one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter, Depends, HTTPException, Request
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.utils.app import app_instance

from lib.clicks.drawing_sessions import DrawingSession, NoRoom, SessionGone
from lib.http.tokens import note_reader

router = APIRouter(prefix="/nninteractive", include_in_schema=False)
USER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))
LEASE = "x-lease-token"
CAPABILITIES: Mapping[str, Any] = {
    "supported_interactions": {"points": True, "bbox2d": True, "bbox3d": True, "scribble": True, "lasso": True},
    "channel_mapping": {},  # of a network's input channels; this one's prompts are not channels
    "num_interaction_channels": 0,
    "supports_initial_label": True,
    "supports_zero_shot_label_refinement": False,  # a mask stays as it is where nobody clicked
    "preferred_scribble_thickness": [1, 1, 1],
    "interaction_decay": 1.0,
    "inference_session_version": "2.6.0",  # of the client that this answers
    "supports_undo": True,
    "do_autozoom": True,  # a target is followed as far as it goes, whatever a client says
}
LICENSE = "Apache-2.0"  # of the weights that come with the bundle


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """Whether the server answers; asks nobody who they are."""
    return {"status": "ok"}


@router.get("/capabilities")
def capabilities(user: User = USER) -> dict[str, Any]:
    """What a client may send."""
    known = app_instance().weights_given  # whose licence nobody told us
    return dict(CAPABILITIES) if known else {**CAPABILITIES, "license": LICENSE}


@router.post("/claim")
def claim(user: User = USER) -> dict[str, Any]:
    """A session of one's own."""
    sessions = app_instance().drawing_sessions
    try:
        session = sessions.claim(user.username)
    except NoRoom as error:
        raise HTTPException(503, str(error)) from None
    return {
        "lease_token": session.token,
        "idle_timeout_seconds": sessions.idle_s,
        "liveness_timeout_seconds": sessions.alive_s,
    }


@router.post("/release")
def release(request: Request, user: User = USER) -> dict[str, str]:
    """End a session."""
    app_instance().drawing_sessions.release(request.headers.get(LEASE, ""), user.username)
    return {"status": "released"}


@router.post("/heartbeat")
def heartbeat(request: Request, user: User = USER) -> dict[str, float]:
    """The client still runs; its reader may be idle all the same."""
    session = session_of(request, user, acts=False)
    return {"remaining_seconds": app_instance().drawing_sessions.remaining_s(session)}


@router.get("/lease_status")
def lease_status(request: Request, user: User = USER) -> dict[str, float]:
    """How long a session lasts yet; changes nothing."""
    session = session_of(request, user, acts=False, proves=False)
    sessions = app_instance().drawing_sessions
    return {"remaining_seconds": sessions.remaining_s(session), "idle_timeout_seconds": sessions.idle_s}


def session_of(request: Request, user: User, *, acts: bool = True, proves: bool = True) -> DrawingSession:
    note_reader(user)
    token = request.headers.get(LEASE, "")
    try:
        found: DrawingSession = app_instance().drawing_sessions.of(token, user.username, acts=acts, proves=proves)
    except SessionGone as error:
        raise HTTPException(410, str(error)) from None
    return found


@contextmanager
def acting(request: Request, user: User) -> Iterator[DrawingSession]:
    """The session of a request; it does not end under it, and its clocks begin with the answer."""
    session = session_of(request, user)
    sessions = app_instance().drawing_sessions
    with sessions.busy(session):
        yield session
