import threading
import time

import torch
from fake_networks import ComponentNet, box_volume

from seganypet.clicks import Click
from seganypet.inference import ClickSegmenter

WARM = ((2, 6), (2, 6), (2, 6))


def study():
    volume = box_volume((16, 16, 64), WARM, suv=1.0)
    voxels = volume.voxels.copy()
    voxels[12:14, 12:14, 52:54] = 6.0
    return type(volume)(voxels, volume.affine)


def test_windows_with_uptake_are_encoded_hottest_first_and_the_click_only_decodes(component_net):
    segmenter, progress = ClickSegmenter(component_net), []
    report = segmenter.encode_ahead(study(), on_progress=lambda known, windows: progress.append((known, windows)))
    peaks = [float(torch.sinh(window).amax()) for window in component_net.encoded]
    assert report.stopped_by == "done"
    assert report.encoded == report.known == report.windows == len(peaks)
    assert report.windows < 7  # of the seven grid windows, those in the air between are left out
    assert peaks == sorted(peaks, reverse=True)
    assert progress == [(number + 1, report.windows) for number in range(report.windows)]
    for click in ((4, 4, 4), (13, 13, 53)):
        mask, details = segmenter.segment_with_details(study(), [Click(click)])
        assert mask[click]
        assert (details.windows_encoded, details.windows_decoded, details.embeddings_remembered) == (0, 1, 1)


def test_what_is_known_is_not_encoded_again(component_net):
    segmenter = ClickSegmenter(component_net)
    segmenter.segment(study(), [Click((13, 13, 53))])
    report = segmenter.encode_ahead(study())
    assert report.encoded == report.windows - 1
    assert segmenter.encode_ahead(study()).encoded == 0


def test_it_stops_at_the_budget_on_request_and_when_memory_is_full(component_net):
    segmenter = ClickSegmenter(component_net)
    assert segmenter.encode_ahead(study(), budget_s=0).stopped_by == "budget"
    assert segmenter.encode_ahead(study(), should_stop=lambda: len(component_net.encoded) == 1).stopped_by == "request"
    assert len(component_net.encoded) == 1
    one = 8**3 * 2
    small = ClickSegmenter(ComponentNet(), cache_bytes=one + 1)
    report = small.encode_ahead(study())
    assert (report.stopped_by, report.known) == ("memory", 1)


def test_windows_placed_by_the_click_cannot_be_encoded_before_it():
    net = ComponentNet(placement="click")
    report = ClickSegmenter(net).encode_ahead(study())
    assert (report.windows, report.stopped_by) == (0, "done")
    assert not net.encoded


def test_a_click_goes_before_the_windows_that_wait():
    net, order = ComponentNet(), []
    begun, go_on = threading.Event(), threading.Event()
    encode, decode = net.encode, net.decode

    def slow_encode(image):
        order.append("encode")
        begun.set()
        go_on.wait(5)
        return encode(image)

    def noted_decode(*prompts):
        order.append("decode")
        return decode(*prompts)

    net.encode, net.decode = slow_encode, noted_decode
    segmenter, volume = ClickSegmenter(net), study()
    ahead = threading.Thread(target=segmenter.encode_ahead, args=(volume,))
    ahead.start()
    assert begun.wait(5)  # the hottest window is being encoded, the one the click needs
    click = threading.Thread(target=segmenter.segment, args=(volume, [Click((13, 13, 53))]))
    click.start()
    time.sleep(0.05)
    go_on.set()
    click.join(5)
    ahead.join(5)
    # the click asks for the processor as soon as its window is there; at most one window slipped in before it
    assert "decode" in order[:3]
    assert len(net.encoded) == len({bytes(window.numpy().data) for window in net.encoded})
