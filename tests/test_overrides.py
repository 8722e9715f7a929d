"""Options of a bundle's command line: mistyped ones end a run before it begins."""

import json
import sys

import pytest
from monai.bundle import ConfigParser

from seganypet.overrides import end_in_a_line, refuse_unknown_overrides, unknown_override


@pytest.fixture
def files(tmp_path):
    """A config with an overlay."""
    for name, content in (
        ("train", {"epochs": 6, "only_lesions": False, "loss": {"beta": 5.0}}),
        ("recipe", {"loss#shape": "mean", "milestones": [120]}),
    ):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return [str(tmp_path / f"{name}.json") for name in ("train", "recipe")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--epochs", "3", "--loss#beta=4", "--loss::gamma", "1", "--milestones", "[-1]", "--run_id", "training"], ""),
        (["--only_lesions"], ""),
        (["--only_lesions", "True", "--meta_file", "none.json"], ""),
        (["--only_lesions=$@epochs > 5"], ""),
        (["--epoch", "3"], "no config has an item epoch; did you mean --epochs?"),
        (["--epochs", "3", "--zzz#b=1"], "no config has an item zzz: --zzz#b"),
        (["--only_lesions", "false", "--epochs", "3"], "--only_lesions takes True or False, got 'false'"),
        (["--only_lesions=no"], "--only_lesions takes True or False, got 'no'"),
    ],
)
def test_what_no_config_has_is_named(files, words, said):
    assert unknown_override(["training", "--config_file", str(files), *words]) == said


def test_a_command_line_ends_and_another_program_is_left_alone(files, monkeypatch):
    words = ["run", "training", "--config_file", files[0], "--epoch", "3"]
    monkeypatch.setattr(sys, "argv", ["/venv/monai/bundle/__main__.py", *words])
    with pytest.raises(SystemExit, match="did you mean --epochs"):
        refuse_unknown_overrides()
    monkeypatch.setattr(sys, "argv", ["/venv/bin/pytest", *words])
    refuse_unknown_overrides()


@pytest.mark.parametrize(
    ("component", "option", "said"),
    [
        ("seganypet.training.ConsistencyRamp", {"iterations": 0}, "monai.bundle: t_max must be at least 1 iteration"),
        ("seganypet.networks.load_network", {"path": "none.pt"}, "monai.bundle: "),
        ("seganypet.training.ConsistencyRamp", {"iterations": "many"}, "Traceback"),
        ("monai.losses.DiceCELoss", {"reduction": "no"}, "Traceback"),
    ],
)
def test_what_a_component_of_ours_refuses_is_a_line(capsys, component, option, said):
    parser = ConfigParser({"component": {"_target_": component, **option}})
    with pytest.raises(RuntimeError) as caught:
        parser.get_parsed_content("component")
    end_in_a_line(caught.type, caught.value, caught.tb)
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert (told.count("\n") == 1) == (said != "Traceback")


def test_options_in_a_file_of_arguments_are_not_looked_at():
    assert unknown_override(["--args_file", "args.json", "--epoch", "3"]) == ""


@pytest.mark.parametrize("name", ["train", "multi_gpu_train", "evaluate", "inference"])
def test_every_run_asks(repo, name):
    config = json.loads((repo / "bundle" / "configs" / f"{name}.json").read_text())
    assert config["initialize"][1] == {"_target_": "seganypet.overrides.refuse_unknown_overrides"}
