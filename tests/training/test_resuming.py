"""A run that is ended anywhere goes on as if nothing had happened."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ignite.engine import Events
from tiny_run import tiny_trainer

from seganypet.training.checkpoint import CHECKPOINT, save_whole

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def content(folder: Path) -> dict:
    return torch.load(folder / CHECKPOINT, weights_only=True)


def assert_bit_equal(a, b, where: str = "") -> None:
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_bit_equal(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for n, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_bit_equal(x, y, f"{where}/{n}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b, where


def test_a_resumed_run_is_bit_equal_to_an_unbroken_one(tmp_path):
    tiny_trainer(tmp_path / "whole", epochs=3).run()

    class EndedError(Exception):
        pass

    class EndInThirdEpoch:
        def attach(self, engine):
            engine.add_event_handler(Events.ITERATION_COMPLETED, self)

        def __call__(self, engine):
            if engine.state.iteration == 5:  # two iterations an epoch
                raise EndedError

    with pytest.raises(EndedError):
        tiny_trainer(tmp_path / "broken", epochs=3, handlers=(EndInThirdEpoch(),)).run()
    assert content(tmp_path / "broken")["trainer"]["epoch"] == 2
    tiny_trainer(tmp_path / "broken", epochs=3, resume=True).run()
    assert_bit_equal(content(tmp_path / "whole"), content(tmp_path / "broken"))
    assert int(content(tmp_path / "broken")["strategy"]["ramp.t"]) == 6
    whole, resumed = ((tmp_path / name / "model.pt").read_bytes() for name in ("whole", "broken"))
    assert whole == resumed


@pytest.mark.slow
def test_kill_9_and_resume(tmp_path):
    def start(folder: str, options: str) -> subprocess.Popen:
        path = os.pathsep.join([str(HERE.parents[1] / "bundle"), str(HERE)])
        return subprocess.Popen(
            [sys.executable, "-u", HERE / "tiny_run.py", tmp_path / folder, options],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )

    broken = start("broken", '{"epochs": 3, "pause_s": 0.1}')
    for line in broken.stdout:
        if line.startswith("iteration 3"):
            broken.send_signal(signal.SIGKILL)
    assert broken.wait() == -signal.SIGKILL
    assert content(tmp_path / "broken")["trainer"]["epoch"] == 1
    others = [start("broken", '{"epochs": 3, "resume": true}'), start("whole", '{"epochs": 3}')]
    assert [other.communicate() and other.returncode for other in others] == [0, 0]
    assert_bit_equal(content(tmp_path / "whole"), content(tmp_path / "broken"))


def test_a_finished_run_resumes_to_nothing(tmp_path):
    tiny_trainer(tmp_path, epochs=1).run()
    before = (tmp_path / CHECKPOINT).read_bytes()
    trainer = tiny_trainer(tmp_path, epochs=1, resume=True)
    trainer.run()
    assert trainer.state.iteration == 2
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_best_metric_survives(tmp_path):
    tiny_trainer(tmp_path, epochs=1).run()
    best = content(tmp_path)["best"]
    assert best["best_metric_epoch"] == 1
    assert 0 <= best["best_metric"] <= 1


def test_another_run_s_checkpoint_is_not_written_over(tmp_path):
    tiny_trainer(tmp_path, epochs=1).run()
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(FileExistsError, match=rf"go on with it by --resume {tmp_path}, or take another --run_dir"):
        tiny_trainer(tmp_path, epochs=2)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_nothing_to_resume_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=CHECKPOINT):
        tiny_trainer(tmp_path, resume=True).run()


def test_other_data_cannot_go_on(tmp_path):
    tiny_trainer(tmp_path, epochs=1).run()
    with pytest.raises(ValueError, match="2 iterations an epoch, this one has 4"):
        tiny_trainer(tmp_path, epochs=2, batch_size=2, resume=True).run()


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / CHECKPOINT
    save_whole({"epoch": 1}, path)

    def fail(content, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match=r"checkpoint\.pt could not be written .*No space left.*before it is whole"):
        save_whole({"epoch": 2}, path)
    monkeypatch.undo()
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == [CHECKPOINT]
