import pytest
import torch

from seganypet.networks.click_network import ClickNetwork
from seganypet.networks.settings import NetworkSettings, Rung
from seganypet.training.rollout import Around, ClickRollout, handed_over, wipe_half


class Painter(ClickNetwork):
    """Logits are +w in a 5³ cube around positive clicks, −w elsewhere; remembers what it was asked."""

    window_size, logit_stride = 16, 1

    def __init__(self, points: str = "accumulated") -> None:
        super().__init__()
        self.settings = NetworkSettings("compact", 3.0, "asinh_suv", "grid", points)
        self.weight = torch.nn.Parameter(torch.tensor(1.0))
        self.encodings = 0
        self.asked: list[tuple] = []
        self.close_ups = 0

    def decode_close_up(self, *prompts):
        self.close_ups += 1
        return self.decode(*prompts)

    def encode(self, image):
        self.encodings += 1
        return image

    def decode(self, embedding, points=None, point_labels=None, mask_logits=None):
        self.asked.append((None if points is None else points.clone(), point_labels, mask_logits.clone()))
        logits = torch.full_like(embedding, -1.0)
        for b in range(len(embedding) if points is not None else 0):
            for point, label in zip(points[b].long().tolist(), point_labels[b].tolist(), strict=True):
                if label == 1:
                    box = tuple(slice(max(0, p - 2), p + 3) for p in point)
                    logits[(b, 0, *box)] = 1.0
        return logits * self.weight


def sample(batch=2, targets=2):
    image = torch.rand(batch, 1, 16, 16, 16, generator=torch.Generator().manual_seed(1))
    masks = torch.zeros(batch, targets, 16, 16, 16, dtype=torch.bool)
    masks[:, 0, 2:9, 2:9, 2:9] = True
    if targets > 1:
        masks[:, 1, 10:15, 10:15, 10:15] = True
    return image, masks, torch.arange(batch) + 5


def test_one_encoding_serves_every_target_and_click():
    net = Painter()
    rollout = ClickRollout(net, clicks=4).eval()
    logits = rollout(*sample())
    assert net.encodings == 1
    assert logits.shape == (2, 2, 4, 16, 16, 16)
    first_points, first_labels, first_mask = net.asked[0]
    assert first_points.shape == (4, 1, 3)
    assert first_labels.eq(1).all()
    assert first_mask.eq(0).all()  # the first click goes with an all-zero mask prompt
    assert net.asked[3][0].shape == (4, 4, 3)  # clicks accumulate
    torch.testing.assert_close(net.asked[1][2].reshape(2, 2, 16, 16, 16), logits[:, :, 0])


def test_newest_sends_one_click():
    net = Painter("newest")
    ClickRollout(net, clicks=3).eval()(*sample())
    assert [asked[0].shape[1] for asked in net.asked] == [1, 1, 1]


def test_clicks_follow_from_the_seed_whatever_the_batch():
    image, masks, seeds = sample()
    whole = ClickRollout(Painter(), clicks=4).eval()(image, masks, seeds)
    single = ClickRollout(Painter(), clicks=4).eval()(image[1:], masks[1:], seeds[1:])
    assert torch.equal(whole[1:], single)
    other = ClickRollout(Painter(), clicks=4).eval()(image[1:], masks[1:], seeds[1:] + 1)
    assert not torch.equal(single, other)


def test_later_clicks_fall_on_errors():
    net = Painter()
    image, masks, seeds = sample()
    logits = ClickRollout(net, clicks=3).eval()(image, masks, seeds)
    for step in (1, 2):
        points, labels, _ = net.asked[step]
        wrong = (logits[:, :, step - 1] > 0) != masks
        for n in range(4):
            b, t = divmod(n, 2)
            if labels[n, -1] >= 0:
                assert wrong[(b, t, *points[n, -1].long())]
                assert bool(masks[(b, t, *points[n, -1].long())]) == bool(labels[n, -1])


