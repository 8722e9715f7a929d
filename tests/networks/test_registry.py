"""Networks by name."""

import pytest

from seganypet.networks import DEFAULT_SETTINGS, NetworkSettings, SegAnyPETNetwork, build_network


@pytest.mark.parametrize("name", ["vit_b", "compact"])
def test_builds_with_default_settings(name):
    net = build_network(name)
    assert net.settings == DEFAULT_SETTINGS[name]
    assert net.window_size % net.logit_stride == 0


def test_keeps_given_settings():
    settings = NetworkSettings("vit_b", spacing_mm=2.0, placement="grid")
    net = build_network("vit_b", settings)
    assert isinstance(net, SegAnyPETNetwork)
    assert net.settings is settings


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="network must be one of vit_b, compact, got 'vit_h'"):
        build_network("vit_h")


def test_settings_of_another_network_are_refused():
    with pytest.raises(ValueError, match="settings are those of 'compact', the network is 'vit_b'"):
        build_network("vit_b", DEFAULT_SETTINGS["compact"])
