"""OHIF as MONAI Label ships it, told where its server is and kept from asking other machines."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse
from monailabel.config import settings
from monailabel.endpoints.ohif import get_ohif
from monailabel.endpoints.user.auth import RBAC, User

COOKIE = "MONAILABEL_SERVER_URL"  # where OHIF's panel reads its server's address; port 8000 without it
# OHIF asks Google for a font, which tells another company when somebody opens a patient
POLICY = "style-src 'self' 'unsafe-inline'; font-src 'self' data:"

router = APIRouter(prefix="/ohif", include_in_schema=False)
READER = Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))


@router.get("/{path:path}")
def ohif(request: Request, path: str, user: User = READER) -> FileResponse:
    """A file of OHIF, or its page for every path that is none."""
    answer = get_ohif(path)
    answer.headers["Content-Security-Policy"] = POLICY
    if "." not in path.rsplit("/", 1)[-1]:
        address = quote(f"{str(request.base_url).rstrip('/')}{settings.MONAI_LABEL_API_STR}/", safe="")
        answer.headers.append("Set-Cookie", f"{COOKIE}={address}; Path=/ohif; SameSite=Lax")
    return answer
