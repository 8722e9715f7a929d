"""What runs a network's image encoder: torch, or OpenVINO where it is installed.

On a CPU OpenVINO in float32 encodes a vit_b window in about 0.85 of torch's time, and a compact one no faster; it takes
half a minute to make ready. So it is for servers of vit_b that ask for it, and torch is the default.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

BACKENDS = ("torch", "openvino")
MAX_AXES = 6  # OpenVINO computes some tensors of more axes wrongly, and says nothing


class TorchEncoder:
    """The network's own `encode`."""

    name = "torch"

    def __init__(self, net: Any) -> None:
        self._net = net

    def __call__(self, window: Tensor) -> Tensor:
        return self._net.encode(window)


class OpenvinoEncoder:
    """The network's image encoder in OpenVINO, float32, on the CPU; packing the embedding stays torch's.

    Args:
        net: a network of `seganypet.networks`, in eval mode; its weights are copied.

    Raises:
        ImportError: OpenVINO is not installed.
        ValueError: the encoder holds a tensor of more axes than OpenVINO computes rightly.
    """

    def __init__(self, net: Any) -> None:
        if importlib.util.find_spec("openvino") is None:
            raise ImportError("the encoder backend 'openvino' needs: pip install -r requirements-openvino.txt")
        import openvino

        self.name = f"openvino {openvino.__version__}"
        self._net, self._size = net, net.window_size
        size = self._size
        self._pack: Callable[[Sequence[Tensor], Tensor], Tensor] = getattr(net, "pack", lambda outputs, _: outputs[0])
        module = _Coarsest(net.encoder, len(net.rungs) - 1) if hasattr(net, "pack") else net.image_encoder
        model = _converted(module, torch.zeros(1, 1, size, size, size))
        _check_axes(model)
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "EXECUTION_MODE_HINT": "ACCURACY",
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        self._request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def __call__(self, window: Tensor) -> Tensor:
        if window.shape[-1] != self._size:  # a finer rung's: small, and OpenVINO's shapes are fixed
            return self._net.encode(window)
        results = self._request.infer([window.contiguous().numpy()])  # copies: the next window does not change these
        return self._pack([torch.from_numpy(result) for result in results.values()], window)


class _Coarsest(nn.Module):
    """An encoder of several rungs on its coarsest one, as a function of the image alone."""

    def __init__(self, encoder: nn.Module, rung: int) -> None:
        super().__init__()
        self.encoder, self.rung = encoder, rung

    def forward(self, image: Tensor) -> Any:
        return self.encoder(image, self.rung)


def encoder_backend(net: nn.Module, backend: str, device: torch.device) -> TorchEncoder | OpenvinoEncoder:
    """What encodes windows [1, 1, S, S, S] into embeddings.

    Args:
        backend: "torch" or "openvino".

    Raises:
        ValueError: another name, or OpenVINO for another device than the CPU.
        ImportError: OpenVINO is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"the encoder's backend must be one of {BACKENDS}, got {backend!r}")
    if backend == "torch":
        return TorchEncoder(net)
    if device.type != "cpu":
        raise ValueError(f"the encoder's backend 'openvino' runs on the CPU, not on {device}")
    return OpenvinoEncoder(net)


def _converted(module: nn.Module, example: Tensor) -> Any:
    """An OpenVINO model of a module, by the frontend itself: `openvino.convert_model` sends telemetry."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # OpenVINO does not know torch's fused transformer layer
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.jit.TracerWarning)  # shapes are fixed
            traced = torch.jit.trace(module, example, check_trace=False)
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced)  # held here: the frontend does not keep it alive
    model = frontend.convert(frontend.load(decoder))
    model.reshape({0: list(example.shape)})
    return model


def _check_axes(model: Any) -> None:
    for operation in model.get_ops():
        for output in operation.outputs():
            axes = output.get_partial_shape().rank.get_max_length()
            if axes > MAX_AXES:
                raise ValueError(
                    f"{operation.get_friendly_name()} has {axes} axes; OpenVINO is right up to {MAX_AXES} only"
                )
