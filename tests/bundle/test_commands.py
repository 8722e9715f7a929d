"""The bundle's commands, from the repo root and from a bundle that was moved away alone."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from bundle_process import run_bundle

CONFIGS = ("train", "paper_iccv2025", "paper_cvpr2026", "lesion", "multi_gpu_train", "evaluate", "inference")


@pytest.fixture(scope="session")
def moved(repo, tmp_path_factory) -> Path:
    """A copy of the bundle alone, without weights."""
    folder = tmp_path_factory.mktemp("moved") / "bundle"
    shutil.copytree(repo / "bundle", folder, ignore=shutil.ignore_patterns("__pycache__", "models", "runs"))
    return folder


def test_every_config_is_run_here(repo):
    left = {path.stem for path in (repo / "bundle" / "configs").glob("*.json")} - {"metadata"}
    assert left == set(CONFIGS)


@pytest.mark.slow
def test_train_from_the_repo_root_and_resume(repo, training_options, tmp_path):
    run_bundle(repo, "training", "bundle/configs/train.json", {**training_options, "validate_start": True})
    said = json.loads((tmp_path / "run" / "report.json").read_text())
    assert (said["epoch"], said["epochs"]) == (1, 1)
    assert 0 <= said["validation"]["start"] <= said["validation"]["best"] <= 1
    options = {**training_options, "resume": training_options.pop("run_dir"), "epochs": 2}
    options.pop("run_dir")
    printed = run_bundle(repo, "training", "bundle/configs/train.json", options)
    assert "going on after epoch 1" in printed
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["trainer"]["epoch"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [None, "paper_iccv2025", "paper_cvpr2026", "lesion"])
def test_train_in_a_moved_bundle(moved, recipe, training_options, tiny_vit_b, weights, tmp_path):
    files = ["configs/train.json"]
    if recipe is not None:
        files.append(f"configs/{recipe}.json")
    if recipe == "lesion":
        training_options["weights"] = weights
    elif recipe is not None:
        files.append(str(tiny_vit_b))
    run_bundle(moved, "training", str(files), training_options)
    assert (tmp_path / "run" / "model.pt").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["repo", "moved"])
def test_torchrun(place, repo, moved, training_options, tiny_vit_b, tmp_path):
    configs = "bundle/configs" if place == "repo" else "configs"
    files = [f"{configs}/train.json", str(tiny_vit_b), f"{configs}/multi_gpu_train.json"]
    cwd = repo if place == "repo" else moved
    run_bundle(cwd, "training", str(files), {**training_options, "batch_size": 1}, processes=2)
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["trainer"]["iteration"] == 1
    assert len(list((tmp_path / "run").glob("events.out*"))) == 1  # the first process alone writes


@pytest.mark.slow
def test_evaluate_and_infer_in_a_moved_bundle(moved, cohort, weights, tmp_path):
    shared = {"weights": weights, "dataset_dir": cohort, "output_dir": tmp_path}
    options = {**shared, "clicks": 1, "dataset#smallest_ml": 5.0}
    run_bundle(moved, "evaluating", "configs/evaluate.json", options)
    assert (tmp_path / "evaluation.json").is_file()
    entry = {"image": str(cohort / "phantom_0000" / "suv.nii.gz"), "label_name": "liver", "clicks": [[30, 20, 40]]}
    (tmp_path / "clicks.json").write_text(json.dumps([entry]))
    run_bundle(moved, "inference", "configs/inference.json", {**shared, "data_list": tmp_path / "clicks.json"})
    assert (tmp_path / "answers.json").is_file()
