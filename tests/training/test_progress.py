import logging

from ignite.engine import Engine

from seganypet.training.progress import RunEstimate, estimate


def test_the_whole_run_is_estimated_once_after_its_first_iterations(caplog):
    engine = Engine(lambda *_: None)
    RunEstimate(after=2).attach(engine)
    with caplog.at_level(logging.INFO, logger="seganypet.training.progress"):
        engine.run(range(5), max_epochs=2)
    name = "seganypet.training.progress"
    (said,) = (record.getMessage() for record in caplog.records if record.name == name)
    assert "7 steps left" in said  # after the third of ten


def test_hours_are_said_with_advice():
    assert estimate(100, 324) == (
        "100 s a step, 324 steps left: about 9:00:00 without validation;"
        " fewer --epochs, a smaller --windows_per_study or a GPU shorten it"
    )
    assert estimate(2.9, 324) == "2.9 s a step, 324 steps left: about 0:15:40 without validation"
