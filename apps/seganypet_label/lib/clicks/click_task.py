"""The click model: a volume and clicks in, a mask and what a reader needs to judge it out."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from numpy.typing import NDArray

from lib.clicks.click_request import ClickRequest, click_request
from lib.clicks.weights import Weights
from lib.store.bad_request import BadRequest
from lib.store.last_masks import UNNAMED
from lib.store.mask_files import mask_bytes
from lib.store.saved_targets import finite
from lib.store.volumes import Volumes
from seganypet.clicks.prompts import PromptOutsideError
from seganypet.clicks.voxel_set import Box, smallest_box
from seganypet.pet import PetVolume, measure_uptake


@dataclass(frozen=True)
class ClickAnswer:
    """A mask and its numbers.

    Args:
        mask: bool [i, j, k] on the volume's grid.
        volume: what was clicked.
        params: what the client is told beside the mask; ready for JSON.
        box: the smallest index box that holds the mask; None where it is empty.
    """

    mask: NDArray[np.bool_]
    volume: PetVolume
    params: dict[str, Any]
    box: Box | None = None


class ClickTask(InferTask):
    """MONAI Label's handle on the segmenter; type "deepgrow" is the one with negative clicks in both viewers.

    Args:
        labels: names a reader can choose from; any other name is answered too.
        weights: whose segmenter answers.
        volumes: where files are read from.
    """

    def __init__(self, labels: tuple[str, ...], weights: Weights, volumes: Volumes) -> None:
        super().__init__(
            type=InferType.DEEPGROW,
            labels=list(labels),
            dimension=3,
            description="SegAnyPET: organs and lesions of a whole-body PET by clicks",
        )
        self._weights, self._volumes = weights, volumes

    def is_valid(self) -> bool:
        return True

    def get_path(self, validate: bool = True) -> str:
        return str(self._weights.path)

    def info(self) -> dict[str, Any]:
        return {**super().info(), "weights": self._weights.info()}

    def answer(self, volume: PetVolume, request: ClickRequest) -> ClickAnswer:
        """Segment what was clicked or drawn, and measure it.

        Raises:
            BadRequest: a prompt outside the volume.
        """
        start = time.perf_counter()
        segmenter, weights = self._weights.in_force()
        try:
            mask, details = segmenter.segment_with_details(volume, request.prompts)
        except PromptOutsideError as error:
            raise BadRequest(str(error)) from None
        segmented = time.perf_counter()
        uptake = measure_uptake(volume, mask).to_dict()
        measured = time.perf_counter()
        label = request.label or UNNAMED
        provenance = volume.suv_provenance
        params = {
            "label": label,
            "label_names": {label: 1},
            **finite(uptake),
            "units": volume.units,
            "suv_provenance": provenance.to_dict() if provenance is not None else None,
            "clicks": len(request.prompts),
            "targets": details.targets,
            "spacing_mm": list(details.spacing_mm),
            "cut_off": details.cut_off,
            "device": details.device,
            "cached": details.windows_encoded == 0,
            "windows_decoded": details.windows_decoded,
            "windows_encoded": details.windows_encoded,
            "timings": {
                "prepare_s": round(details.prepare_s, 4),
                "encode_s": round(details.encode_s, 4),
                "decode_s": round(details.decode_s, 4),
                "segment_s": round(segmented - start, 4),
                "measure_s": round(measured - segmented, 4),
            },
            "weights": {"file": weights.name, "hash": segmenter.weights_hash},
        }
        box = None if details.box is None else smallest_box(mask, details.box)
        params["box"] = None if box is None else [[side.start, side.stop] for side in box]
        return ClickAnswer(mask, volume, params, box)

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """As MONAI Label calls a task, outside the click route: the request's `image` is a path."""
        wanted = click_request(request)
        volume, _ = self._volumes.study(Path(request["image"]))
        answer = self.answer(volume, wanted)
        with tempfile.NamedTemporaryFile(suffix=wanted.extension, delete=False) as file:
            file.write(
                mask_bytes(
                    answer.mask,
                    volume.affine,
                    extension=wanted.extension,
                    dtype=wanted.dtype,
                    compress=wanted.compress,
                )
            )
        return file.name, answer.params
