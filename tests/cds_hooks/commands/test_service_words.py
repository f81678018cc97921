"""The words of a service that gate G13 of a model reads: which service shows the model, its texts, its cards."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cds_hooks.commands.model import gates
from cds_hooks.services.planning_conversation import SUMMARY
from cds_hooks.settings import settings
from fhir.mapping.features.catalog import features_named
from models_onnx.artifact.keys import maintainers
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.gates.subject import read_subject
from tests.conftest import ROOT

PLANNING = "cds_hooks/services/planning_conversation.py"


def test_every_text_of_a_service_has_its_line_and_documentation_is_none() -> None:
    sentences = gates.service_sentences("mortality_5y")
    assert sentences is not None
    lines = (ROOT / PLANNING).read_text(encoding="utf-8").splitlines()
    of_summary = next(number for number, line in enumerate(lines, 1) if line.startswith("SUMMARY = "))
    assert (f"{PLANNING}, line {of_summary}", SUMMARY) in sentences
    texts = [text for _, text in sentences]
    assert "Why: Death within 5 years. " in texts
    assert [text for text in texts if " " not in text.strip()] == []
    assert [text for text in texts if "which gate G13 of the model reads" in text] == []
    assert gates.service_sentences("no_such") is None


def test_cards_are_composed_of_rows_in_the_words_of_the_service() -> None:
    settings.cache_clear()
    subject = read_subject(ARTIFACTS / "mortality_5y", maintainers())
    compose = gates.composer(subject, None)
    assert compose is not None
    row = np.array([item.reference_value for item in subject.features])
    row[:3] = 75.0, 0.0, np.nan  # age, sex, albumin
    (card, same) = compose(np.array([row, row]))
    assert card == same
    (albumin,) = features_named(("albumin_g_dl",))
    assert (card.indicator, card.options, card.links, card.missing) == (
        "info", ("Order a planning conversation",), ("https://cds.example/explain/1",), (albumin.words,)
    )  # fmt: skip
    assert card.summary.startswith("Planning ahead: this estimate is higher than for ")
    assert card.detail.startswith("Why: Death within 5 years. ")
    assert card.base + sum(card.contributions) == pytest.approx(card.margin, abs=1e-4)


def test_a_model_that_no_service_shows_and_an_imported_file_have_no_card() -> None:
    shown: Any = SimpleNamespace(id="no_such", manifest=object(), features=())
    assert gates.composer(shown, None) is None
    imported: Any = SimpleNamespace(id="mortality_5y", manifest=None, features=())
    assert gates.composer(imported, None) is None
