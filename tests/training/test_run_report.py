"""A run says how far it is, and whether it came to anything better than it started from."""

import json
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from monai.utils.enums import CommonKeys
from tiny_run import tiny_trainer

from seganypet.training import DiceAtClicks, RunReport
from seganypet.training.strategies import RolloutLabel
from seganypet.training.validation import _logits_and_targets


class Validator:
    """Gives one value after the other, as MONAI's evaluator keeps its best."""

    def __init__(self, *values: float) -> None:
        self.values, self.runs = list(values), 0
        self.state = type("State", (), {"best_metric": -1, "best_metric_epoch": -1, "epoch": 0})()
        self.metric = SimpleNamespace(each=[])

    def run(self, epoch: int) -> None:
        self.state.epoch = epoch
        value = self.values[self.runs]
        self.runs += 1
        self.metric.each = [value - 0.1, value + 0.1]
        if value > self.state.best_metric:
            self.state.best_metric, self.state.best_metric_epoch = value, epoch


def run(path, validator: Validator, epochs: int, **options) -> list[dict]:
    """Reports after each epoch of an engine that validates in each."""
    engine, reports = Engine(lambda *_: None), []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: validator.run(engine.state.epoch))
    RunReport(path, validator, validator.metric, **options).attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda _: reports.append(json.loads(path.read_text())))
    engine.run([0], max_epochs=epochs)
    return reports


def test_later_weights_are_best_only_where_they_beat_the_start(tmp_path):
    reports = run(tmp_path / "r.json", Validator(0.5, 0.4, 0.5, 0.6), 3, validate_start=True)
    assert [(one["epoch"], one["epochs"]) for one in reports] == [(1, 3), (2, 3), (3, 3)]
    found = [tuple(one["validation"].values()) for one in reports]
    assert [one[:3] for one in found] == [(0.5, 0.5, 0), (0.5, 0.5, 0), (0.5, 0.6, 3)]
    assert found[1][3:] == (pytest.approx([0.4, 0.6]), pytest.approx([0.4, 0.6]))
    assert found[2][3:] == (pytest.approx([0.4, 0.6]), pytest.approx([0.5, 0.7]))


def test_without_the_start_the_first_epoch_is_the_first_best(tmp_path):
    (report,) = run(tmp_path / "r.json", Validator(0.4), 1)
    found = report["validation"]
    assert (found["start"], found["best"], found["best_epoch"]) == (None, 0.4, 1)


def test_a_resumed_run_keeps_what_was_best(tmp_path):
    (before,) = run(tmp_path / "r.json", Validator(0.5, 0.6), 1, validate_start=True)
    validator = Validator()
    validator.state.best_metric, validator.state.best_metric_epoch = 0.6, 1
    engine = Engine(lambda *_: None)
    engine.state.epoch, engine.state.max_epochs = 1, 2
    RunReport(tmp_path / "r.json", validator, validator.metric, validate_start=True).begin(engine)
    assert json.loads((tmp_path / "r.json").read_text())["validation"] == before["validation"]


def test_each_target_counts_once_however_many_windows_it_is_in():
    metric, targets = DiceAtClicks(clicks=(1,)), torch.zeros(2, 2, 2, 2, 2, dtype=torch.bool)
    targets[:, :, 0] = True
    logits = torch.where(targets, 5.0, -5.0)[..., None].movedim(-1, 2)  # [B, T, R, ...]
    logits[0, 1] = -5.0  # nothing is found
    label = RolloutLabel(targets, torch.ones(2, dtype=torch.bool), (((0, 1), (0, 2)), ((0, 1), (0, 2))))
    metric.update(_logits_and_targets({CommonKeys.PRED: logits, CommonKeys.LABEL: label}))
    assert metric.each == pytest.approx([1.0, 0.5])
    assert metric.compute() == pytest.approx(0.75)


def test_nothing_is_written_by_the_other_processes(tmp_path):
    with pytest.raises(FileNotFoundError):
        run(tmp_path / "r.json", Validator(0.4), 1, writes=False)


def test_a_run_that_comes_to_nothing_leaves_what_it_started_from(tmp_path):
    trainer = tiny_trainer(tmp_path, epochs=1)
    start = {name: value.clone() for name, value in trainer.network.network.state_dict().items()}
    values = iter((0.9, 0.1))
    metric = trainer.evaluator.state  # what the evaluator says is put in its place after each validation

    def say(evaluator: Engine) -> None:
        evaluator.state.metrics["dice"] = next(values)

    trainer.evaluator.add_event_handler(Events.EPOCH_COMPLETED, say)
    handlers = trainer.evaluator._event_handlers[Events.EPOCH_COMPLETED]
    handlers.insert(1, handlers.pop())  # after the metric, before what looks at it
    RunReport(tmp_path / "report.json", trainer.evaluator, DiceAtClicks(), validate_start=True).attach(trainer)
    trainer.run()
    assert metric is trainer.evaluator.state
    said = json.loads((tmp_path / "report.json").read_text())["validation"]
    assert (said["start"], said["best"], said["best_epoch"]) == (0.9, 0.9, 0)
    published = torch.load(tmp_path / "model.pt", weights_only=True)["model"]
    assert all(torch.equal(published[name].float(), value.half().float()) for name, value in start.items())
