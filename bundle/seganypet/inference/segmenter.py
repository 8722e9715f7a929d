"""Volume and prompts in, mask out."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, cast

import numpy as np
import torch
from torch import nn

from seganypet.clicks import Click, InitialMask, Prompt
from seganypet.clicks.prompts import checked_prompt
from seganypet.inference.background_encoding import EncodeAheadReport, encode_ahead
from seganypet.inference.byte_cache import ByteCache
from seganypet.inference.click_replay import ClickReplay
from seganypet.inference.click_rules import force_voxels
from seganypet.inference.click_state import ClickState, Tally, Target
from seganypet.inference.compute_gate import ComputeGate
from seganypet.inference.mask_refinement import refine_by
from seganypet.inference.prompt_steps import DrawnClick, Paint, Step, apply_steps, steps_of
from seganypet.inference.window_encoder import WindowEncoder
from seganypet.networks.settings import NetworkSettings
from seganypet.pet import PetVolume

logger = logging.getLogger(__name__)

GIB = 2**30


@dataclass(frozen=True)
class SegmentationDetails:
    """What answering a list of clicks took.

    Args:
        total_s: from call to mask.
        prepare_s: resampling the volume, where a window had to be encoded and it was not remembered.
        encode_s: encoding windows, waiting for the processor included.
        decode_s: decoding clicks, waiting for the processor included.
        clicks_decoded: clicks this call had to decode; the others were remembered.
        windows_encoded: windows this call encoded.
        windows_decoded: decoder runs.
        embeddings_remembered: decoder runs whose embedding was at hand.
        targets: groups of clicks that are answered apart from each other; 0 where a given mask is corrected.
        spacing_mm: of the rung that each of them was answered on.
        box: index box of the volume that holds the mask, not always the smallest; None where the mask is empty.
        cut_off: whether a target goes on beyond the most windows one may have.
        device: where the network ran; "cpu" on a GPU's segmenter tells that its memory did not suffice.
    """

    total_s: float
    prepare_s: float
    encode_s: float
    decode_s: float
    clicks_decoded: int
    windows_encoded: int
    windows_decoded: int
    embeddings_remembered: int
    targets: int
    spacing_mm: tuple[float, ...]
    box: tuple[slice, slice, slice] | None
    cut_off: bool
    device: str


class ClickSegmenter:
    """Segments what is clicked, at the cost of a decode per click.

    Answers are a pure function of the volume and the ordered clicks. Safe to call from many threads; the network runs
    for one of them at a time. A request that a GPU has no memory for is answered by a copy of the network on the CPU,
    with memory of its own: answers of the two never mix.

    Args:
        net: a network of `seganypet.networks`; moved to `device` and put into eval mode.
        device: where it runs; its own device by default.
        cache_bytes: bound on remembered embeddings, in main memory.
        image_bytes: bound on remembered working images.
        state_bytes: bound on remembered answers, which make undo free and further clicks one decode.
        max_windows: most windows that one target is followed through.
        rules: whether answers are made to obey the clicks, see `click_rules`; False leaves the network's own.
        autocast: dtype the network runs in on CUDA (torch.bfloat16), or None for its own.
        half_storage: keep embeddings as float16.
        backend: what runs the image encoder: "torch", or "openvino" on a CPU where it is installed.

    Raises:
        ImportError: OpenVINO is asked for and not installed.
        ValueError: another backend, OpenVINO on another device than a CPU, CUDA where there is none, or a window whose
            half is not a whole number of logit cells.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        device: torch.device | str | None = None,
        cache_bytes: int = 2 * GIB,
        image_bytes: int = GIB,
        state_bytes: int = GIB // 4,
        max_windows: int = 12,
        rules: bool = True,
        autocast: torch.dtype | None = None,
        half_storage: bool = True,
        backend: str = "torch",
    ) -> None:
        if device is None:
            device = next((parameter.device for parameter in net.parameters()), torch.device("cpu"))
        self.device = torch.device(device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise ValueError(f"device {str(self.device)!r} was asked for, and this torch sees no CUDA device")
        self.encoder = WindowEncoder(
            net.to(self.device).eval(),
            ComputeGate(),
            device=self.device,
            embedding_bytes=cache_bytes,
            image_bytes=image_bytes,
            autocast=autocast,
            half_storage=half_storage,
            backend=backend,
        )
        size, stride = self.encoder.net.window_size, self.encoder.net.logit_stride
        if size % (2 * stride):
            raise ValueError(f"half a window must be whole logit cells, got window_size {size}, logit_stride {stride}")
        self.max_windows, self.rules = max_windows, rules
        self._states: ByteCache[ClickState] = ByteCache(state_bytes, lambda state: state.bytes_held)
        self._refined: ByteCache[bytes] = ByteCache(state_bytes, len)  # masks, a bit a voxel
        self._on_cpu: ClickSegmenter | None = None
        self._is_fallback, self._fallback_lock = False, threading.Lock()

    @property
    def settings(self) -> NetworkSettings:
        """What the weights were trained with."""
        return self.encoder.net.settings

    @property
    def weights_hash(self) -> str:
        """Hex digest of the weights when this segmenter was made."""
        return self.encoder.weights_hash

    def segment(self, volume: PetVolume, clicks: Iterable[Prompt]) -> np.ndarray:
        """The mask of what was clicked or drawn.

        Args:
            volume: what to segment.
            clicks: clicks and other prompts in the order they were made, in voxel indices of `volume`; `prompt_steps`
                says how each reaches the network, `checked_prompt` which clicks count as on the volume's rim.

        Returns:
            bool [i, j, k] on the volume's grid; empty without a positive prompt. The caller's own.

        Raises:
            PromptOutsideError: a prompt outside the volume, a ValueError.
            TypeError: something that is no prompt.
        """
        return self.segment_with_details(volume, clicks)[0]

    def segment_with_details(
        self, volume: PetVolume, clicks: Iterable[Prompt]
    ) -> tuple[np.ndarray, SegmentationDetails]:
        """As `segment`, with what it took."""
        clicks = tuple(clicks)
        try:
            return self._answer(volume, clicks)
        except torch.OutOfMemoryError as error:
            if self._is_fallback:
                raise
            logger.warning("out of memory on %s, this request is answered on the CPU: %s", self.device, error)
        # not inside the except block, whose error keeps what the failed computation holds alive
        return self._fallback()._answer(volume, clicks)

    def _answer(self, volume: PetVolume, prompts: tuple[Prompt, ...]) -> tuple[np.ndarray, SegmentationDetails]:
        start, tally = time.perf_counter(), Tally()
        inside = [checked_prompt(prompt, number, volume.shape) for number, prompt in enumerate(prompts)]
        clicks = tuple(prompt for prompt in inside if isinstance(prompt, Click))
        if len(clicks) == len(inside):
            mask, details = self._segment(volume, clicks, tally)
            return mask, replace(details, total_s=time.perf_counter() - start)
        first = max((number for number, prompt in enumerate(inside) if isinstance(prompt, InitialMask)), default=-1)
        initial = cast(InitialMask, inside[first]) if first >= 0 else None
        if initial is not None and initial.voxels is None:
            initial = None
        steps: list[Step] = []
        for prompt in inside[first + 1 :]:
            if not isinstance(prompt, InitialMask):
                answer = partial(self._answer_so_far, volume, initial, tuple(steps), tally)
                steps += steps_of(prompt, volume, answer)
        mask, details = self._after(volume, initial, tuple(steps), tally)
        whole = (slice(0, volume.shape[0]), slice(0, volume.shape[1]), slice(0, volume.shape[2]))
        return mask, replace(details, total_s=time.perf_counter() - start, box=whole if mask.any() else None)

    def _answer_so_far(
        self, volume: PetVolume, initial: InitialMask | None, steps: tuple[Step, ...], tally: Tally
    ) -> np.ndarray:
        return self._after(volume, initial, steps, tally)[0]

    def _after(
        self, volume: PetVolume, initial: InitialMask | None, steps: tuple[Step, ...], tally: Tally
    ) -> tuple[np.ndarray, SegmentationDetails]:
        """The mask after clicks and rules, and what it took."""
        clicks = tuple(step for step in steps if isinstance(step, Click))
        if initial is None:
            mask, details = self._segment(volume, clicks, tally)
            if mask.any() or any(isinstance(step, Paint) for step in steps):
                apply_steps(mask, steps)
            return mask, details
        replay = ClickReplay(self.encoder, volume, max_windows=self.max_windows, rules=self.rules, tally=tally)
        mask = self._refine(replay, initial, steps)
        return mask, self._details(tally, ())

    def _details(
        self, tally: Tally, targets: tuple[Target, ...], box: tuple[slice, slice, slice] | None = None
    ) -> SegmentationDetails:
        return SegmentationDetails(
            total_s=0.0,
            prepare_s=tally.prepare_s,
            encode_s=tally.encode_s,
            decode_s=tally.decode_s,
            clicks_decoded=tally.clicks_decoded,
            windows_encoded=tally.windows_encoded,
            windows_decoded=tally.windows_decoded,
            embeddings_remembered=tally.embeddings_remembered,
            targets=len(targets),
            box=box,
            spacing_mm=tuple(self.encoder.rungs[target.rung].spacing_mm for target in targets),
            cut_off=any(target.cut_off for target in targets),
            device=str(self.device),
        )

    def _refine(self, replay: ClickReplay, initial: InitialMask, steps: tuple[Step, ...]) -> np.ndarray:
        """An initial mask after clicks and rules, one at a time; each prefix is remembered."""
        volume = replay.volume
        order: Literal["F", "C"] = "F" if volume.voxels.flags.f_contiguous else "C"
        mask = initial.on(volume.shape, order)
        key = (volume.content_hash, initial)

        def unpacked(bits: bytes) -> np.ndarray:
            flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=mask.size).view(bool)
            return flat.reshape(volume.shape, order=order)

        known = 0
        for number in range(len(steps), 0, -1):
            bits = self._refined.get((*key, steps[:number]))
            if bits is not None:
                known, mask = number, unpacked(bits)
                break
        for number in range(known + 1, len(steps) + 1):

            def advance(before: np.ndarray = mask, number: int = number) -> bytes:
                return np.packbits(refine_by(replay, before, steps[:number]).ravel(order=order)).tobytes()

            bits, mine = self._refined.get_or_make((*key, steps[:number]), advance)
            mask = unpacked(bits)
            replay.tally.clicks_decoded += mine and isinstance(steps[number - 1], Click)
        return mask

    def _segment(
        self, volume: PetVolume, clicks: tuple[Click, ...], tally: Tally
    ) -> tuple[np.ndarray, SegmentationDetails]:
        """The mask of clicks inside the volume."""
        # the order in memory in which the volume came is the one its mask will be written in
        mask = np.zeros(volume.shape, dtype=bool, order="F" if volume.voxels.flags.f_contiguous else "C")
        state = ClickState()
        if any(click.positive for click in clicks):
            known, state = self._longest_known(volume, clicks)
            if known < len(clicks):
                replay = ClickReplay(self.encoder, volume, max_windows=self.max_windows, rules=self.rules, tally=tally)
                for number in range(known, len(clicks)):
                    state, mine = self._next_state(replay, state, clicks[: number + 1])
                    tally.clicks_decoded += mine
            for target in state.targets:
                mask[target.box] |= target.mask
            if self.rules:
                force_voxels(mask, [(click.voxel, click.positive) for click in clicks])
        return mask, self._details(tally, state.targets, _box_around(state, clicks if self.rules else ()))

    def encode_ahead(
        self,
        volume: PetVolume,
        *,
        budget_s: float | None = None,
        should_stop: Callable[[], bool] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> EncodeAheadReport:
        """Encode a study's windows so that its first click costs a decode only; see `background_encoding`."""
        return encode_ahead(self.encoder, volume, budget_s=budget_s, should_stop=should_stop, on_progress=on_progress)

    def clear(self) -> None:
        """Forget every image, embedding and answer."""
        self.encoder.embeddings.clear()
        self.encoder.images.clear()
        self._states.clear()
        self._refined.clear()
        if self._on_cpu is not None:
            self._on_cpu.clear()

    def _fallback(self) -> ClickSegmenter:
        with self._fallback_lock:
            if self._on_cpu is None:
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                self._on_cpu = ClickSegmenter(
                    copy.deepcopy(self.encoder.net).cpu(),
                    cache_bytes=self.encoder.embeddings.max_bytes // 4,
                    image_bytes=0,
                    state_bytes=self._states.max_bytes,
                    max_windows=self.max_windows,
                    rules=self.rules,
                    half_storage=self.encoder.half_storage,
                )
                self._on_cpu._is_fallback = True
                self._on_cpu.encoder.images = self.encoder.images  # resampled on the CPU in any case
            return self._on_cpu

    def _longest_known(self, volume: PetVolume, clicks: tuple[Click, ...]) -> tuple[int, ClickState]:
        for number in range(len(clicks), 0, -1):
            state = self._states.get((volume.content_hash, clicks[:number]))
            if state is not None:
                return number, state
        return 0, ClickState()

    def _next_state(self, replay: ClickReplay, state: ClickState, clicks: tuple[Click, ...]) -> tuple[ClickState, bool]:
        drawing = clicks[-1].drawing if isinstance(clicks[-1], DrawnClick) else None
        click = replay.click_at(clicks[-1].ijk, clicks[-1].positive, drawing)
        key = (replay.volume.content_hash, clicks)
        return self._states.get_or_make(key, lambda: replay.advance(state, click))


def _box_around(state: ClickState, forced: Iterable[Click]) -> tuple[slice, slice, slice] | None:
    """The box of all targets' boxes and of the voxels that positive clicks force into the mask."""
    boxes = [target.box for target in state.targets if target.mask.size]
    if state.targets:
        cells = (click.voxel for click in forced if click.positive)
        boxes += [(slice(i, i + 1), slice(j, j + 1), slice(k, k + 1)) for i, j, k in cells]
    if not boxes:
        return None
    x, y, z = (slice(min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)) for axis in range(3))
    return (x, y, z)
