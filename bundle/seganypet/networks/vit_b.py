"""The network of the released SegAnyPET and SAM-Med3D checkpoints (ICCV 2025, arXiv 2502.14351)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .click_network import ClickNetwork
from .image_encoder import ImageEncoder
from .mask_decoder import MaskDecoder
from .prompt_encoder import PromptEncoder
from .settings import DEFAULT_SETTINGS, NetworkSettings
from .two_way_transformer import TwoWayTransformer


class SegAnyPETNetwork(ClickNetwork):
    """Encode an image once, then decode clicks on it. Its 324 state-dict names are the released checkpoints'.

    `SegAnyPETNetwork()` is the released size. Other sizes come from their numbers, see `from_constructor`.

    Args:
        image_encoder: image to embedding; by default the released one.
        prompt_encoder: clicks and previous logits to embeddings.
        mask_decoder: embeddings to logits.
        settings: what the weights were trained with; by default those of the released weights.

    Attributes:
        settings: as given.
        window_size: voxels along each axis of an image, S.
        logit_stride: voxels per low-resolution logit along each axis.
    """

    def __init__(
        self,
        image_encoder: ImageEncoder | None = None,
        prompt_encoder: PromptEncoder | None = None,
        mask_decoder: MaskDecoder | None = None,
        *,
        settings: NetworkSettings | None = None,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder or ImageEncoder()
        self.prompt_encoder = prompt_encoder or PromptEncoder()
        self.mask_decoder = mask_decoder or MaskDecoder(TwoWayTransformer())
        self.settings = settings or DEFAULT_SETTINGS["vit_b"]
        self.window_size = self.image_encoder.img_size
        self.logit_stride = self.window_size // (4 * self.prompt_encoder.embedding_size[0])

    @classmethod
    def from_constructor(
        cls, constructor: Mapping[str, Mapping[str, Any]], *, settings: NetworkSettings | None = None
    ) -> SegAnyPETNetwork:
        """A network of any size from the numbers of its three parts.

        Args:
            constructor: "image_encoder", "prompt_encoder" and "mask_decoder", each the keyword arguments of the class
                of that name; "transformer" within "mask_decoder" those of `TwoWayTransformer`.
            settings: what the weights were trained with.

        Raises:
            KeyError: a part is missing.
            TypeError: a part has an argument that its class does not know.

        Example::

            SegAnyPETNetwork.from_constructor({
                "image_encoder": {"img_size": 64, "embed_dim": 96, "depth": 4, "num_heads": 3, "window_size": 3,
                                  "global_attn_indexes": [1, 3]},
                "prompt_encoder": {"image_embedding_size": [4, 4, 4], "input_image_size": [64, 64, 64]},
                "mask_decoder": {"transformer_dim": 384, "transformer": {"depth": 2}},
            })
        """
        decoder = dict(constructor["mask_decoder"])
        transformer = TwoWayTransformer(decoder.get("transformer_dim", 384), **decoder.pop("transformer", {}))
        return cls(
            ImageEncoder(**constructor["image_encoder"]),
            PromptEncoder(**constructor["prompt_encoder"]),
            MaskDecoder(transformer, **decoder),
            settings=settings,
        )

    def encode(self, image: Tensor) -> Tensor:
        """Embedding of an image, to be decoded as often as there are clicks.

        Args:
            image: [B, 1, S, S, S], normalised as `settings.normalisation` says.

        Returns:
            [B, 384, S/16, S/16, S/16].

        Raises:
            ValueError: another shape.
        """
        channels, size = self.image_encoder.in_chans, self.window_size
        if image.ndim != 5 or tuple(image.shape[1:]) != (channels, size, size, size):
            raise ValueError(f"image must be [B, {channels}, {size}, {size}, {size}], got {list(image.shape)}")
        return self.image_encoder(image)

    def decode(
        self,
        embedding: Tensor,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        mask_logits: Tensor | None = None,
    ) -> Tensor:
        """Low-resolution logits for the prompts.

        Without points the released decoder works from the mask prompt alone. Without `mask_logits` it uses an
        embedding that was never trained: for a first click pass zeros, as training did.

        Args:
            embedding: from `encode`, [B, ...], or [1, ...] for B prompts on one image.
            points: [B, N, 3] voxel indices (dim0, dim1, dim2) of the image tensor, or None.
            point_labels: [B, N], 1 positive, 0 negative; None with `points`.
            mask_logits: the previous answer, [B, 1, L, L, L] with L = S / `logit_stride`, or None.

        Returns:
            [B, 1, L, L, L] float32.

        Raises:
            ValueError: a shape does not fit, or only one of `points` and `point_labels` is given.
        """
        return self.mask_decoder(*self._prompts(embedding, points, point_labels, mask_logits)).float()

    def decode_all(
        self,
        embedding: Tensor,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        mask_logits: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """All four masks' logits, [B, 4, L, L, L], and predicted IoU, [B, 4]; arguments as `decode`.

        Masks 1 to 3 and the IoU come from heads that no training has touched: for comparison, not for use.
        """
        return self.mask_decoder.decode_all(*self._prompts(embedding, points, point_labels, mask_logits))

    def _prompts(
        self, embedding: Tensor, points: Tensor | None, point_labels: Tensor | None, mask_logits: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Checked prompts as the decoder takes them."""
        side = self.window_size // self.logit_stride
        if (points is None) != (point_labels is None):
            given, lacking = ("point_labels", "points") if points is None else ("points", "point_labels")
            raise ValueError(f"points and point_labels go together: {given} given without {lacking}")
        if points is not None and point_labels is not None:
            if points.ndim != 3 or points.shape[-1] != 3:
                raise ValueError(f"points must be [B, N, 3], got {list(points.shape)}")
            if point_labels.shape != points.shape[:2]:
                raise ValueError(f"point_labels must be {list(points.shape[:2])}, got {list(point_labels.shape)}")
        if mask_logits is not None and (mask_logits.ndim != 5 or mask_logits.shape[1:] != (1, side, side, side)):
            raise ValueError(f"mask_logits must be [B, 1, {side}, {side}, {side}], got {list(mask_logits.shape)}")
        batches = [len(prompt) for prompt in (points, mask_logits) if prompt is not None] or [len(embedding)]
        batch = batches[0]
        if set(batches) != {batch} or len(embedding) not in (1, batch):
            raise ValueError(
                f"embedding has a batch of {len(embedding)}, points and mask_logits {batches}: one for all"
            )
        return (
            embedding.expand(batch, -1, -1, -1, -1),
            self.prompt_encoder.dense_pe(),
            self.prompt_encoder.encode_points(points, point_labels, batch),
            self.prompt_encoder.encode_mask(mask_logits, batch),
        )
