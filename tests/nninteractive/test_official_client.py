"""nnInteractive's own client against a real server process: each prompt, undo, sessions, bad input."""

from __future__ import annotations

import json
import struct
import sys
import time
from collections.abc import Iterator

import nibabel as nib
import numpy as np
import pytest
import requests
from running_server import APP, REPO, Server, start_server

from seganypet.clicks import Box, Click, InitialMask, Lasso, Scribble, VoxelSet
from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network
from seganypet.pet import PetVolume

sys.path.insert(0, str(APP))
remote = pytest.importorskip("nnInteractive.inference.remote", reason="nninteractive-client is missing")
httpx = pytest.importorskip("httpx")
SPACING = [4.0, 4.0, 4.0]
SHAPE = (60, 56, 50)
BALL, NEAR, EDGE, OUTSIDE = (24, 30, 25), (25, 31, 25), (27, 30, 25), (40, 12, 12)


def trunk() -> np.ndarray:
    """SUV 1 with noise and a ball of 14 mm of SUV 8, float32 [i, j, k]."""
    random = np.random.default_rng(3)
    places = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    suv = random.uniform(0.9, 1.1, SHAPE)
    suv[((places - BALL) ** 2).sum(-1) <= 3.5**2] = 8
    return suv.astype(np.float32)


@pytest.fixture(scope="module")
def drawing_server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("nninteractive")
    (folder / "studies").mkdir()
    conf = ["--conf", "drawing_sessions", "3", "--conf", "drawing_idle_s", "20"]
    yield from start_server(folder, folder / "studies", *conf)


@pytest.fixture(scope="module")
def segmenter():
    return ClickSegmenter(load_network(REPO / "bundle" / "models" / "model.pt"))


@pytest.fixture
def connect(drawing_server):
    opened = []

    def begin(image=None):
        session = remote.nnInteractiveRemoteInferenceSession(f"{drawing_server.url}/nninteractive")
        opened.append(session)
        if image is not None:
            session.set_image(image[None], {"spacing": SPACING})
            session.set_target_buffer(np.zeros(image.shape, np.uint8))
        return session

    yield begin
    for session in opened:
        session.close()


def expected(segmenter, prompts, image=None):
    volume = PetVolume(np.asfortranarray(trunk() if image is None else image), np.diag([*SPACING, 1.0]))
    return segmenter.segment(volume, prompts)


def shown(session):
    return session.target_buffer.astype(bool)


def stroke(*voxels):
    drawn = np.zeros(SHAPE, np.uint8)
    for voxel in voxels:
        drawn[voxel] = 1
    return drawn


def test_the_client_learns_what_it_may_send(connect):
    session = connect()
    assert session.ping()
    assert session.supported_interactions == dict.fromkeys(("points", "bbox2d", "bbox3d", "scribble", "lasso"), True)
    assert session.supports_initial_label
    assert not session.supports_zero_shot_label_refinement  # a mask stays as it is where nobody clicked
    assert session.INFERENCE_SESSION_VERSION == "2.6.0"
    assert session.license == "Apache-2.0"
    assert session.supports_undo
    assert len(session.preferred_scribble_thickness) == 3
    assert 0 < session.lease_status()["remaining_seconds"] <= session.idle_timeout_seconds == 20


def test_points_of_both_signs_and_undo_back_to_empty(connect, segmenter):
    session = connect(trunk())
    prompts, masks = [], []
    for ijk, positive in ((BALL, True), (EDGE, False), (NEAR, True)):
        box = session.add_point_interaction(list(ijk), positive)
        prompts.append(Click(ijk, positive))
        masks.append(expected(segmenter, prompts))
        assert np.array_equal(shown(session), masks[-1])
        assert box is None or all(0 <= low < high <= n for (low, high), n in zip(box, SHAPE, strict=True))
    assert masks[0][BALL]
    assert not masks[1][EDGE]
    for mask in (masks[1], masks[0], np.zeros(SHAPE, bool)):
        assert session.undo()
        assert np.array_equal(shown(session), mask)
    assert not session.undo()


