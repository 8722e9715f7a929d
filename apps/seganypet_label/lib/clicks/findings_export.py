"""The findings of a study as one file: DICOM SEG, SEG and SR, NIfTI masks, or a table."""

from __future__ import annotations

import csv
import io
import re
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lib.store.bad_request import BadRequest
from lib.store.label_maps import narrow
from lib.store.mask_files import nifti_bytes
from seganypet.pet import PetVolume, SegmentOrigin, measure_uptake, write_seg, write_sr

FORMATS = ("seg", "sr", "nifti", "csv")
COLUMNS = ("volume_ml", "suv_max", "suv_mean", "suv_peak", "tlg")
Export = tuple[bytes, str, str]


def export_findings(
    kind: str,
    masks: Mapping[str, NDArray[np.bool_]],
    volume: PetVolume,
    study: str,
    origins: Mapping[str, SegmentOrigin] | None = None,
    reader: str = "",
) -> Export:
    """A file's content, media type and name.

    Args:
        kind: one of `FORMATS`. "sr" is a ZIP of a DICOM SEG and the DICOM SR of its measures, which refers to it;
            "nifti" one of a NIfTI file for each finding, since findings may overlap.
        masks: name → bool [i, j, k].
        volume: the study.
        study: its name.
        origins: name → what is said of those that are saved, so that a SEG names them as every other SEG of them does.
        reader: who read, for the SR; "" where that is not known.

    Raises:
        BadRequest: nothing but empty masks, or a DICOM SEG of a study that is not DICOM or lacks what one needs.
    """
    stem = re.sub(r"[^\w.-]+", "_", study).strip("._") or "study"
    found = {name: mask for name, mask in masks.items() if mask.any()}
    if not found:
        raise BadRequest("all findings are empty: there is nothing to export")
    if kind == "csv":
        return _table(found, volume), "text/csv; charset=utf-8", f"{stem}.csv"
    if kind == "nifti":
        return _niftis(found, volume), "application/zip", f"{stem}.zip"
    if volume.source is None or not volume.source.is_dicom:
        raise BadRequest("a DICOM SEG refers to DICOM slices; this study is NIfTI: export NIfTI instead")
    with tempfile.TemporaryDirectory(prefix="seganypet-") as folder:
        file = Path(folder) / "findings.dcm"
        try:
            write_seg(dict(found), volume, file, origins=origins)
        except ValueError as error:
            raise BadRequest(str(error)) from None
        seg = file.read_bytes()
        if kind == "seg":
            return seg, "application/dicom", f"{stem}_seg.dcm"
        uptakes = [measure_uptake(volume, mask) for mask in found.values()]
        sr = write_sr(file, uptakes, volume, file.with_name("sr.dcm"), reader=reader).read_bytes()
    return _zipped({f"{stem}_seg.dcm": seg, f"{stem}_sr.dcm": sr}), "application/zip", f"{stem}_sr.zip"


def _table(masks: Mapping[str, NDArray[np.bool_]], volume: PetVolume) -> bytes:
    """A row for each finding, and one for all of them together; spreadsheets take the byte order mark as UTF-8.

    Findings may overlap, as a lesion in a liver does: the last row's volume and TLG count each voxel once.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("finding", *COLUMNS, "suv_unavailable"))
    for name, mask in masks.items():
        row = measure_uptake(volume, mask).to_dict()
        writer.writerow((_plain(name), *(row[column] for column in COLUMNS), row["suv_unavailable"] or ""))
    together = measure_uptake(volume, np.logical_or.reduce(list(masks.values())))
    total = f"total of {len(masks)}, each voxel once"
    writer.writerow((total, together.volume_ml, None, None, None, together.tlg, ""))
    return text.getvalue().encode("utf-8-sig")


def _plain(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t\r" else name


def _niftis(masks: Mapping[str, NDArray[np.bool_]], volume: PetVolume) -> bytes:
    files: dict[str, bytes] = {}
    for number, (name, mask) in enumerate(masks.items(), start=1):
        stem = re.sub(r"[^\w.-]+", "_", name).strip("._") or "finding"
        files[f"{number:02d}_{stem}.nii.gz"] = nifti_bytes(narrow(mask.astype(np.int16)), volume.affine)
    return _zipped(files)


def _zipped(files: Mapping[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, file in files.items():
            archive.writestr(name, file)
    return content.getvalue()
