import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from seganypet.clicks import Click
from seganypet.data.data_list import Entry, read_data_list, write_data_list
from seganypet.evaluation.clicked_studies import (
    ClickedStudies,
    LabelledTargets,
    collate_studies,
    prepare_clicks,
    prepare_targets,
)
from seganypet.evaluation.metrics import dice_per_click
from seganypet.evaluation.protocol_inferer import ClickProtocolInferer
from seganypet.evaluation.report import evaluate_study

AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])


@pytest.fixture
def files(tmp_path):
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:4, 1:4, 1:4] = 1
    labels[6:8, 6:8, 6:8] = 2
    labels[10, 10, 10] = 2  # a component of 0.064 mL
    labels[6:8, 2:4, 9:11] = 2
    nib.save(nib.Nifti1Image(np.where(labels > 0, 5.0, 0.5).astype(np.float32), AFFINE), tmp_path / "suv.nii.gz")
    nib.save(nib.Nifti1Image(labels, AFFINE), tmp_path / "labels.nii.gz")
    entry = Entry(tmp_path / "suv.nii.gz", tmp_path / "labels.nii.gz", {1: "liver", 2: "lesion"})
    write_data_list(tmp_path / "data_list.json", {"validation": [entry]})
    return tmp_path


def test_each_organ_and_each_lesion_is_a_target(files):
    targets = LabelledTargets([files / "data_list.json"], "validation")
    items = [targets[n] for n in range(len(targets))]
    assert [(item["label_name"], item["lesion"], int(item["target"].sum())) for item in items] == [
        ("liver", False, 27), ("lesion", True, 8), ("lesion", True, 8), ("lesion", True, 1)
    ]  # fmt: skip
    assert len(LabelledTargets([files / "data_list.json"], "validation", leave_out=["liver"], smallest_ml=0.1)) == 2
    with pytest.raises(ValueError, match="no training targets"):
        LabelledTargets([files / "data_list.json"], "training")


def test_the_bundle_evaluates_what_the_script_does(files):
    targets = LabelledTargets([files / "data_list.json"], "validation")
    items = [targets[n] for n in range(len(targets))]
    segmenter = SimpleNamespace(segment=lambda volume, made: np.zeros(volume.shape, bool))
    (entry,) = read_data_list(files / "data_list.json")["validation"]
    results = evaluate_study(segmenter, entry, clicks=1, baselines=False)
    assert [(item["label_name"], item["lesion"], int(item["target"].sum())) for item in items] == [
        (result.label, result.lesion, result.voxels) for result in results
    ]


def test_a_lesion_is_the_same_in_a_label_of_other_axes(files):
    """A label turned by its writer numbers its components in another order than the study would."""
    turned = nib.load(files / "suv.nii.gz").as_reoriented([[0, -1], [1, 1], [2, -1]])
    nib.save(turned, files / "suv.nii.gz")
    targets = LabelledTargets([files / "data_list.json"], "validation", smallest_ml=0.1)
    items = [targets[n] for n in range(len(targets))]
    assert [int(item["target"].sum()) for item in items] == [27, 8, 8]
    assert all((item["volume"].voxels[item["target"][0].numpy()] == 5.0).all() for item in items)


def test_a_batch_for_the_protocol(files):
    batch = collate_studies([LabelledTargets([files / "data_list.json"], "validation")[0]])
    image, label, (target,), _ = prepare_targets(batch, "cpu")
    assert image.shape == label.shape == target.shape == (1, 1, 12, 12, 12)
    np.testing.assert_allclose(image.affine, AFFINE)
    assert batch["name"] == [str(files / "suv.nii.gz")]


def test_clicks_of_a_list(files):
    entries = [{"image": "suv.nii.gz", "label_name": name, "clicks": [[2, 2, 2]]} for name in ("liver", "spleen")]
    (files / "clicks.json").write_text(json.dumps(entries))
    studies = ClickedStudies(files / "clicks.json")
    assert len(studies) == 2
    batch = collate_studies([studies[0]])
    image, label, (clicks,), _ = prepare_clicks(batch, "cpu")
    assert label is None
    assert clicks == [(Click((2, 2, 2)),)]
    assert float(image[0, 0, 2, 2, 2]) == 5.0
    assert batch["label_name"] == ["liver"]


def test_bad_entries_are_named(files):
    (files / "clicks.json").write_text(json.dumps([{"image": "gone.nii.gz", "label_name": "a", "clicks": [[1, 1, 1]]}]))
    with pytest.raises(ValueError, match=r"gone\.nii\.gz"):
        ClickedStudies(files / "clicks.json")


class Cubes:
    """Answers k clicks with a cube of k voxels' width; remembers the clicks."""

    def __init__(self):
        self.asked = []

    def __call__(self, inputs, network, clicks):
        self.asked.append(list(clicks[0]))
        mask = torch.zeros_like(torch.as_tensor(inputs), dtype=torch.float32)
        width = len(clicks[0]) + 1
        mask[..., 1 : 1 + width, 1 : 1 + width, 1 : 1 + width] = 1
        return mask


def test_the_protocol_clicks_on_errors_until_nothing_is_wrong():
    target = torch.zeros(1, 1, 8, 8, 8, dtype=torch.bool)
    target[..., 1:4, 1:4, 1:4] = True
    inferer = Cubes()
    image = MetaTensor(torch.ones(1, 1, 8, 8, 8), affine=torch.eye(4)[None])
    masks = ClickProtocolInferer(3, inferer)(image, torch.nn.Identity(), target)
    assert masks.shape == (1, 1, 3, 8, 8, 8)
    assert inferer.asked[0] == [Click((2, 2, 2))]  # the middle
    assert len(inferer.asked) == 2  # after two clicks it is right, and the third is not asked for
    assert dice_per_click(masks, target).flatten().tolist() == pytest.approx([2 * 8 / (8 + 27), 1.0, 1.0])
