import math
from types import SimpleNamespace

import pytest
import torch
from tiny_run import KeepGradients, tiny_trainer

from seganypet.training import GradientClipping
from seganypet.training.stepping import iterations_in_step


def at(iteration: int, steps: int, length: int = 5, **more):
    state = SimpleNamespace(iteration=iteration, epoch_length=length, epoch=1, batch={"name": ["a.nii.gz", "b.nii.gz"]})
    return SimpleNamespace(state=state, accumulation_steps=steps, scaler=None, **more)


def test_steps_come_every_so_often_and_at_the_end():
    assert [iterations_in_step(at(n, 2)) for n in range(1, 11)] == [0, 2, 0, 2, 1, 0, 2, 0, 2, 1]
    assert [iterations_in_step(at(n, 1)) for n in range(1, 6)] == [1] * 5
    assert [iterations_in_step(at(n, 8)) for n in range(1, 6)] == [0, 0, 0, 0, 5]


def with_gradient(*values: float) -> torch.nn.Linear:
    layer = torch.nn.Linear(len(values), 1, bias=False)
    layer.weight.grad = torch.tensor([values])
    return layer


def test_norms_are_clipped_at_a_step_only():
    layer = with_gradient(3.0, 4.0)
    GradientClipping(layer, 1.0)(at(1, 2))
    assert layer.weight.grad.tolist() == [[3.0, 4.0]]
    GradientClipping(layer, 1.0)(at(2, 2))
    assert layer.weight.grad[0].tolist() == pytest.approx([0.6, 0.8])


def test_the_tail_counts_like_any_step():
    layer = with_gradient(0.1, 0.2)  # one iteration's gradient, which MONAI divided by 2
    GradientClipping(layer, 1.0)(at(5, 2))
    assert layer.weight.grad[0].tolist() == pytest.approx([0.2, 0.4])


def test_infinite_gradients_stop_with_the_files():
    with pytest.raises(FloatingPointError, match=r"not finite .*iteration 1, epoch 1; .*a\.nii\.gz, b\.nii\.gz"):
        GradientClipping(with_gradient(math.inf), 1.0)(at(1, 1))


def test_a_bad_loss_stops_with_the_files_and_keeps_the_weights(tmp_path):
    trainer = tiny_trainer(tmp_path, epochs=1)
    with torch.no_grad():
        trainer.network.network.encoder.bias.fill_(math.nan)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    with pytest.raises(FloatingPointError, match=r"the loss is nan in iteration 1, epoch 1; .*study_[01]\.nii\.gz"):
        trainer.run()
    for name, value in trainer.network.state_dict().items():
        torch.testing.assert_close(value, before[name], equal_nan=True, atol=0, rtol=0)


def test_accumulated_batches_equal_one_large_batch(tmp_path):
    """Two iterations of 2 with the same plan give the gradient of one of 4."""
    steps = []
    for batch_size, accumulation_steps in ((4, 1), (2, 2)):
        trainer = tiny_trainer(
            tmp_path / str(batch_size), epochs=1, batch_size=batch_size, accumulation_steps=accumulation_steps
        )
        trainer.network.random_count = False  # the number of clicks is drawn for each iteration
        trainer.network.mask_only_share = 0.0
        gradients = KeepGradients(trainer.network.network)
        gradients.attach(trainer)
        trainer.run()
        assert len(gradients.steps) == 2
        steps.append(gradients.steps[0])
    for name, gradient in steps[0].items():
        rounding = 1e-3 * float(gradient.abs().max())  # sums of another order; a batch counted twice is off by 1
        torch.testing.assert_close(gradient, steps[1][name], rtol=1e-4, atol=rounding)
