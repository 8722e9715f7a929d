"""What a command line may say."""

from __future__ import annotations

import pytest
import torch
from lib.app_settings import DEFAULT_LABELS, AppSettings


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.pt").write_bytes(b"")
    return tmp_path


def test_defaults(bundle):
    settings = AppSettings.from_conf({}, bundle)
    assert settings.weights == bundle / "models" / "model.pt"
    assert settings.device.type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert settings.labels == DEFAULT_LABELS
    assert settings.model == "seganypet"
    assert settings.final_quality == "low"
    assert settings.send_sr is False


def test_everything_said(bundle, tmp_path):
    other = tmp_path / "other.pth"
    other.write_bytes(b"")
    conf = {"weights": str(other), "device": "cpu", "labels": "liver, spleen,,liver,lesion ", "encode_ahead_s": "0"}
    conf |= {"final_quality": "high", "send_sr": "True"}
    conf["origins"] = "https://pet.example.org/, http://localhost:3000"
    settings = AppSettings.from_conf(conf, bundle)
    assert settings.weights == other
    assert settings.device == torch.device("cpu")
    assert settings.labels == ("liver", "spleen", "lesion")
    assert settings.encode_ahead_s == 0
    assert settings.final_quality == "high"
    assert settings.send_sr is True
    assert settings.origins == ("https://pet.example.org", "http://localhost:3000")


@pytest.mark.parametrize(
    ("conf", "error", "named"),
    [
        ({"weights": "/nowhere/model.pt"}, FileNotFoundError, "/nowhere/model.pt"),
        ({"device": "toaster"}, ValueError, "'toaster'"),
        ({"device": "meta"}, ValueError, "'meta'"),
        ({"device": "cuda:99"}, ValueError, "cuda:99"),
        ({"embedding_mb": "many"}, ValueError, "embedding_mb.*'many'"),
        ({"study_mb": "0"}, ValueError, "study_mb.*'0'"),
        ({"encode_ahead_s": "nan"}, ValueError, "encode_ahead_s"),
        ({"origins": "https://pet.example.org, *"}, ValueError, "origins takes .* got '\\*'"),
        ({"send_sr": "yes"}, ValueError, "send_sr must be true or false, got 'yes'"),
        ({"final_quality": "expert"}, ValueError, "final_quality must be high or low, got 'expert'"),
    ],
)
def test_what_cannot_be_is_refused_by_name(bundle, conf, error, named):
    with pytest.raises(error, match=named):
        AppSettings.from_conf(conf, bundle)


def test_unknown_keys_are_named_in_the_log(bundle, caplog):
    AppSettings.from_conf({"wieghts": "x"}, bundle)
    assert "wieghts" in caplog.text
