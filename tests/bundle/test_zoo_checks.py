"""What the Model Zoo checks of a bundle, and that the bundle stands alone."""

import json
import re

import pytest
from monai.bundle import verify_net_in_out

REQUIRED = (
    "schema",
    "version",
    "changelog",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
)


@pytest.fixture
def metadata(repo) -> dict:
    return json.loads((repo / "bundle" / "configs" / "metadata.json").read_text())


def test_metadata_is_complete(metadata):
    assert [field for field in REQUIRED if not metadata.get(field)] == []
    assert metadata["version"] in metadata["changelog"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in metadata["changelog"])
    formats = metadata["network_data_format"]
    assert next(iter(formats["inputs"])) == "image"
    assert formats["outputs"]["pred"]["channel_def"]["0"] == "background"


def test_pinned_versions_are_those_of_the_requirements(metadata, repo):
    pins = dict(re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", (repo / "requirements.txt").read_text(), re.MULTILINE))
    versions = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
        **metadata["required_packages_version"],
    }
    assert {name: pins.get(name) for name in versions} == versions


def test_the_directory_is_a_bundles(repo):
    bundle = repo / "bundle"
    for path in ("configs/metadata.json", "configs/train.json", "configs/inference.json", "docs/data_license.txt"):
        assert (bundle / path).is_file(), path
    assert not (bundle / "scripts").exists()
    assert not (bundle / "__init__.py").exists()
    texts = [path.read_text() for path in (bundle / "configs").glob("*.json")]
    assert not any("$import seganypet" in text or "$from seganypet" in text for text in texts)


def test_net_in_and_out(repo, weights, monkeypatch):
    monkeypatch.chdir(repo)
    verify_net_in_out(
        net_id="network_def",
        meta_file="bundle/configs/metadata.json",
        config_file="bundle/configs/inference.json",
        weights=str(weights),
    )
