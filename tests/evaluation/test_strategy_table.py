import csv

import numpy as np
import pytest

from seganypet.evaluation.strategy_table import RunScore, as_markdown, paired_interval, write_csv

SCORES = [
    RunScore("finetune", 0, "seen", (0.50, 0.60, 0.70)),
    RunScore("finetune", 1, "seen", (0.60, 0.70, 0.80)),
    RunScore("cpcl", 0, "seen", (0.52, 0.60, 0.70)),
    RunScore("cpcl", 1, "seen", (0.64, 0.70, 0.80)),
]


def test_paired_interval_by_hand():
    # differences 1, 2, 3: mean 2, sd 1, standard error 1/√3, t(0.975, 2) = 4.3027
    mean, low, high = paired_interval([0, 0, 0], [1, 2, 3])
    assert mean == 2
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-3)


def test_one_pair_has_no_interval():
    mean, low, high = paired_interval([1.0], [1.5])
    assert mean == 0.5
    assert np.isnan([low, high]).all()


def test_the_table():
    lines = as_markdown(SCORES, ("finetune", "cpcl"), reference="finetune").splitlines()
    assert lines[0] == "| strategy | seen @1 | seen @3 | seen @5 |"
    assert lines[2] == "| finetune | 55.0 ± 7.1 | 65.0 ± 7.1 | 75.0 ± 7.1 |"
    # gains at one click: 2 and 4 points; mean 3, sd √2, t(0.975, 1) = 12.706
    assert lines[4].startswith("| cpcl − finetune | +3.0 [-9.7, +15.7] | +0.0 ")


def test_a_strategy_that_has_not_run_yet():
    assert as_markdown(SCORES[:1], ("finetune", "cpcl"), reference="finetune").splitlines()[3] == "| cpcl | – | – | – |"


def test_csv(tmp_path):
    write_csv(SCORES, tmp_path / "table.csv")
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert rows[2] == {"strategy": "cpcl", "seed": "0", "group": "seen", "dice_1": "0.5200", "dice_3": "0.6000",
                       "dice_5": "0.7000"}  # fmt: skip
