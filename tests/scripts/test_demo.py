"""The demo as `make demo` runs it: the real server, the real client, the embedded weights."""

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from highdicom.seg import segread


@pytest.fixture(scope="module")
def left_behind(repo, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "scripts/demo.py", "--output", str(folder)]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "phantom", done.stdout


@pytest.mark.slow
def test_demo_leaves_masks_seg_picture_and_table(left_behind):
    folder, printed = left_behind
    answers = json.loads((folder / "answers.json").read_text())
    assert len(answers) >= 6
    assert sum(label.startswith("lesion") for label in answers) == 2
    assert printed.rstrip().endswith("/read/phantom")
    assert (folder / "picture.png").stat().st_size > 50_000
    segmentation = segread(folder / "segmentation.dcm")
    named = {segmentation.get_segment_description(n).SegmentLabel for n in segmentation.segment_numbers}
    for label, answer in answers.items():
        mask = nib.load(folder / f"{label}.nii.gz")
        assert label in printed
        assert label in named
        voxel_ml = abs(np.linalg.det(mask.affine[:3, :3])) / 1000
        assert np.count_nonzero(mask.dataobj) * voxel_ml == pytest.approx(answer["answer"]["volume_ml"], rel=1e-4)


@pytest.mark.slow
def test_embedded_weights_find_what_is_clicked(left_behind):
    answers = json.loads((left_behind[0] / "answers.json").read_text())
    reached = {label: answer["dice"] for label, answer in answers.items()}
    assert np.mean(list(reached.values())) > 0.75, reached
    assert min(reached.values()) > 0.4, reached


def test_a_study_without_clicks_is_named(repo, tmp_path):
    path = tmp_path / "study.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), path)
    command = [sys.executable, "scripts/demo.py", "--study", str(path), "--output", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=200)
    assert done.returncode != 0
    assert f"no clicks are known for {path}" in done.stderr
