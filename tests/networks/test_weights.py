"""Weights from and to files, and what is refused."""

import argparse
import os
import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from seganypet.networks import NetworkSettings, SegAnyPETNetwork, load_network, load_weights, save_network, weights


@pytest.fixture
def other_net(tiny_constructor) -> SegAnyPETNetwork:
    """The same network with other weights, to load into."""
    torch.manual_seed(1)
    return SegAnyPETNetwork.from_constructor(tiny_constructor)


def released(state: dict[str, torch.Tensor]) -> dict[str, object]:
    """A file's content as the released training code writes it."""
    parameter = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([parameter])
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [120, 180])
    return {
        "epoch": 3,
        "model_state_dict": state,
        "optimizer_state_dict": optimizer.state_dict(),
        "lr_scheduler_state_dict": scheduler.state_dict(),
        "losses": [0.5, np.float64(0.4)],
        "dices": [0.25, np.float32(0.5)],
        "best_loss": 0.5,
        "best_dice": 0.25,
        "args": argparse.Namespace(task_name="union_train", multi_gpu=True, gpu_ids=[0, 1], work_dir="work_dir"),
        "used_datas": ["a", "b"],
    }


def same(net: SegAnyPETNetwork, other: SegAnyPETNetwork) -> bool:
    state = other.state_dict()
    return all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    "content_of",
    [
        released,
        lambda state: state,
        lambda state: {"state_dict": state},
        lambda state: released(OrderedDict((f"module.{name}", tensor) for name, tensor in state.items())),
    ],
    ids=["released", "bare", "state_dict", "module prefix"],
)
def test_reads_checkpoint(tmp_path, tiny_net, other_net, content_of):
    path = tmp_path / "weights.pth"
    torch.save(content_of(tiny_net.state_dict()), path)
    settings = other_net.settings
    load_weights(other_net, path)
    assert same(other_net, tiny_net)
    assert other_net.settings is settings


def test_reads_checkpoint_of_the_old_file_format(tmp_path, tiny_net, other_net):
    path = tmp_path / "weights.pth"
    torch.save(released(tiny_net.state_dict()), path, _use_new_zipfile_serialization=False)
    load_weights(other_net, path)
    assert same(other_net, tiny_net)


@pytest.mark.parametrize("half", [True, False])
def test_saved_network_comes_back_with_its_settings(tmp_path, tiny_net, other_net, half):
    tiny_net.settings = NetworkSettings("vit_b", spacing_mm=2.5)
    path = tmp_path / "new" / "model.pt"
    save_network(tiny_net, path, half=half)
    load_weights(other_net, path)
    assert other_net.settings == tiny_net.settings
    assert {tensor.dtype for tensor in other_net.state_dict().values()} == {torch.float32}
    for (name, loaded), saved in zip(other_net.state_dict().items(), tiny_net.state_dict().values(), strict=True):
        expected = saved.half().float() if half and "gaussian" not in name else saved
        assert torch.equal(loaded, expected), name
    assert [file.name for file in path.parent.iterdir()] == ["model.pt"]


def test_half_precision_halves_the_file(tmp_path, tiny_net):
    save_network(tiny_net, tmp_path / "half.pt")
    save_network(tiny_net, tmp_path / "full.pt", half=False)
    assert (tmp_path / "half.pt").stat().st_size < 0.7 * (tmp_path / "full.pt").stat().st_size


def test_load_network_builds_what_the_settings_name(tmp_path, tiny_net, other_net, monkeypatch):
    """With the tiny network in place of the full one, which takes seconds to write and read."""
    built = []
    monkeypatch.setattr(weights, "build_network", lambda name, settings: built.append((name, settings)) or other_net)
    tiny_net.settings = NetworkSettings("vit_b", spacing_mm=2.5)
    save_network(tiny_net, tmp_path / "model.pt", half=False)
    net = load_network(tmp_path / "model.pt")
    assert same(net, tiny_net)
    assert built == [("vit_b", tiny_net.settings)]
    assert not net.training
    torch.save(released(tiny_net.state_dict()), tmp_path / "released.pth")
    load_network(tmp_path / "released.pth")
    assert built[1] == ("vit_b", NetworkSettings("vit_b", 1.5, "zscore", "click", "accumulated"))


def test_names_and_shapes_that_do_not_fit_are_named(tmp_path, tiny_net, other_net):
    state = tiny_net.state_dict()
    before = {name: tensor.clone() for name, tensor in other_net.state_dict().items()}
    del state["mask_decoder.iou_token.weight"]
    state["image_encoder.head.weight"] = torch.zeros(1)
    state["image_encoder.pos_embed"] = torch.zeros(1, 8, 8, 8, 768)
    state["mask_decoder.mask_tokens.weight"] = state["mask_decoder.mask_tokens.weight"].int()
    path = tmp_path / "weights.pth"
    torch.save({"model_state_dict": state}, path)
    with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
        load_weights(other_net, path)
    message = str(caught.value)
    assert "1 missing: mask_decoder.iou_token.weight" in message
    assert "1 unexpected: image_encoder.head.weight" in message
    assert "1 of another shape: image_encoder.pos_embed [1, 8, 8, 8, 768] instead of [1, 3, 3, 3, 24]" in message
    assert "1 of another kind: mask_decoder.mask_tokens.weight torch.int32 instead of torch.float32" in message
    assert all(torch.equal(tensor, before[name]) for name, tensor in other_net.state_dict().items())


