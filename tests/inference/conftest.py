import pytest
from fake_networks import ComponentNet


@pytest.fixture
def component_net() -> ComponentNet:
    return ComponentNet()
