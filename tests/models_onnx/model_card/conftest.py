"""Fixtures of the model card."""

from typing import Any

import pytest

from tests.models_onnx.workshop import good_card


@pytest.fixture
def card() -> dict[str, Any]:
    """The committed card of mortality_5y, to be changed."""
    return good_card()
