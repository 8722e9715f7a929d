"""Which name each voxel of a label from Slicer gets, whatever the request and the file call and number them."""

from __future__ import annotations

import numpy as np
import pytest
from lib.store.label_maps import named_segments
from lib.store.label_segs import origin_of
from lib.store.saved_targets import names_of_values

from seganypet.data.label_reading import LabelMap
from seganypet.pet import SegmentOrigin

VALUES = np.array([0, 1, 1, 2, 2, 2], np.int16).reshape(6, 1, 1)


@pytest.mark.parametrize(
    ("in_file", "in_request", "expected"),
    [
        ({1: "liver", 2: "node"}, [("liver", 5), ("node", 3)], {"liver": 2, "node": 3}),
        ({1: "liver", 2: "node"}, [("node", 1)], {"liver": 2, "node": 3}),
        ({1: "liver", 2: "node"}, [("node", 1), ("spleen", 2)], {"liver": 2, "node": 3}),
        ({1: "node", 2: "node"}, [("node", 1), ("liver", 2)], {"node": 2, "node (2)": 3}),
        ({1: "Segment_1", 2: "Segment_2"}, [("liver", 1), ("node", 2)], {"liver": 2, "node": 3}),
        ({1: "liver", 2: "node"}, [("liver", 1), ("node", 1)], {"liver": 2, "node": 3}),
        ({}, [("liver", 2), ("node", 1)], {"node": 2, "liver": 3}),
        ({1: "liver", 2: "node"}, [("liver", 0), ("node", 1)], {"node": 3, "liver": 2}),
        ({1: "liver", 2: "node"}, [("liver", 70000), ("node", 1)], {"node": 3, "liver": 2}),
        ({1: "liver", 2: "node"}, [], {"liver": 2, "node": 3}),
    ],
)
def test_every_segment_keeps_its_voxels_and_its_name(in_file, in_request, expected):
    info = {"label_info": [{"name": name, "idx": index} for name, index in in_request]}
    voxels, listed = named_segments(LabelMap(VALUES, np.eye(4), in_file), info)
    names = names_of_values(voxels, {"label_info": listed})
    assert {names[value]: int((voxels == value).sum()) for value in names} == expected


def test_a_segment_says_what_made_it():
    weights = {"file": "model.pt", "hash": "5f"}
    clicked = {"tracking_uid": "1.2", "clicks": [{"ijk": [1, 2, 3]}], "weights": weights}
    assert origin_of(clicked) == SegmentOrigin("1.2", drawn=False, weights="model.pt 5f")
    assert origin_of({"tracking_uid": "1.3", "clicks": []}) == SegmentOrigin("1.3", drawn=True, weights="unknown")
