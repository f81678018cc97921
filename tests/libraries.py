"""Libraries that take seconds to import: a quick test that asks for one is skipped."""

import importlib
import warnings
from typing import Any, Final

import pytest

LEFT_OUT: Final[list[str]] = []
"""`make test` puts its reason here (tests/conftest.py)."""


class Library:
    """A module that is imported when a test first asks for one of its names."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        """Return the member of the module; skip the test where the module is left out."""
        if name.startswith("_"):  # pytest looks at what a module of tests imports
            raise AttributeError(name)
        if LEFT_OUT:
            pytest.skip(f"{self._name}: {LEFT_OUT[0]}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(importlib.import_module(self._name), name)


lightgbm: Any = Library("lightgbm")
xgboost: Any = Library("xgboost")
statsmodels: Any = Library("statsmodels.api")