@pytest.mark.parametrize("positive", [True, False])
def test_boxes_scribbles_and_lassos(connect, segmenter, positive):
    ranges = ((21, 28), (27, 34), (25, 26))
    line = stroke(*((i, 30, 25) for i in range(22, 27)))
    ring = stroke(*((24 + a, 30 + b, 25) for a in (-3, -2, 2, 3) for b in (-3, -2, 2, 3)))
    for send, prompt in (
        (lambda s: s.add_bbox_interaction([list(side) for side in ranges], positive), Box(ranges, positive)),
        (lambda s: s.add_scribble_interaction(line, positive), Scribble(VoxelSet.of(line), positive)),
        (lambda s: s.add_lasso_interaction(ring, positive), Lasso(VoxelSet.of(ring), positive)),
    ):
        session = connect(trunk())
        prompts = [] if positive else [Click(BALL)]
        if not positive:
            session.add_point_interaction(list(BALL), True)
        send(session)
        mask = expected(segmenter, [*prompts, prompt])
        assert np.array_equal(shown(session), mask)
        assert mask.any() == positive or not positive
        session.close()


def test_a_box_may_end_between_voxels_as_napari_draws_it(connect, segmenter):
    for sent, ranges in (
        ([[20.6, 28.4], [26.51, 33.6], [25.0, 26.0]], ((21, 28), (27, 34), (25, 26))),
        ([[20.6, 90.0], [26.51, 33.6], [24.9, 25.1]], ((21, 60), (27, 34), (25, 26))),
    ):
        session = connect(trunk())
        session.add_bbox_interaction(sent, True)
        mask = expected(segmenter, [Box(ranges)])
        assert mask.any()
        assert np.array_equal(shown(session), mask)
        session.close()


def test_a_drawing_may_come_as_its_box_alone(connect, segmenter):
    session = connect(trunk())
    part = np.ones((5, 1, 1), np.float16)
    session.add_scribble_interaction(part, True, interaction_bbox=[[22, 27], [30, 31], [25, 26]])
    line = stroke(*((i, 30, 25) for i in range(22, 27)))
    assert np.array_equal(shown(session), expected(segmenter, [Scribble(VoxelSet.of(line))]))


def test_prompts_wait_until_they_are_asked_for(connect, segmenter):
    session = connect(trunk())
    assert session.add_point_interaction(list(BALL), True, run_prediction=False) is None
    session.add_point_interaction(list(EDGE), False, run_prediction=False)
    assert not shown(session).any()
    assert session._predict() is not None
    assert np.array_equal(shown(session), expected(segmenter, [Click(BALL), Click(EDGE, False)]))
    assert session._predict() is None  # nothing waits any more


def test_an_initial_mask_is_refined_and_reset_forgets_it(connect, segmenter):
    initial = stroke(*map(tuple, np.argwhere(trunk() > 5)[:60]))
    session = connect(trunk())
    session.add_initial_seg_interaction(initial)
    assert np.array_equal(shown(session), initial.astype(bool))
    session.add_point_interaction(list(EDGE), True)
    prompts = [InitialMask(VoxelSet.of(initial)), Click(EDGE)]
    assert np.array_equal(shown(session), expected(segmenter, prompts))
    session.undo()
    assert np.array_equal(shown(session), initial.astype(bool))
    session.add_point_interaction(list(EDGE), False)
    session.add_initial_seg_interaction(np.zeros(SHAPE, np.uint8))
    assert session.undo()  # what was drawn before the mask comes back
    prompts = [InitialMask(VoxelSet.of(initial)), Click(EDGE, False)]
    assert np.array_equal(shown(session), expected(segmenter, prompts))
    session.reset_interactions()
    assert not shown(session).any()
    session.add_point_interaction(list(BALL), True)
    assert np.array_equal(shown(session), expected(segmenter, [Click(BALL)]))


def test_two_clients_have_an_image_each_and_no_third_place_is_invented(connect, drawing_server, segmenter):
    other = np.ascontiguousarray(trunk().transpose(2, 1, 0))  # as clients that count z, y, x send it
    first, second = connect(trunk()), connect(other)
    first.add_point_interaction(list(BALL), True)
    second.add_point_interaction(list(BALL[::-1]), True)
    assert np.array_equal(shown(first), expected(segmenter, [Click(BALL)]))
    assert np.array_equal(shown(second), expected(segmenter, [Click(BALL[::-1])], other))
    connect()
    with pytest.raises(remote.ServerAtCapacityError, match="all 3 sessions are taken"):
        connect()


