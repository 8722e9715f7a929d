"""A device without memory: a network that refuses where it was made, but not where it was copied to."""

import logging

import numpy as np
import pytest
import torch
from fake_networks import ComponentNet, box_volume

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter

VOLUME = box_volume((32, 32, 32), ((8, 12), (8, 12), (8, 12)))
CLICKS = [Click((10, 10, 10)), Click((9, 9, 9))]


class FullDevice(ComponentNet):
    def __init__(self, full=True):
        super().__init__()
        self.home, self.full = id(self), full

    def decode(self, *prompts):
        if self.full is True or (self.full == "at home" and id(self) == self.home):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().decode(*prompts)

    def encode(self, image):
        if self.full == "encoder":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")
        return super().encode(image)


def test_the_request_is_answered_on_the_cpu_with_a_message(caplog):
    segmenter = ClickSegmenter(FullDevice("at home"))
    with caplog.at_level(logging.WARNING):
        mask, details = segmenter.segment_with_details(VOLUME, iter(CLICKS))
    assert np.array_equal(mask, ClickSegmenter(ComponentNet()).segment(VOLUME, CLICKS))
    assert mask.any()
    assert details.device == "cpu"
    assert "out of memory on cpu, this request is answered on the CPU: CUDA out of memory. Tried to" in caplog.text


def test_a_later_request_tries_the_device_again():
    net = FullDevice("at home")
    segmenter = ClickSegmenter(net)
    before = segmenter.segment(VOLUME, CLICKS)
    net.full = False
    assert np.array_equal(segmenter.segment(VOLUME, CLICKS), before)
    assert len(net.decoded) == 2  # none of the CPU's answers was taken for the device's


def test_no_memory_anywhere_is_the_callers_error():
    with pytest.raises(torch.OutOfMemoryError):
        ClickSegmenter(FullDevice()).segment(VOLUME, CLICKS)


def test_background_encoding_stops(caplog):
    report = ClickSegmenter(FullDevice("encoder")).encode_ahead(VOLUME)
    assert (report.stopped_by, report.known, report.encoded) == ("memory", 0, 0)
    assert "the rest of this study waits for clicks" in caplog.text


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_gpu_that_is_really_full():
    segmenter = ClickSegmenter(ComponentNetOnGpu().cuda())
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        mask, details = segmenter.segment_with_details(VOLUME, CLICKS)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert details.device == "cpu"
    assert np.array_equal(mask, ClickSegmenter(ComponentNet()).segment(VOLUME, CLICKS))


class ComponentNetOnGpu(ComponentNet):
    """Takes a gigabyte wherever it computes."""

    def encode(self, image):
        torch.zeros(2**28, device=image.device)
        return super().encode(image)

    def decode(self, embedding, *prompts):
        return super().decode(embedding.cpu(), *(None if prompt is None else prompt.cpu() for prompt in prompts))
