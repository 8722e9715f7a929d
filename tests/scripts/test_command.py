"""What a person mistypes is answered in a line, before anything is done."""

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from command import _checked, run, unknown_word


def click(study: str, label: str = "lesion", overwrite: bool = False) -> None: ...


class Cohort:
    def __init__(self, output: str = "runs") -> None: ...

    def nnunet(self, folder: str, fold: int = 0) -> None: ...

    def dicom(self, folder: str, structures: str = "") -> None: ...


@pytest.mark.parametrize(
    ("target", "words", "said"),
    [
        (click, "--study a --label liver", None),
        (click, "a liver --overwrite", None),
        (click, "--study=a --nooverwrite", None),
        (click, "--study a --over-write True", "there is no --over_write; did you mean --overwrite?"),
        (click, "--study a --lable liver", "there is no --lable; did you mean --label?"),
        (click, "--study a --x 1", "there is no --x; there are --study, --label, --overwrite"),
        (click, "a liver True more", "'more' is one argument too many"),
        (click, "--help", None),
        (click, "-study a -l liver --overwrite True", None),
        (Cohort, "nnunet --folder a --fold 1 --output b", None),
        (Cohort, "dicom --folder a --fold 1", "there is no --fold; did you mean --folder?"),
        ({"click": click, "cohort": Cohort.dicom}, "click --study a", None),
        ({"click": click}, "click --studdy a", "there is no --studdy; did you mean --study?"),
    ],
)
def test_flags_that_there_are_none_of(target, words, said):
    assert unknown_word(target, words.split()) == said


def test_types_that_are_checked_and_those_that_are_not():
    def several(
        sizes: Sequence[int] = (1, 2), share: float | None = None, on: bool = True, name: str | Sequence[str] = ""
    ) -> str:
        return f"{sizes} {share} {on} {name!r}"

    checked = _checked(several)
    assert checked() == "(1, 2) None True ''"
    assert checked([3], 1, False, 7) == "[3] 1 False '7'"
    assert checked(sizes=4) == "4 None True ''"
    for wrong, said in (({"share": "a"}, "--share takes a number"), ({"on": "false"}, "--on takes True or False")):
        with pytest.raises(ValueError, match=said):
            checked(**wrong)


@pytest.mark.parametrize("typed", ["2026_11_27", "1e3", "007", "None", "a,b", "[1]"])
def test_text_stays_as_it_is_typed(monkeypatch, capsys, typed):
    class Show:
        def __init__(self, output: str = "") -> None:
            self._output = output

        def one(self, name: str, other: str | None = None) -> str:
            return f"{self._output} {name} {other}"

    monkeypatch.setattr(sys, "argv", ["show.py", "one", typed, "--other", typed, f"--output={typed}"])
    run(Show)
    assert capsys.readouterr().out.strip() == f"{typed} {typed} {typed}"
    monkeypatch.setattr(sys, "argv", ["show.py", typed])
    run(echoed)
    assert capsys.readouterr().out.strip() == typed


def echoed(name: str) -> str:
    return name


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("segment.py --weigths x", 2, "segment: there is no --weigths; did you mean --weights?"),
        ("evaluate.py --data_list x --clicks abc", 1, "evaluate: --clicks takes a whole number, got 'abc'"),
        ("convert_checkpoint.py a b --spacing_mm abc", 1, "convert_checkpoint: --spacing_mm takes a number, got 'abc'"),
        (
            "make_phantoms.py --folder {0} --crop_section all",
            1,
            "make_phantoms: --crop_section must be one of training",
        ),
        ("make_phantoms.py --folder {0} --lesion_count -1", 1, "make_phantoms: lesion_count must be 0 or more, got -1"),
        ("make_phantoms.py --folder {0} --region_mm -5", 1, "make_phantoms: region_mm must be 60 or more, got -5"),
        ("list_crops.py --folder {0} --path {0}/list.json", 1, "list_crops: no splits.json in {0}"),
        ("prepare.py monai_label --folder {0} --label_names a.json", 1, "prepare: no file of label names at a.json"),
        ("prepare.py autopet --folder {0} --validation_share two", 1, "prepare: --validation_share takes a number"),
        ("prepare.py autopet --folder {0}/2026_11", 1, "prepare: no labelled study was found in {0}/2026_11"),
        ("prepare.py dicom --folder 2026_11", 1, "prepare: no such folder: 2026_11"),
        ("segment.py --study x --clicks 1,2,3 --device cuda:9", 1, "segment: device 'cuda:9' was asked for"),
        ("demo.py --study {0} --clicks a.json", 1, "demo: no file of clicks at a.json"),
    ],
)
def test_mistakes_are_one_line(repo, tmp_path, words, code, said):
    if "cuda" in words and __import__("torch").cuda.is_available():
        pytest.skip("this machine has CUDA")
    script, *rest = (word.format(tmp_path) for word in words.split())
    done = subprocess.run(
        [sys.executable, str(repo / "scripts" / script), *rest], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == code, done.stderr
    assert said.format(tmp_path) in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("raise KeyboardInterrupt", "stopped"),
        ("import no_such_package.part", "has no no_such_package. `make .venv/installed` installs"),
    ],
)
def test_what_ends_a_script_while_it_imports_is_one_line(repo, raised, said):
    done = subprocess.run(
        [sys.executable, "-c", f"import command\n{raised}"], cwd=repo / "scripts", capture_output=True, text=True
    )
    assert done.returncode
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_module_of_ours_that_is_gone_keeps_its_traceback(repo):
    code = "import command\nimport seganypet"
    done = subprocess.run([sys.executable, "-c", code], cwd=repo / "scripts", capture_output=True, text=True)
    assert "Traceback" in done.stderr


def test_help_names_the_commands_of_a_class(repo):
    command = [sys.executable, "scripts/prepare.py", "--help"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=True)
    for name in ("autopet", "dicom", "monai_label", "nnunet", "--validation_share"):
        assert name in done.stdout + done.stderr
    assert "GROUP" not in done.stderr


def test_a_terminal_without_the_letter_gets_another(repo):
    code = "import command\ndef show(): print('0.5 ± 0.1 –')\ncommand.run(show)"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repo / "scripts", env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "0.5 ? 0.1 ?", done.stderr