def test_an_ended_session_is_taken_up_again_with_its_mask(connect, segmenter):
    session = connect(trunk())
    session.add_point_interaction(list(BALL), True)
    kept = session.target_buffer.copy()
    session._http.post("/release")
    with pytest.raises(remote.SessionExpiredError, match="claim a new one"):
        session.add_point_interaction(list(NEAR), True)
    again = connect(trunk())
    again.add_initial_seg_interaction(kept)
    again.add_point_interaction(list(EDGE), False)
    prompts = [InitialMask(VoxelSet.of(kept)), Click(EDGE, False)]
    assert np.array_equal(shown(again), expected(segmenter, prompts))


def test_a_reader_who_does_nothing_loses_the_session(connect):
    session = connect(trunk())
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            session.lease_status()
        except remote.SessionExpiredError:
            return
        time.sleep(1)
    pytest.fail("the session outlived its 20 s")


def sentence(call):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        call()
    assert caught.value.response.status_code in (400, 413)
    detail = caught.value.response.json()["detail"]
    assert isinstance(detail, str)
    return detail


def test_bad_input_is_named_and_the_next_prompt_works(connect, segmenter):
    early = connect()
    assert "no image yet" in sentence(lambda: early.add_point_interaction([1, 1, 1], True))
    early.close()
    session = connect(trunk())
    nan = trunk()
    nan[3, 3, 3] = np.nan
    for call, words in (
        (lambda: session.add_point_interaction([999, 0, 0], True), "outside"),
        (lambda: session.add_point_interaction([1, 2], True), "three voxel indices"),
        (lambda: session.add_point_interaction([1, 2, 1e30], True), "three voxel indices"),
        (lambda: session.add_bbox_interaction([[100, 120], [0, 5], [0, 5]], True), "holds no voxel"),
        (lambda: session.add_bbox_interaction([[1, 1], [0, 5], [0, 5]], True), "holds no voxel"),
        (lambda: session.add_scribble_interaction(np.zeros(SHAPE, np.uint8), True), "nothing is drawn"),
        (lambda: session.add_scribble_interaction(np.ones((3, 3, 3), np.uint8), True), "the image's shape"),
        (lambda: session.add_lasso_interaction(np.ones((2, 2), np.uint8), True), "the image's shape"),
        (
            lambda: session.add_lasso_interaction(
                np.ones((2, 1, 1), np.uint8), True, interaction_bbox=[[59, 61], [0, 1], [0, 1]]
            ),
            "leaves the volume",
        ),
        (lambda: session._post_binary("/set_image", {}, b"no array"), "NNIA"),
    ):
        assert words in sentence(call)
    session.add_point_interaction(list(BALL), True)
    assert np.array_equal(shown(session), expected(segmenter, [Click(BALL)]))
    for image, properties, words in (
        (nan[None], {"spacing": SPACING}, "NaN"),
        (trunk()[None], {"spacing": [1, 0, 1]}, "above 0"),
        (trunk()[None], {"spacing": [1, 1]}, "three numbers"),
        (trunk()[None], {}, "must say the spacing"),
        (np.zeros((2, 4, 4, 4), np.float32), {"spacing": SPACING}, "one channel"),
    ):
        assert words in sentence(lambda image=image, properties=properties: session.set_image(image, properties))
    huge = struct.pack("<4sBBBB7s4qI", b"NNIA", 1, 1, 4, 7, b"float32", 1, 5000, 5000, 5000, 1)
    assert "MB" in sentence(
        lambda: session._post_binary("/set_image", {"image_properties": {"spacing": SPACING}}, huge)
    )
    assert "MB" in sentence(lambda: session.add_scribble_interaction(np.ones((200, 200, 200), np.uint8), True))
    assert "the image's shape" in sentence(lambda: session.set_target_buffer(np.zeros((2, 2, 2), np.uint8)))


def test_a_click_is_the_same_as_over_infer(connect, drawing_server, tmp_path):
    file = tmp_path / "trunk.nii.gz"
    nib.save(nib.Nifti1Image(trunk(), np.diag([*SPACING, 1.0])), file)
    session = connect(trunk())
    session.add_point_interaction(list(BALL), True)
    with file.open("rb") as content:
        answer = requests.post(
            f"{drawing_server.url}/infer/seganypet?output=json",
            data={"params": json.dumps({"foreground": [list(BALL)], "background": []})},
            files={"file": ("trunk.nii.gz", content)},
            timeout=60,
        )
    assert answer.json()["voxels"] == int(shown(session).sum())
