"""Windows of a volume as embeddings, each computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from seganypet.data.preprocessing import (
    WorkingGrid,
    WorkingImage,
    needs_suv_estimate,
    normalise_window,
    working_image,
)
from seganypet.inference.byte_cache import ByteCache
from seganypet.inference.compute_gate import BACKGROUND, ComputeGate
from seganypet.inference.encoder_backend import encoder_backend
from seganypet.inference.windows import Origin, cut_window
from seganypet.networks.click_network import ClickNetwork
from seganypet.pet import PetVolume

HALF_MAX = torch.finfo(torch.float16).max


def weights_hash(net: nn.Module) -> str:
    """Hex digest of a network's parameters and buffers: names, dtypes and values."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class WindowEncoder:
    """Resamples a volume once and encodes each of its windows once.

    Embeddings wait in main memory, in half precision, and pass through it even when they are used at once: an answer
    must not depend on whether its embedding was remembered.

    Args:
        net: a network of `seganypet.networks`, on its device, in eval mode.
        gate: shared with whatever else computes on that device.
        embedding_bytes: bound on remembered embeddings.
        image_bytes: bound on remembered working images.
        autocast: dtype to run the encoder in on CUDA, or None for the network's own.
        half_storage: False keeps embeddings in the encoder's own precision, at twice the bytes.
        backend: what runs the image encoder, "torch" or "openvino"; see `encoder_backend`.
    """

    def __init__(
        self,
        net: nn.Module,
        gate: ComputeGate,
        *,
        device: torch.device,
        embedding_bytes: int,
        image_bytes: int,
        autocast: torch.dtype | None = None,
        half_storage: bool = True,
        backend: str = "torch",
    ) -> None:
        self.net = cast(ClickNetwork, net)
        self.gate, self.device, self.autocast, self.half_storage = gate, device, autocast, half_storage
        self.weights_hash = weights_hash(net)
        self.backend = encoder_backend(self.net, backend, device)
        self._model_key = (self.weights_hash, net.settings, self.backend.name, str(device), str(autocast), half_storage)
        self.embeddings: ByteCache[Tensor] = ByteCache(embedding_bytes, _tensor_bytes)
        self.rungs = self.net.rungs
        self.bytes_per_window = 0  # on the coarsest rung; known after the first encoding
        self.images: ByteCache[WorkingImage] = ByteCache(image_bytes, lambda image: _tensor_bytes(image.voxels))

    def image(self, volume: PetVolume) -> WorkingImage:
        """The volume on the coarsest rung's working grid."""
        return self.images.get_or_make(volume.content_hash, lambda: working_image(volume, self.net.settings))[0]

    def grid(self, volume: PetVolume, rung: int = -1) -> WorkingGrid:
        """A rung's working grid over a volume, without its voxels; the coarsest one's by default."""
        return WorkingGrid(volume.shape, np.asarray(volume.affine, dtype=float), self.rungs[rung].spacing_mm)

    def embedding(
        self, volume: PetVolume, rung: int, origin: Origin, image: Callable[[], WorkingImage]
    ) -> tuple[Tensor, bool]:
        """A window's embedding on the network's device, float32, and whether it was encoded just now.

        Args:
            rung: which rung the window is of.
            origin: its first voxel on that rung's working grid.
            image: gives the volume on the coarsest grid; asked only where a window of it has to be encoded, or the SUV
                estimated. Finer windows are cut from the volume itself: a whole body at 1.5 mm takes a gigabyte.
        """

        def encode() -> Tensor:
            window = self._window(volume, rung, origin, image)
            with self.gate.turn():
                return self._encode(window)

        stored, encoded = self.embeddings.get_or_make(self._key(volume, rung, origin), encode)
        return stored.to(self.device, torch.float32), encoded

    def encode_in_background(self, volume: PetVolume, image: WorkingImage, origin: Origin) -> bool:
        """Encode a window of the coarsest rung after every waiting click, unless it is known or on its way.

        Returns:
            Whether it was encoded.
        """
        rung = len(self.rungs) - 1

        def encode() -> Tensor:
            return self._encode(self._window(volume, rung, origin, lambda: image))

        with self.gate.turn(BACKGROUND):
            return self.embeddings.make_unless_known(self._key(volume, rung, origin), encode)

    def decode(
        self,
        embedding: Tensor,
        points: Tensor | None,
        labels: Tensor | None,
        mask_logits: Tensor,
        *,
        close_up: bool = False,
    ) -> Tensor:
        """Logits [1, 1, L, L, L] in main memory, float32, for one window's prompts (see the network's `decode`)."""
        decode = self.net.decode_close_up if close_up else self.net.decode
        prompts = (None if tensor is None else tensor.to(self.device) for tensor in (points, labels, mask_logits))
        with self.gate.turn(), torch.inference_mode(), self._precision():
            return decode(embedding, *prompts).float().cpu()

    def _key(self, volume: PetVolume, rung: int, origin: Origin) -> Hashable:
        return (volume.content_hash, rung, origin, self._model_key)

    def _window(self, volume: PetVolume, rung: int, origin: Origin, image: Callable[[], WorkingImage]) -> Tensor:
        """[S, S, S] uptake of a window, float32."""
        size = self.rungs[rung].window_size
        if rung == len(self.rungs) - 1:
            return cut_window(image().voxels, origin, size)
        window = self.grid(volume, rung).window(volume.voxels, origin, size)
        return window * image().suv_factor if needs_suv_estimate(volume, self.net.settings) else window

    @torch.inference_mode()
    def _encode(self, window: Tensor) -> Tensor:
        window = normalise_window(window.to(self.device)[None, None], self.net.settings)
        with self._precision():
            embedding = self.backend(window)
        if self.half_storage and bool(embedding.abs().amax() <= HALF_MAX):
            embedding = embedding.half()
        if window.shape[-1] == self.net.window_size:
            self.bytes_per_window = _tensor_bytes(embedding)
        return embedding.cpu()

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.autocast, enabled=self.autocast is not None)


def _tensor_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
