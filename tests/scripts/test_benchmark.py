"""The benchmark's figures and its command."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch


def test_timing_summarises_rounds_and_leaves_the_first_out(repo, monkeypatch):
    monkeypatch.syspath_prepend(str(repo / "scripts"))
    from benchmarks import timing

    clock = iter(range(1000))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: float(next(clock)) ** 2)  # later runs last longer
    runs = []
    timings = timing.time_side_by_side(
        {"a": lambda: runs.append("a"), "b": lambda: runs.append("b")},
        rounds=2,
        device=torch.device("cpu"),
        repeats={"a": 2},
    )
    assert runs == ["a", "a", "b"] * 3
    # Run number n lasts (2n + 1)² − (2n)² = 4n + 1; a's counted runs are 3, 4, 6 and 7, b's 5 and 8.
    assert timings["a"] == timing.Timing(median=21.0, lower=16.0, upper=26.0, runs=4)
    assert timings["b"] == timing.Timing(median=27.0, lower=24.0, upper=30.0, runs=2)


def test_comparison_takes_out_what_the_whole_machine_was_slower_in(repo, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(repo / "scripts"))
    from benchmarks.results import comparison, write_json
    from benchmarks.timing import Timing
    from benchmarks.work import MATMUL

    def run(matmul, decode):
        return {MATMUL: Timing(matmul, matmul, matmul, 3), "decode": Timing(decode, 0.9 * decode, 1.1 * decode, 3)}

    facts = {"benchmark": "click", "machine": {"threads": 2, "load_average": 0.5}}
    write_json(tmp_path / "then.json", facts, run(0.1, 0.2))
    lines = comparison(tmp_path / "then.json", facts | {"machine": {"threads": 1, "load_average": 3}}, run(0.2, 0.3))
    assert lines[0].startswith("threads then 2, now 1")
    assert len(lines) == 4  # the load is no difference between machines
    assert "200.0 →    300.0 ms    0.75" in lines[3]  # 0.2 s were two products, 0.3 s are one and a half
    assert "within" not in lines[3]  # 0.33 s lie under twice 0.18 s
    with pytest.raises(ValueError, match="'click', not of 'server'"):
        comparison(tmp_path / "then.json", facts | {"benchmark": "server"}, {})


def test_work_counts_direct_convolutions_too(repo, monkeypatch):
    monkeypatch.syspath_prepend(str(repo / "scripts"))
    from benchmarks.work import gigaflop

    image, weight = torch.zeros(1, 2, 4, 4, 4), torch.zeros(3, 2, 1, 1, 1)
    with torch.inference_mode():
        done = gigaflop(lambda: torch.mkldnn_convolution(image, weight, None, [0] * 3, [1] * 3, [1] * 3, 1))
        product = gigaflop(lambda: torch.zeros(5, 6) @ torch.zeros(6, 7))
    assert done == pytest.approx(2 * 64 * 3 * 2 / 1e9)
    assert product == pytest.approx(2 * 5 * 6 * 7 / 1e9)


CLICK = ["click", "--networks", "compact", "--rounds", "1", "--side", "40", "--slices", "[40,60]"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "case"),
    [
        (["encoder", "--network", "compact", "--rounds", "1"], "encode, float32"),
        (CLICK, "compact: next click, 40×40×60"),
        (["targets", "--clicks", "1", "--shape", "[80,80,160]"], "lesion, first click: total"),
        (["training", "--rounds", "1", "--released", "False"], "compact: train.json's finetune step"),
    ],
)
def test_command_writes_its_figures(repo, tmp_path, command, case):
    output = tmp_path / "figures.json"
    command = [sys.executable, "scripts/benchmark.py", *command]
    done = subprocess.run([*command, "--json", str(output)], cwd=repo, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    figures = json.loads(output.read_text())
    assert figures["seconds"][case]["median"] > 0
    assert case in done.stdout
    if command[2] == "training":
        assert figures["samples_per_second"][case] == pytest.approx(2 / figures["seconds"][case]["median"])
    elif command[2] != "targets":
        assert figures["gigaflop"]["matrix product, 2048³"] == pytest.approx(2 * 2.048**3)


def test_released_loop_clicks_on_what_is_wrong(repo, monkeypatch):
    monkeypatch.syspath_prepend(str(repo / "scripts"))
    from benchmarks.released_loop import error_clicks

    truth = torch.zeros(3, 1, 4, 4, 4, dtype=torch.bool)
    truth[:2, 0, 1, 2, 3] = True
    prediction = torch.full(truth.shape, -1.0)
    prediction[1:, 0, 1, 2, 3] = 1  # missed, right, and too much
    prediction[2, 0, 0, 0, 0] = -5
    points, labels = error_clicks(prediction, truth, np.random.default_rng(0))
    assert points[[0, 2]].tolist() == [[[1, 2, 3]]] * 2
    assert labels[[0, 2]].tolist() == [[1], [0]]
