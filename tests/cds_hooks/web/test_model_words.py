"""The words in which a page speaks of a model's outcome."""

import pytest

from cds_hooks.trusted_models import served_model
from cds_hooks.web.model_words import happened, otherwise


@pytest.mark.parametrize(
    ("model", "words"), [("mortality_5y", ("died", "lived")), ("readmission_30d", ("did", "did not"))]
)
def test_the_outcome_is_named_as_what_it_is(model: str, words: tuple[str, str]) -> None:
    manifest = served_model(model).manifest
    assert (happened(manifest), otherwise(manifest)) == words
