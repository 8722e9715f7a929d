"""The segmenter on a GPU, where there is one."""

import numpy as np
import pytest
import torch
from fake_networks import SmallCompact, box_volume

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_cuda_answers_as_the_cpu_does(autocast):
    volume = box_volume((24, 24, 24), ((8, 16), (8, 16), (8, 16)), spacing_mm=3.0)
    clicks = [Click((12, 12, 12)), Click((2, 2, 2), positive=False)]
    cpu = ClickSegmenter(SmallCompact(), device="cpu", max_windows=1).segment(volume, clicks)
    segmenter = ClickSegmenter(SmallCompact(), device="cuda", max_windows=1, autocast=autocast)
    cuda, details = segmenter.segment_with_details(volume, clicks)
    assert (cpu ^ cuda).mean() < (0.001 if autocast is None else 0.05)
    assert details.windows_encoded == 1
    assert segmenter.encode_ahead(volume).stopped_by == "done"
    assert np.array_equal(cuda, segmenter.segment(volume, clicks))
