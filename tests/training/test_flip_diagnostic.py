import csv
from types import SimpleNamespace

import torch
from tiny_network import TinyNetwork

from seganypet.data import WorkingStudy
from seganypet.data.targets import split_targets
from seganypet.training import ClickRollout, FlipDiagnostic
from seganypet.training.flip_diagnostic import count_flips, draw_known_targets, known_targets


def study(high_quality: bool, extent: int) -> WorkingStudy:
    labels = torch.zeros(24, 24, 24, dtype=torch.int16)
    labels[6:12, 6:12, 6 : 6 + extent] = 1
    labels[20:22, 20:22, 20:22] = 2
    target_map, targets = split_targets(labels, {1: "liver", 2: "lesion_1"})
    return WorkingStudy(
        "s.nii.gz", torch.ones(24, 24, 24).half(), target_map, (3.0, 3.0, 3.0), tuple(targets), high_quality
    )


class FlipOutside:
    """Flips what the noisy label has in dim2 from voxel 12 of the study on, and one voxel that was right."""

    def __call__(self, logits, label):
        rectified = label.clone()
        voxels = label[0, 0].nonzero()
        last = voxels[:, 2].max()
        rectified[..., last] = False
        rectified[0, 0, voxels[0, 0], voxels[0, 1], voxels[0, 2]] = False
        return rectified


def test_organs_are_paired_with_their_truth():
    (known,) = known_targets(study(False, 7), study(True, 6), TinyNetwork().settings, 16)
    assert int(known.noisy.sum()) == 6 * 6 * 7
    assert int((known.noisy ^ known.clean).sum()) == 36


def test_flips_are_counted_each_epoch(tmp_path):
    diagnostic = FlipDiagnostic(
        [study(False, 7), study(True, 6)],
        [study(True, 6)],
        settings=TinyNetwork().settings,
        rollout=ClickRollout(TinyNetwork(), clicks=2),
        rectification=FlipOutside(),
        path=tmp_path / "flips.csv",
    )
    assert len(diagnostic.targets) == 1  # the low-quality study's organ
    for epoch in (1, 2):
        diagnostic(SimpleNamespace(state=SimpleNamespace(epoch=epoch)))
    rows = list(csv.DictReader((tmp_path / "flips.csv").open()))
    expected = {"flipped_voxels": "37", "corrected_voxels": "36", "wrong_voxels": "36"}
    assert rows == [{"epoch": "1", **expected}, {"epoch": "2", **expected}]


def test_rules_are_compared_on_the_same_predictions():
    net = TinyNetwork()
    targets = draw_known_targets([study(False, 7)], [study(True, 6)], net.settings, 16)
    counts = count_flips(ClickRollout(net, clicks=2), targets, [FlipOutside(), lambda logits, label: label])
    assert counts.tolist() == [[37, 36, 36], [0, 0, 36]]
    assert draw_known_targets([study(True, 7)], [study(True, 6)], net.settings, 16) == []  # nothing noisy
