"""Every config as the Model Zoo's own test runs it, in this process, from the repo root."""

import json

import pytest
import torch
from monai.bundle import ConfigWorkflow

from seganypet.data import read_data_list
from seganypet.data.targets import is_lesion
from seganypet.networks import load_network

CONFIGS = "bundle/configs"


def run(config_files: list[str], workflow_type: str, options: dict) -> ConfigWorkflow:
    """initialize → check_properties → run → finalize."""
    workflow = ConfigWorkflow(
        config_file=config_files,
        meta_file=f"{CONFIGS}/metadata.json",
        logging_file=f"{CONFIGS}/logging.conf",
        workflow_type=workflow_type,
        **options,
    )
    workflow.initialize()
    assert workflow.check_properties() in (None, [])
    workflow.run()
    workflow.finalize()
    return workflow


@pytest.fixture(autouse=True)
def _at_repo_root(repo, monkeypatch):
    monkeypatch.chdir(repo)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["finetune", "consistency", "cpcl"])
def test_train(training_options, tmp_path, strategy):
    run([f"{CONFIGS}/train.json"], "train", {**training_options, "strategy": strategy})
    assert load_network(tmp_path / "run" / "model.pt").settings.architecture == "compact"
    content = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert content["trainer"]["epoch"] == 1
    assert ("ramp.t" in content["strategy"]) == (strategy != "finetune")


@pytest.mark.slow
def test_a_run_from_weights_trains_close_ups(training_options, weights, tmp_path):
    """By default, into a decoder of their own; the network's own is left alone where there is nothing else."""
    start = load_network(weights)
    assert not start.settings.close_ups
    run(
        [f"{CONFIGS}/train.json"],
        "train",
        {**training_options, "weights": str(weights), "close_up_share": 1.0, "warmup_iterations": 0},
    )
    content = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    network, old = content["network"], start.state_dict()
    assert load_network(tmp_path / "run" / "model.pt").settings.close_ups
    assert all(torch.equal(network[name], old[name]) for name in old if name.startswith("decoder."))
    assert not torch.equal(network["close_up_decoder.head.weight"], old["decoder.head.weight"])


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (
            "paper_iccv2025",
            {"epochs": 200, "batch_size": 12, "accumulation_steps": 20, "encoder_learning_rate": 8e-4,
             "learning_rate": 8e-5, "weight_decay": 0.1, "strategy": "cpcl", "points": "newest"},
        ),
        (
            "paper_cvpr2026",
            {"epochs": 500, "batch_size": 12, "accumulation_steps": 8, "encoder_learning_rate": 8e-5,
             "learning_rate": 8e-6, "clicks": 20, "points": "accumulated"},
        ),
        ("lesion", {"epochs": 200, "only_lesions": True, "strategy": "finetune"}),
    ],
)  # fmt: skip
def test_recipes_numbers(recipe, expected):
    workflow = ConfigWorkflow(
        config_file=[f"{CONFIGS}/train.json", f"{CONFIGS}/{recipe}.json"], meta_file=f"{CONFIGS}/metadata.json"
    )
    for key, value in expected.items():
        assert workflow.parser.get_parsed_content(key) == value, key


@pytest.mark.parametrize("recipe", ["paper_iccv2025", "paper_cvpr2026"])
def test_paper_recipes_run(recipe, training_options, tiny_vit_b, tmp_path):
    files = [f"{CONFIGS}/train.json", f"{CONFIGS}/{recipe}.json", str(tiny_vit_b)]
    workflow = run(files, "train", training_options)
    groups = workflow.parser.get_parsed_content("optimizer").param_groups
    rates = {"paper_iccv2025": [8e-4, 8e-5], "paper_cvpr2026": [8e-5, 8e-6]}[recipe]
    assert [group["initial_lr"] for group in groups] == rates
    assert (tmp_path / "run" / "model.pt").is_file()


@pytest.mark.slow
def test_lesions_are_trained_from_a_general_model(training_options, weights):
    files = [f"{CONFIGS}/train.json", f"{CONFIGS}/lesion.json"]
    workflow = run(files, "train", {**training_options, "weights": str(weights)})
    studies = workflow.parser.get_parsed_content("train#studies")
    assert all(target.lesion for study in studies for target in study.targets)


def test_evaluate(cohort, weights, tmp_path):
    options = {"dataset_dir": str(cohort), "weights": str(weights), "output_dir": str(tmp_path), "clicks": 2}
    names = set(read_data_list(cohort / "data_list.json").labels.values())
    options["leave_out"] = sorted(name for name in names - {"liver"} if not is_lesion(name))
    workflow = run([f"{CONFIGS}/evaluate.json"], "infer", options)
    targets = json.loads((tmp_path / "evaluation.json").read_text())["targets"]
    assert len(targets) == len(workflow.parser.get_parsed_content("dataset"))
    first = [target["dice"][0] for target in targets]
    assert all(len(target["dice"]) == 2 for target in targets)
    # these weights answer nothing, so that each click brings the voxels around it and no more
    large = [target["dice"][0] for target in targets if target["volume_ml"] > 4]  # of 8 voxels and more
    assert large
    assert max(large) < 0.5
    metric = workflow.parser.get_parsed_content("evaluator").state.metrics["dice_1"]
    assert metric == pytest.approx(sum(first) / len(first), abs=1e-6)


def test_inference(cohort, weights, tmp_path):
    clicks = [{"image": str(cohort / "phantom_0000" / "suv.nii.gz"), "label_name": name, "clicks": [[30, 20, 40]]}
              for name in ("liver", "lesion")]  # fmt: skip
    (tmp_path / "clicks.json").write_text(json.dumps(clicks))
    options = {"dataset_dir": str(tmp_path), "weights": str(weights), "output_dir": str(tmp_path / "out")}
    run([f"{CONFIGS}/inference.json"], "infer", options)
    answers = json.loads((tmp_path / "out" / "answers.json").read_text())
    assert [answer["label_name"] for answer in answers] == ["liver", "lesion"]
    for answer in answers:
        assert (tmp_path / "out" / answer["mask"]).is_file()
        assert answer["clicks"] == [{"ijk": [30, 20, 40], "positive": True}]
        assert "volume_ml" in answer["uptake"]
