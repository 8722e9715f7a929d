"""SegAnyPET for MONAI Label.

monailabel start_server --app apps/seganypet_label --studies DIR [--conf weights PATH] [--conf device cpu|cuda]
    [--conf labels liver,spleen,lesion] [--conf bundle PATH] [--host 127.0.0.1] [--port 8000]
"""

import sys
from pathlib import Path

from monailabel.config import settings

BUNDLE = Path(settings.MONAI_LABEL_APP_CONF.get("bundle") or Path(__file__).resolve().parents[2] / "bundle").resolve()
if not (BUNDLE / "seganypet").is_dir():
    raise FileNotFoundError(f"no package seganypet in {BUNDLE}: name the bundle's folder with --conf bundle PATH")
if str(BUNDLE) not in sys.path:
    sys.path.insert(0, str(BUNDLE))

from lib.app import SegAnyPETApp  # noqa: E402  after the bundle is on the path
from lib.app_settings import origins_of  # noqa: E402
from lib.http.server import harden  # noqa: E402

__all__ = ["SegAnyPETApp"]

if "monailabel.app" in sys.modules:  # the server, not one of its task processes
    harden(sys.modules["monailabel.app"].app, origins_of(settings.MONAI_LABEL_APP_CONF))
