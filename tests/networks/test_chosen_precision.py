"""The rule that picks a precision, with the hardware's answers faked."""

import logging

import pytest
import torch

from seganypet.networks import precision
from seganypet.networks.precision import chosen_precision, log_precision


def fake_processor(monkeypatch, *, onednn: bool, instructions: bool, machine: str = "x86_64") -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    monkeypatch.setattr(precision.platform, "machine", lambda: machine)


@pytest.mark.parametrize(
    ("onednn", "instructions", "machine", "expected"),
    [
        (True, True, "x86_64", "bfloat16"),
        (False, False, "x86_64", "float32"),  # AVX2
        (True, False, "x86_64", "float32"),  # AVX-512 that emulates it
        (True, False, "aarch64", "bfloat16"),
        (False, False, "aarch64", "float32"),
    ],
)
def test_auto_follows_the_processor(monkeypatch, onednn, instructions, machine, expected):
    fake_processor(monkeypatch, onednn=onednn, instructions=instructions, machine=machine)
    assert chosen_precision("auto", "cpu") == expected


@pytest.mark.parametrize(("native", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_follows_the_gpu(monkeypatch, native, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native and not including_emulation)
    assert chosen_precision("auto", torch.device("cuda", 0)) == expected


def test_what_was_asked_for_is_kept(monkeypatch, caplog):
    fake_processor(monkeypatch, onednn=False, instructions=False)
    with caplog.at_level(logging.INFO):
        assert log_precision("auto", "cpu") == "float32"
        assert "precision float32 on cpu, which has no units for bfloat16" in caplog.text
        assert log_precision("bfloat16", "cpu") == "bfloat16"
    assert "bfloat16 is emulated on this cpu" in caplog.text
    assert chosen_precision("float16", "cuda") == "float16"


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="auto, float32, bfloat16, float16, got 'half'"):
        chosen_precision("half", "cpu")
    with pytest.raises(ValueError, match="float16 needs CUDA"):
        chosen_precision("float16", "cpu")
