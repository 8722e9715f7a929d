import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_run import tiny_trainer
from torch.utils.tensorboard import SummaryWriter

from seganypet.training import ClickPanel, Rectification, StrategyScalars
from seganypet.training.panel import draw_panel


def test_clicks_and_outlines_stand_where_they_are():
    image = torch.zeros(8, 8, 8)
    label = torch.zeros(8, 8, 8, dtype=torch.bool)
    label[2:5, 3:6, 4:7] = True
    points, signs = torch.tensor([[3.0, 4.0, 5.0], [1.0, 2.0, 7.0], [0.0, 0.0, 0.0]]), torch.tensor([1.0, 0.0, -1.0])
    figure = draw_panel(image, label, label, ~label, points, signs)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["label, sagittal", "label, coronal", "label, axial"]
    positive, negative = (collection.get_offsets().tolist() for collection in figure.axes[1].collections[-2:])
    assert positive == [[3.0, 5.0]]  # the coronal plane runs along dim0 and dim2
    assert negative == [[1.0, 7.0]]


def test_each_validation_leaves_one_panel_and_every_iteration_the_terms(tmp_path):
    trainer = tiny_trainer(tmp_path, epochs=2)
    writer = SummaryWriter(tmp_path)
    StrategyScalars(trainer.loss_function, writer).attach(trainer)
    ClickPanel(trainer.evaluator.network, Rectification(), writer).attach(trainer.evaluator)
    trainer.run()
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    (image,) = events.Tags()["images"]
    assert [event.step for event in events.Images(image)] == [1, 2]
    for term in ("supervised_high", "consistency", "consistency_weight", "supervised_rectified", "flipped"):
        assert [event.step for event in events.Scalars(f"strategy/{term}")] == [1, 2, 3, 4]
