"""The ablation at its smallest: every stage runs, and a second call only reads what the first left."""

import csv
import json
import subprocess
import sys

import pytest

ARMS = ["finetune", "cpcl uncertain"]


@pytest.mark.slow
def test_smoke_writes_the_table_and_goes_on_from_what_is_done(repo, tmp_path):
    command = [sys.executable, "scripts/ablation.py", "--output", str(tmp_path), "--smoke", "--start", "expert"]
    command += ["--arms", ",".join(ARMS), "--low_quality_share", "0.75"]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "table.md").read_text().splitlines()
    named = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert named == ["strategy", "start", *ARMS, "cpcl uncertain − finetune"]
    assert "labels of 75% of them" in lines[0]
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["strategy"] for row in rows} == {"start", *ARMS}
    assert {row["group"] for row in rows} >= {"seen", "unseen"}
    assert all(0 <= float(row["dice_5"]) <= 1 for row in rows)
    assert [path.parent.name for path in tmp_path.glob("*/flips.csv")] == ["cpcl_uncertain_0"]
    assert (tmp_path / "table.png").stat().st_size > 5000
    assert "| uncertain | 0.9 |" in (tmp_path / "rules.md").read_text()
    trained = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/model.pt")}
    assert len(trained) == 3
    overlays = [json.loads((tmp_path / f"{arm.replace(' ', '_')}_0" / "overlay.json").read_text()) for arm in ARMS]
    prompts = [{key: value for key, value in one.items() if key.startswith("rollout#")} for one in overlays]
    assert prompts[0] == prompts[1], "arms differ in how labels are learned from, and in no prompt"
    assert [prompts[0][f"rollout#{name}_share"] for name in ("handover", "drawn", "mask_only")] == [0, 0, 0]

    again = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=200)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/model.pt")} == trained
    assert (tmp_path / "table.md").read_text().splitlines() == lines

    other = subprocess.run([*command, "--noise", "organs"], cwd=repo, capture_output=True, text=True, timeout=200)
    assert other.returncode == 1
    assert "noise contours → organs" in other.stderr
    unknown = subprocess.run([*command, "--start", "nowhere"], cwd=repo, capture_output=True, text=True, timeout=200)
    assert unknown.returncode == 1
    assert "--start takes embedded, expert; got nowhere" in unknown.stderr
