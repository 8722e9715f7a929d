"""Names that come from outside and end up in paths."""

from __future__ import annotations

import re

IMAGE_EXTENSIONS = (".nii.gz", ".nii", ".nrrd")
LABEL_EXTENSIONS = (*IMAGE_EXTENSIONS, ".seg.nrrd")
# Slicer uploads a volume under its node's name, such as "3: PET AC (WB)"
# no half characters either: a file name that is no UTF-8 comes as such, and no page can show it
_STUDY_ID = re.compile(r"""(?![.~\s])[^/\\*?"<>|\x00-\x1f\x7f\ud800-\udfff]{1,128}""")
_TAG = re.compile(r"\w[\w.-]{0,63}")
_SESSION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_study_id(name: str) -> bool:
    """Whether a name can be a study's: no path, no hidden file, at most 128 characters."""
    return bool(_STUDY_ID.fullmatch(name)) and ".." not in name


def tag_text(tag: object) -> str:
    """A label's tag, of MONAI Label's kinds or any other, as text."""
    return str(getattr(tag, "value", tag))


def is_tag(name: str) -> bool:
    """Whether a name can be a label's tag, which is a folder under labels/."""
    return bool(_TAG.fullmatch(name)) and ".." not in name


def is_session_id(name: str) -> bool:
    """Whether a name can be a session's: a UUID in lower case, as the server makes them."""
    return bool(_SESSION_ID.fullmatch(name))


def extension_of(filename: str, allowed: tuple[str, ...]) -> str | None:
    """The longest of the allowed extensions that a file name ends with, or None."""
    name = filename.lower()
    return max((extension for extension in allowed if name.endswith(extension)), key=len, default=None)