def test_training_returns_only_decodes_that_train():
    rollout = ClickRollout(Painter(), clicks=5, random_count=False, mask_only_share=0.0).train()
    logits = rollout(*sample())
    assert logits.shape[2] == 2  # the first click and the last
    logits.sum().backward()
    assert rollout.network.weight.grad is not None
    everything = ClickRollout(Painter(), clicks=5, random_count=False, gradient_share=1.0, mask_only_share=1.0).train()
    assert everything(*sample()).shape[2] == 6
    assert everything.network.asked[-1][0] is None


@pytest.mark.parametrize("seed", range(4))
def test_a_close_up_begins_with_the_answer_around_it_and_the_clicks_that_it_shows(seed):
    net = Painter()
    net.settings = NetworkSettings("compact", 3.0, "asinh_suv", "grid", finer=(Rung(1.5, 8),))
    image, masks, seeds = sample(targets=1)
    at = torch.full((2, 3), 8.5)  # on the target's corner: what the close-up shows goes from 6.75 to 10.25
    close = torch.zeros(2, 1, 8, 8, 8, dtype=torch.bool)
    close[..., :4, :4, :4] = True
    ClickRollout(net, clicks=1, seed=seed).eval()(image[..., :8, :8, :8], close, seeds, None, Around(image, masks, at))
    *before, (points, labels, prompt) = net.asked
    (clicks, signs, _), whole = before[-1], torch.full_like(image, -1.0)
    assert 1 <= len(before) <= 3
    assert net.close_ups == 1  # the one after those in the window around
    assert prompt.shape == (2, 1, 8, 8, 8)
    for b in range(2):
        for place, sign, here, label in zip(clicks[b], signs[b], points[b], labels[b], strict=False):
            shown = ((place >= 6.75) & (place <= 10.25)).all()
            assert label == (sign if shown else -1)
            if shown:
                assert here.tolist() == pytest.approx(((place - 8.5) * 2 + 3.5).tolist())
            if sign == 1:
                i, j, k = (slice(max(0, p - 2), p + 3) for p in place.long().tolist())
                whole[b, 0, i, j, k] = 1.0
        # the newest click is one that the answer around got wrong
        here = tuple(points[b, -1].long().tolist())
        assert (prompt[b, 0][here] > 0) != bool(close[b, 0][here])
        assert labels[b, -1] == float(close[b, 0][here])
    # every second cell of the close-up's middle lies a quarter of a voxel off a voxel of the window around
    steps = (torch.arange(8) - 3.5) / 2 + 8.5
    i = steps.round().long()
    sure = (steps - i).abs() < 0.26
    near = whole[..., i, :, :][..., i, :][..., i]
    agree = (near > 0) == (prompt > 0)
    assert agree[..., sure, :, :][..., sure, :][..., sure].float().mean() > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_half_the_window_is_wiped(seed):
    wiped = wipe_half(torch.ones(1, 1, 8, 8, 8), torch.Generator().manual_seed(seed))
    assert wiped.sum() == 8**3 / 2


def test_the_papers_clicks_are_an_option():
    image, masks, seeds = sample()
    rollout = ClickRollout(Painter(), clicks=2, click_drawing="error").eval()
    rollout(image, masks, seeds)
    points, labels = rollout.clicks_made
    for b, t in ((b, t) for b in range(masks.shape[0]) for t in range(masks.shape[1])):
        assert masks[b, t][tuple(points[b, t, 0].long())]  # the first lies on the target
    assert (labels[..., 0] == 1).all()
    with pytest.raises(ValueError, match="reader, error, got 'random'"):
        ClickRollout(Painter(), click_drawing="random")


def test_what_a_finer_rung_hands_over_is_the_target_around_the_click_and_nothing_else():
    target = torch.zeros(1, 1, 24, 24, 24, dtype=torch.bool)
    target[..., 4:20, 4:20, 4:20] = True
    logits = handed_over(target, torch.tensor([[8.0, 8, 8]]), 8, 1, torch.Generator().manual_seed(1))
    assert not logits[..., 13:, :, :].any()  # beyond 4 cells of the click nothing is known
    near = logits[..., 4:13, 4:13, 4:13]
    assert (near[target[..., 4:13, 4:13, 4:13]] > 0).float().mean() > 0.7
