"""Every array of the golden file: what the released code answered with the same weights and inputs."""

import hashlib

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

TOLERANCE = 1e-4
CASES = {  # points, mask prompt
    "i_one_click_zero_mask": (1, "zero"),
    "ii_three_clicks_mask": (3, "prompt"),
    "iii_one_click_no_mask": (1, None),
    "iv_three_clicks_no_mask": (3, None),
    "v_mask_only": (0, "prompt"),
}


def stats(x: Tensor) -> Tensor:
    """Mean, population standard deviation, minimum, maximum and sum of absolute values."""
    x = x.double().flatten()
    return torch.stack([x.mean(), x.std(correction=0), x.min(), x.max(), x.abs().sum()])


def agree(actual: Tensor, expected: np.ndarray) -> None:
    assert list(actual.shape) == list(expected.shape)
    torch.testing.assert_close(actual.double(), torch.from_numpy(expected).double(), atol=TOLERANCE, rtol=0)


def agree_stats(actual: Tensor, expected: np.ndarray) -> None:
    """Stats of a whole tensor; the last is a sum over its elements, and so is its tolerance."""
    agree(stats(actual)[:4], expected[:4])
    assert abs(float(stats(actual)[4] - expected[4])) < TOLERANCE * actual.numel()


@torch.no_grad()
def test_image_encoder(golden):
    image = golden.image
    agree(image[0, 0, :8, :8, :8], golden.arrays["input_image_corner8"])
    agree_stats(image, golden.arrays["input_image_stats"])
    encoder = golden.net.image_encoder
    tokens = encoder.patch_embed(image)
    agree(tokens[0, :4, :4, 0, :16], golden.arrays["patch_embed_slice"])
    agree_stats(tokens, golden.arrays["patch_embed_stats"])
    tokens = tokens + encoder.pos_embed
    for index, block in enumerate(encoder.blocks):
        tokens = block(tokens)
        agree(tokens[0, :2, :2, :4, :16], golden.arrays[f"block{index}_slice"])
        agree_stats(tokens, golden.arrays[f"block{index}_stats"])
    embedding = golden.net.encode(image)
    agree(embedding, golden.arrays["image_embedding"])
    agree_stats(embedding, golden.arrays["image_embedding_stats"])


def test_inputs_are_those_of_the_golden_file(golden, golden_folder):
    digest = hashlib.sha256(golden.image.numpy().tobytes()).hexdigest()
    assert digest in (golden_folder / "golden_small.json").read_text()
    agree(golden.mask_prompt, golden.arrays["mask_prompt"])


@torch.no_grad()
def test_dense_position_encoding(golden):
    agree(golden.net.prompt_encoder.dense_pe(), golden.arrays["dense_pe"])
    agree_stats(golden.net.prompt_encoder.dense_pe(), golden.arrays["dense_pe_stats"])


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_decoder(golden, case):
    expected = {name.split("/")[1]: array for name, array in golden.arrays.items() if name.startswith(case + "/")}
    count, mask_kind = CASES[case]
    points, labels = (golden.points[:, :count], golden.labels[:, :count]) if count else (None, None)
    mask = {"zero": torch.zeros_like(golden.mask_prompt), "prompt": golden.mask_prompt, None: None}[mask_kind]
    if count:
        agree(points, expected["points"])
        agree(labels, expected["labels"])

    prompt_encoder = golden.net.prompt_encoder
    agree(prompt_encoder.encode_points(points, labels, 1), expected["sparse"])
    dense = prompt_encoder.encode_mask(mask, 1)
    agree(dense[0, :16, :2, :2, :4], expected["dense_slice"])
    agree_stats(dense, expected["dense_stats"])

    embedding = golden.net.encode(golden.image)
    masks, iou = golden.net.decode_all(embedding, points, labels, mask)
    agree(masks[:, :1], expected["low_res_mask0"])
    agree(masks[0, 1:, ::4, ::4, ::4], expected["low_res_mask123_slice"])
    agree(iou, expected["iou_all"])
    for index in range(4):
        agree_stats(masks[0, index], expected["low_res_all_stats"][index])

    low_res = golden.net.decode(embedding, points, labels, mask)
    agree(low_res, expected["low_res_mask0"])
    full_res = F.interpolate(low_res, size=golden.image.shape[2:], mode="trilinear", align_corners=False)
    agree(full_res[0, 0, ::8, ::8, ::8], expected["full_res_slice"])
    agree_stats(full_res, expected["full_res_stats"])
    expected_mask = np.unpackbits(expected["mask_packbits"]).astype(bool)
    assert expected_mask.sum() == expected["mask_voxels"]
    flipped = (full_res.flatten() > 0).numpy() != expected_mask
    assert (full_res.flatten().abs().numpy()[flipped] < TOLERANCE).all()
    if mask_kind is not None:
        prompt = None if mask_kind == "zero" else golden.mask_prompt  # `forward` starts from a zero prompt by itself
        torch.testing.assert_close(golden.net(golden.image, points, labels, prompt), full_res)


@pytest.mark.parametrize("accumulate", [True, False])
@torch.no_grad()
def test_click_loop(golden, accumulate):
    embedding = golden.net.encode(golden.image)
    low_res = torch.zeros_like(golden.mask_prompt)
    for click in range(3):
        seen = slice(0 if accumulate else click, click + 1)
        low_res = golden.net.decode(embedding, golden.points[:, seen], golden.labels[:, seen], low_res)
        if accumulate and click < 2:
            agree(low_res[..., ::2, ::2, ::2], golden.arrays[f"loop_accumulate/click{click + 1}_low_res_mask0"])
    agree(low_res, golden.arrays[f"loop_{'accumulate' if accumulate else 'latest_only'}/click3_low_res_mask0"])


def test_every_array_is_compared(golden):
    parts = {"points", "labels", "sparse", "dense_slice", "dense_stats", "low_res_mask0", "low_res_mask123_slice"}
    parts |= {"iou_all", "low_res_all_stats", "full_res_slice", "full_res_stats", "mask_voxels", "mask_packbits"}
    compared = {f"{case}/{part}" for case in CASES for part in parts}
    compared |= {f"loop_accumulate/click{click}_low_res_mask0" for click in (1, 2, 3)}
    compared |= {"loop_latest_only/click3_low_res_mask0", "input_image_corner8", "patch_embed_slice"}
    compared |= {"image_embedding", "dense_pe", "mask_prompt"}
    compared |= {f"{name}_stats" for name in ("input_image", "patch_embed", "image_embedding", "dense_pe")}
    compared |= {f"block{index}_{kind}" for index in range(4) for kind in ("slice", "stats")}
    assert set(golden.arrays) <= compared
