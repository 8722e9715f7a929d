"""The plain start command with the embedded weights: the mask lies where the reader clicked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import SimpleITK as sitk
from running_server import MODEL, Server, start_server
from small_studies import AFFINE, save_nifti

SHAPE = (60, 50, 80)
CENTRE, RADIUS_MM = (38, 22, 50), 22.0


@pytest.fixture(scope="module")
def sphere() -> np.ndarray:
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    return np.linalg.norm((grid - CENTRE) * 4.0, axis=-1) <= RADIUS_MM


@pytest.fixture(scope="module")
def trained_server(tmp_path_factory, repo, sphere) -> Iterator[Server]:
    weights = repo / "bundle" / "models" / "model.pt"
    if not weights.is_file():
        pytest.skip(f"no embedded weights at {weights}")
    folder = tmp_path_factory.mktemp("trained")
    studies = folder / "studies"
    studies.mkdir()
    noise = np.random.default_rng(0).normal(0, 0.05, SHAPE)
    save_nifti((np.where(sphere, 6.0, 0.8) + noise).clip(0).astype(np.float32), studies / "sphere.nii.gz")
    yield from start_server(folder, studies)


def test_mask_is_at_the_click(trained_server, sphere):
    file, params = trained_server.client.infer(
        MODEL,
        "sphere",
        {"label": "lesion", "foreground": [list(CENTRE)], "background": [], "result_extension": ".nrrd"},
    )
    mask = sitk.GetArrayFromImage(sitk.ReadImage(file)).transpose(2, 1, 0) > 0
    assert mask[CENTRE]
    assert 2 * (mask & sphere).sum() / (mask.sum() + sphere.sum()) > 0.5
    assert params["volume_ml"] == pytest.approx(mask.sum() * abs(np.linalg.det(AFFINE[:3, :3])) / 1000)
    assert 5 < params["suv_max"] < 7
