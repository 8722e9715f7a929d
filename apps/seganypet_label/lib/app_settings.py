"""What `--conf key value` may say, checked once at start."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from seganypet.data.data_list import QUALITIES

logger = logging.getLogger(__name__)

ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-]+(:\d+)?")
DEFAULT_LABELS = (
    "lesion",
    "liver",
    "spleen",
    "left kidney",
    "right kidney",
    "heart",
    "brain",
    "urinary bladder",
    "prostate",
    "aorta",
)


@dataclass(frozen=True)
class AppSettings:
    """The app's options; each field is a `--conf` key of the same name.

    Args:
        bundle: folder that holds the package `seganypet`.
        weights: model.pt or a released .pth; by default what training published here last, else the bundle's
            models/model.pt.
        device: torch device the network runs on.
        labels: names a reader can choose from; comma-separated on the command line.
        model: name under which clients find the click model.
        embedding_mb: bound on remembered embeddings.
        study_mb: bound on volumes kept in memory.
        encode_ahead_s: seconds a study just opened may be encoded in the background; 0 switches it off.
        drawing_sessions: readers at once who send images of their own, over nnInteractive's protocol.
        drawing_idle_s: seconds without a prompt after which such a session ends.
        drawing_alive_s: seconds without a sign of its program after which it ends.
        send_sr: whether an archive gets a DICOM SR of the measures with each final label's SEG.
        final_quality: of a final label whose reader did not say it; "high" where experts alone save.
        origins: https://name[:port] of pages that may call the server besides its own and those of this machine, and
            names it has behind a proxy; comma-separated. MONAI Label's own MONAI_LABEL_CORS_ORIGINS ends its start
            with a TypeError (0.8.5 with pydantic 2).
    """

    bundle: Path
    weights: Path
    device: torch.device
    labels: tuple[str, ...] = DEFAULT_LABELS
    model: str = "seganypet"
    embedding_mb: int = 2048
    study_mb: int = 2048
    encode_ahead_s: float = 120.0
    drawing_sessions: int = 8
    drawing_idle_s: float = 600.0
    drawing_alive_s: float = 60.0
    send_sr: bool = False
    final_quality: str = "low"
    origins: tuple[str, ...] = ()

    @classmethod
    def from_conf(cls, conf: Mapping[str, str], bundle: Path) -> AppSettings:
        """Settings of a command line.

        Args:
            conf: MONAI Label's dict of strings.
            bundle: where the package was imported from.

        Raises:
            ValueError: a value that does not parse; the key is named.
            FileNotFoundError: weights that are not there.
        """
        unknown = sorted(set(conf) - {field.name for field in fields(cls)} - {"server_mode"})
        if unknown:
            logger.warning("--conf does not know %s; known: %s", unknown, [field.name for field in fields(cls)])
        weights = Path(conf.get("weights") or bundle / "models" / "model.pt").expanduser().resolve()
        if not weights.is_file():
            raise FileNotFoundError(
                f"no weights at {weights}: give a model.pt or a released .pth with --conf weights PATH"
            )
        labels = tuple(dict.fromkeys(name.strip() for name in conf.get("labels", "").split(",") if name.strip()))
        return cls(
            bundle=bundle,
            weights=weights,
            device=_device(conf.get("device", "")),
            labels=labels or DEFAULT_LABELS,
            model=conf.get("model") or cls.model,
            embedding_mb=int(_number(conf, "embedding_mb", cls.embedding_mb, least=1)),
            study_mb=int(_number(conf, "study_mb", cls.study_mb, least=1)),
            encode_ahead_s=_number(conf, "encode_ahead_s", cls.encode_ahead_s, least=0),
            drawing_sessions=int(_number(conf, "drawing_sessions", cls.drawing_sessions, least=1)),
            drawing_idle_s=_number(conf, "drawing_idle_s", cls.drawing_idle_s, least=1),
            drawing_alive_s=_number(conf, "drawing_alive_s", cls.drawing_alive_s, least=1),
            send_sr=_switch(conf, "send_sr", cls.send_sr),
            final_quality=_quality(conf, "final_quality", cls.final_quality),
            origins=origins_of(conf),
        )


def origins_of(conf: Mapping[str, str]) -> tuple[str, ...]:
    """The pages and names of `--conf origins`.

    Raises:
        ValueError: one that is no origin.
    """
    found = tuple(text.strip().rstrip("/") for text in conf.get("origins", "").split(",") if text.strip())
    for origin in found:
        if not ORIGIN.fullmatch(origin):
            raise ValueError(f"--conf origins takes https://name[:port], comma-separated, got {origin!r}")
    return found


def _number(conf: Mapping[str, str], key: str, default: float, *, least: float) -> float:
    try:
        value = float(conf.get(key, default))
    except ValueError:
        raise ValueError(f"--conf {key} must be a number, got {conf[key]!r}") from None
    if not least <= value < float("inf"):
        raise ValueError(f"--conf {key} must be a number from {least:g} on, got {conf[key]!r}")
    return value


def _switch(conf: Mapping[str, str], key: str, default: bool) -> bool:
    value = conf.get(key, str(default)).lower()
    if value not in ("true", "false"):
        raise ValueError(f"--conf {key} must be true or false, got {conf[key]!r}")
    return value == "true"


def _quality(conf: Mapping[str, str], key: str, default: str) -> str:
    value = conf.get(key, default)
    if value not in QUALITIES:
        raise ValueError(f"--conf {key} must be {' or '.join(QUALITIES)}, got {value!r}")
    return value


def _device(name: str) -> torch.device:
    cuda = torch.cuda.is_available()
    if not name:
        return torch.device("cuda" if cuda else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"--conf device must be cpu, cuda or cuda:N, got {name!r}") from None
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        raise ValueError(f"--conf device {name}: PyTorch sees {torch.cuda.device_count()} CUDA devices")
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"--conf device must be cpu, cuda or cuda:N, got {name!r}")
    return device
