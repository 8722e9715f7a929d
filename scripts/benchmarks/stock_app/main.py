"""The same network as a MONAI Label app is usually written: each click loads, resamples and encodes its image again.

    monailabel start_server --app scripts/benchmarks/stock_app --studies DIR --conf weights model.pt [--conf bundle DIR]

Only a measure for the real app: no memory, no followed targets, the server's own blocking routes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer, SimpleInferer
from monai.transforms import EnsureChannelFirstd, LoadImaged, MapTransform, Orientationd, Spacingd, SqueezeDimd
from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferType
from monailabel.tasks.infer.basic_infer import BasicInferTask

sys.path.insert(0, settings.MONAI_LABEL_APP_CONF.get("bundle") or str(Path(__file__).resolve().parents[3] / "bundle"))

from seganypet.data.preprocessing import normalise_window
from seganypet.inference.windows import cut_window
from seganypet.networks import load_network


def without_path(data: dict[str, Any]) -> dict[str, Any]:
    """MONAI 1.6.1's Spacingd takes each key that begins with "image_" for a dict of metadata."""
    return {key: value for key, value in data.items() if key != "image_path"}


class ClickWindowd(MapTransform):
    """Cuts the window around the first click, and turns clicks into the network's points; undone by pasting it back."""

    def __init__(self, keys: str, size: int, settings: Any) -> None:
        super().__init__(keys)
        self.size, self.settings = size, settings

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        image = data["image"]
        to_working = np.linalg.inv(image.affine.numpy()) @ image.meta["original_affine"]
        clicks = [*data.get("foreground", []), *data.get("background", [])]
        points = np.array([(to_working @ [*click, 1.0])[:3] for click in clicks])
        data["origin"] = origin = tuple(int(p) - self.size // 2 for p in points[0].round())
        window = cut_window(image[0].as_tensor(), origin, self.size)
        data["points"] = torch.tensor(points - np.array(origin), dtype=torch.float32)[None]
        data["point_labels"] = torch.tensor([[1.0] * len(data["foreground"]) + [0.0] * len(data.get("background", []))])
        data["whole"] = image
        data["image"] = normalise_window(window[None], self.settings)
        return data


class PasteWindowd(MapTransform):
    """A window's logits as a mask on the whole image's grid."""

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        logits = data["pred"][0]
        whole = torch.zeros_like(data["whole"])
        target, source = [], []
        for start, length, size in zip(data["origin"], whole.shape[1:], logits.shape, strict=True):
            low, high = max(0, start), min(length, start + size)
            target.append(slice(low, high))
            source.append(slice(low - start, high - start))
        whole[0][tuple(target)] = (logits[tuple(source)] > 0).float()
        data["pred"] = whole
        return data


class Invertd(MapTransform):
    """The mask back on the image's own grid."""

    def __init__(self, keys: str, transforms: Sequence[Any]) -> None:
        super().__init__(keys)
        self.transforms = transforms

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        inverted = {"image": data["pred"]}
        for transform in reversed(self.transforms):
            inverted = transform.inverse(inverted)
        data["pred"] = inverted["image"].round()
        return data


class StockClicks(BasicInferTask):
    """MONAI Label's own task: transforms, one forward pass, transforms, a file."""

    def __init__(self, path: Path) -> None:
        net = load_network(path)
        super().__init__(str(path), net, InferType.DEEPGROW, ["target"], 3, "stock", config={"device": ["cpu"]})
        self.size, self.settings = net.window_size, net.settings
        self.resampling = [
            Orientationd("image", axcodes="RAS"),
            Spacingd("image", pixdim=[net.settings.spacing_mm] * 3, mode="bilinear"),
        ]

    def pre_transforms(self, data: Any = None) -> list[Callable]:
        load = [without_path, LoadImaged("image"), EnsureChannelFirstd("image")]
        return [*load, *self.resampling, ClickWindowd("image", self.size, self.settings)]

    def inferer(self, data: Any = None) -> Inferer:
        class WithClicks(SimpleInferer):
            def __call__(self, inputs: torch.Tensor, network: Callable, *_: Any, **__: Any) -> torch.Tensor:
                return network(inputs, data["points"], data["point_labels"])

        return WithClicks()

    def post_transforms(self, data: Any = None) -> list[Callable]:
        return [PasteWindowd("pred"), Invertd("pred", self.resampling), SqueezeDimd("pred", dim=0)]


class StockApp(MONAILabelApp):
    """Nothing but the task."""

    def init_infers(self) -> dict[str, StockClicks]:
        return {"seganypet": StockClicks(Path(self.conf["weights"]))}