def test_many_missing_names_are_counted(tmp_path, tiny_net, other_net):
    torch.save({"mask_decoder.iou_token.weight": torch.zeros(1, 48)}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=rf"{len(tiny_net.state_dict()) - 1} missing: .* and \d+ more"):
        load_weights(other_net, tmp_path / "weights.pth")


def test_weights_of_another_architecture_are_refused(tmp_path, other_net):
    torch.save({"model": {"a": torch.zeros(1)}, "settings": {"architecture": "compact"}}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="holds weights of 'compact', the network is 'vit_b'"):
        load_weights(other_net, tmp_path / "model.pt")


class Payload:
    """Unpickling it makes a folder, by way of a function that torch has not allowed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("kind", ["zip", "old format", "bare pickle", "inside the namespace"])
def test_malicious_pickle_is_refused_and_does_not_run(tmp_path, tiny_net, other_net, kind):
    path, marker = tmp_path / "weights.pth", tmp_path / "payload_ran"
    content = released(tiny_net.state_dict())
    if kind == "inside the namespace":
        content["args"].work_dir = Payload(marker)
    else:
        content["used_datas"] = Payload(marker)
    if kind == "bare pickle":
        path.write_bytes(pickle.dumps(Payload(marker)))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind != "old format")
    with pytest.raises(ValueError, match="no checkpoint that can be read safely"):
        load_weights(other_net, path)
    assert not marker.exists()
    if kind == "bare pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert marker.exists(), "the payload would not have run in an unsafe reader either: the test proves nothing"


def test_refusal_names_what_it_refused_and_gives_no_unsafe_advice(tmp_path, tiny_net, other_net):
    torch.save(released(tiny_net.state_dict()) | {"used_datas": Payload(tmp_path / "x")}, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"posix\.mkdir") as caught:
        load_weights(other_net, tmp_path / "weights.pth")
    assert "weights_only" not in str(caught.value)


def test_allow_list_is_left_as_it_was(tmp_path, tiny_net, other_net):
    before = set(torch.serialization.get_safe_globals())
    torch.save(released(tiny_net.state_dict()), tmp_path / "weights.pth")
    load_weights(other_net, tmp_path / "weights.pth")
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.99])
def test_truncated_file_is_refused(tmp_path, tiny_net, other_net, keep):
    path = tmp_path / "weights.pth"
    torch.save(released(tiny_net.state_dict()), path)
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    with pytest.raises(ValueError, match="no checkpoint that can be read safely"):
        load_weights(other_net, path)


@pytest.mark.parametrize("content", [b"not a checkpoint at all", b"\x80\x02}q\x00.", b"\x1f\x8b" + bytes(50)])
def test_other_files_are_refused(tmp_path, other_net, content):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(ValueError, match="no checkpoint that can be read safely"):
        load_weights(other_net, tmp_path / "weights.pth")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {}, {"epoch": 3}, {"model": {}}, {"model": {1: 2}}])
def test_files_without_weights_are_refused(tmp_path, other_net, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="not a checkpoint"):
        load_weights(other_net, tmp_path / "weights.pth")


@pytest.mark.parametrize("settings", [{"architecture": "vit_b", "spacing_mm": -1}, {"spacing_mm": 2.0}, [1], "vit_b"])
def test_unreadable_settings_are_refused(tmp_path, tiny_net, other_net, settings):
    torch.save({"model": tiny_net.state_dict(), "settings": settings}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="settings that cannot be read"):
        load_weights(other_net, tmp_path / "model.pt")


def test_missing_file_and_folder(tmp_path, other_net):
    for path in (tmp_path / "nothing.pt", tmp_path):
        with pytest.raises(FileNotFoundError, match=f"no file of weights at {re.escape(str(path))}"):
            load_weights(other_net, path)


@pytest.mark.parametrize(("value", "half"), [(1e6, True), (float("nan"), False)])
def test_weights_that_are_not_finite_are_not_written(tmp_path, tiny_net, value, half):
    with torch.no_grad():
        tiny_net.mask_decoder.iou_token.weight[0, 0] = value
    with pytest.raises(ValueError, match=r"mask_decoder\.iou_token\.weight is not finite"):
        save_network(tiny_net, tmp_path / "model.pt", half=half)
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_file(tmp_path, tiny_net, monkeypatch):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")

    def full_disk(content, file):
        file.write(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        save_network(tiny_net, path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_another_module_is_refused(tmp_path):
    with pytest.raises(TypeError, match="Linear is no ClickNetwork"):
        save_network(torch.nn.Linear(1, 1), tmp_path / "model.pt")
    with pytest.raises(TypeError, match="Linear is no ClickNetwork"):
        load_weights(torch.nn.Linear(1, 1), tmp_path / "model.pt")
