"""scripts/evaluate.py on two small studies with the embedded weights, beside the same protocol run by hand."""

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from seganypet.evaluation.protocol import click_curve
from seganypet.inference import ClickSegmenter
from seganypet.networks import load_network
from seganypet.pet import read_pet

SHAPE = (36, 36, 40)
NODES = ((12, 12, 12), (24, 24, 28))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    places = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1)
    entries = []
    for number in range(2):
        labels = np.zeros(SHAPE, np.uint8)
        for node, radius in zip(NODES, (3 + number, 4), strict=True):
            labels[((places - node) ** 2).sum(-1) <= radius**2] = 2
        labels[26:32, 4:12, 4:16] = 1
        voxels = np.random.default_rng(number).normal(0.8, 0.05, SHAPE) + 6 * (labels == 2) + 2 * (labels == 1)
        for name, array in (("suv", voxels.astype(np.float32)), ("labels", labels)):
            (folder / str(number)).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.diag([3.0, 3, 3, 1])), folder / str(number) / f"{name}.nii.gz")
        names = {"1": "liver", "2": "lesions"}
        entries.append({"image": f"{number}/suv.nii.gz", "label": f"{number}/labels.nii.gz", "label_names": names})
    (folder / "data_list.json").write_text(json.dumps({"test": entries}))
    return folder


def evaluate(repo, cohort, *options):
    script = [sys.executable, str(repo / "scripts" / "evaluate.py"), "--data_list", str(cohort / "data_list.json")]
    done = subprocess.run(
        [*script, "--section", "test", "--clicks", "2", *options], capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout, done.stderr


def test_each_target_is_clicked_and_reported(repo, cohort, tmp_path):
    code, printed, said = evaluate(repo, cohort, "--output", str(tmp_path / "out.json"), "--workers", "2")
    assert code == 0, said
    rows = json.loads((tmp_path / "out.json").read_text())["targets"]
    assert [(row["label"], row["lesion"]) for row in rows] == [("liver", False), *[("lesions", True)] * 2] * 2
    volume = read_pet(cohort / "1" / "suv.nii.gz")
    labels = np.asarray(nib.load(cohort / "1" / "labels.nii.gz").dataobj)
    segmenter = ClickSegmenter(load_network(str(repo / "bundle" / "models" / "model.pt")))
    target = (labels == 2) & (np.arange(SHAPE[2]) < 20)
    by_hand = click_curve(lambda made: segmenter.segment(volume, made), target, (3.0, 3, 3), 2)
    assert rows[4]["dice"] == pytest.approx(by_hand, abs=0.02)  # the processes have fewer threads
    assert rows[4]["volume_ml"] == pytest.approx(target.sum() * 0.027)
    assert "| organs | 2 |" in printed
    assert "area under Dice over the prompts" in printed


def test_lesions_of_a_study_together_are_found_one_by_one(repo, cohort, tmp_path):
    options = ("--together", "True", "--reader", "scribble", "--workers", "1", "--output", str(tmp_path / "out.json"))
    code, printed, said = evaluate(repo, cohort, *options)
    assert code == 0, said
    rows = json.loads((tmp_path / "out.json").read_text())["targets"]
    assert [row["label"] for row in rows] == ["all lesions of a study"] * 2
    for row in rows:  # a stroke finds the larger node: 2·1 / (1 + 2); the second one the other
        assert row["detection"] == pytest.approx([2 / 3, 1])
        assert row["dice"][1] > row["dice"][0]
    assert "under lesions' detection 0.58" in printed  # (1/3 + 5/6) / 2


def test_one_bad_study_is_named_and_the_others_are_reported(repo, cohort, tmp_path):
    broken = tmp_path / "broken.nii.gz"
    image = nib.load(cohort / "0" / "suv.nii.gz")
    voxels = image.get_fdata()
    voxels[3, 4, 5] = np.nan
    nib.save(nib.Nifti1Image(voxels, image.affine), broken)
    content = json.loads((cohort / "data_list.json").read_text())
    rows = [{**row, **{key: str(cohort / row[key]) for key in ("image", "label")}} for row in content["test"]]
    (tmp_path / "data_list.json").write_text(json.dumps({"test": [{**rows[0], "image": str(broken)}, rows[1]]}))
    options = ("--workers", "1", "--baselines", "False", "--leave_out", "liver", "--output", str(tmp_path / "out.json"))
    code, printed, said = evaluate(repo, tmp_path, *options)
    assert code == 1
    assert "1 of 2 studies could not be read" in said
    assert f"{broken}: 1 of 51840 voxels are NaN" in said
    assert "Traceback" not in said
    assert {row["label"] for row in json.loads((tmp_path / "out.json").read_text())["targets"]} == {"lesions"}
    assert "| organs |" not in printed


def test_a_reader_that_nobody_knows_is_refused_in_words(repo, cohort):
    code, _, said = evaluate(repo, cohort, "--reader", "pencil")
    assert code == 1
    assert "--reader must be one of click, box, lasso, scribble, got 'pencil'" in said
