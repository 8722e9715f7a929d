"""scripts/make_phantoms.py on a folder of sources: each section from its own maps, habits for training alone."""

import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_phantoms.py"


@pytest.fixture
def sources(tmp_path):
    """One map of the training section and one of the test section, both the same box of liver."""
    folder = tmp_path / "sources" / "labels"
    folder.mkdir(parents=True)
    labels = np.zeros((40, 30, 40), dtype=np.uint8)
    labels[8:32, 8:22, 8:32] = 5
    for subject in ("s0327", "s0328"):
        nib.save(nib.Nifti1Image(labels, np.diag([6, 6, 6, 1.0])), folder / f"{subject}_labels.nii.gz")
    (folder / "label_names.json").write_text(json.dumps({"5": "liver"}))
    return folder.parent


def make(folder, sources, section, **options):
    script = runpy.run_path(str(SCRIPT), run_name="script")
    script["make_phantoms"](
        str(folder),
        2,
        1,
        sources=str(sources),
        section=section,
        label_map_share=1.0,
        lesion_count=1,
        workers=1,
        **options,
    )
    return [json.loads(path.read_text())["made_with"] for path in sorted(folder.rglob("phantom.json"))]


def test_each_section_stands_on_its_own_maps(tmp_path, sources):
    for section, subject in (("training", "s0327"), ("test", "s0328")):
        made = make(tmp_path / section, sources, section)
        assert [Path(one["label_map"]["path"]).name for one in made] == [f"{subject}_labels.nii.gz"] * 2
    with pytest.raises(FileNotFoundError, match="validation"):
        make(tmp_path / "validation", sources, "validation")


def test_options_reach_the_cohort_and_habits_stay_in_training(tmp_path, sources):
    made = make(tmp_path / "a", sources, "training", region_mm=120, other_tracers=1.0, truth_habits=True)
    assert all(one["truth_habits"] and one["region_mm"] == 120 for one in made)
    record = json.loads((tmp_path / "a" / "phantom_0000" / "phantom.json").read_text())
    assert record["tracer"] in ("psma", "dotatate")
    with pytest.raises(ValueError, match="painted object"):
        make(tmp_path / "b", sources, "test", truth_habits=True)


@pytest.mark.slow
@pytest.mark.parametrize("workers_first", [False, True])
def test_ctrl_c_is_told_once_by_the_command_and_not_by_its_workers(tmp_path, workers_first):
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--count", "40", "--region_mm", "60", "--workers", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        for line in process.stderr:
            if "1/40" in line:  # of the progress bar: a worker is at the next
                break
        if workers_first:  # what a terminal sends reaches one after the other
            for worker in psutil.Process(process.pid).children():
                worker.send_signal(signal.SIGINT)
        else:
            os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "make_phantoms: stopped"
    assert "Traceback" not in said
