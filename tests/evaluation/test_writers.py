"""What an evaluator leaves on disk, of one that answers everything."""

import json
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch

from seganypet.clicks.reading import read_prompts
from seganypet.evaluation.clicked_studies import ClickedStudies, collate_studies
from seganypet.evaluation.writers import ANSWERS, MaskWriter

PROMPTS = [
    {"ijk": [1, 2, 3], "positive": True},
    {"type": "box", "ranges": [[1, 4], [1, 4], [2, 3]]},
    {"type": "scribble", "voxels": [[1, 1, 1], [1, 1, 2]]},
    {"type": "lasso", "voxels": [[1, 1, 1], [1, 2, 1], [1, 2, 2]], "positive": False},
    {"type": "mask", "voxels": [[3, 3, 3]]},
]


def run(folder, labels, prompts) -> MaskWriter:
    """A `MaskWriter` that has seen an answer to each label of one study."""
    nib.save(nib.Nifti1Image(np.ones((6, 6, 6), np.float32), np.eye(4)), folder / "suv.nii.gz")
    entries = [{"image": "suv.nii.gz", "label_name": label, "prompts": prompts} for label in labels]
    (folder / "list.json").write_text(json.dumps(entries))
    studies = ClickedStudies(folder / "list.json")
    writer = MaskWriter(folder / "out")
    engine = SimpleNamespace(data_loader=SimpleNamespace(dataset=studies))
    writer.start(engine)
    for n in range(len(studies)):
        engine.state = SimpleNamespace(
            batch=collate_studies([studies[n]]), output={"pred": torch.ones(1, 1, 6, 6, 6) - 0.5}
        )
        writer(engine)
    writer.finish(engine)
    return writer


def test_every_kind_of_prompt_is_written_as_it_is_read(tmp_path):
    run(tmp_path, ["lesion 1", "liver"], PROMPTS)
    answers = json.loads((tmp_path / "out" / ANSWERS).read_text())
    assert [answer["mask"] for answer in answers] == ["suv/lesion_1.nii.gz", "suv/liver.nii.gz"]
    assert nib.load(tmp_path / "out" / "suv" / "liver.nii.gz").get_fdata().sum() == 6**3
    for answer in answers:
        assert read_prompts(answer["clicks"]) == read_prompts(PROMPTS)


def test_two_labels_of_one_file_name_are_refused_before_anything_is_answered(tmp_path):
    with pytest.raises(ValueError, match="labels 'lesion 1' and 'lesion/1' would share the file name 'lesion_1'"):
        run(tmp_path, ["lesion 1", "lesion/1"], PROMPTS[:1])
    assert not (tmp_path / "out").exists()
