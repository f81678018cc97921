"""What is remembered of a medication is bounded in bytes, whatever a client sends and whichever rules ask."""

import gc
import tracemalloc

import msgspec
import pytest

from cards.rules.engine.rule_book import rule_book
from cards.rules.language.trigger import Selector
from fhir.mapping.medications.identity import MedicationIdentity, identify
from fhir.record.resources import MedicationRequest
from fhir.terminology.caching import CACHES

_MOST_BYTES_EACH = 16 * 1024
_MEDICATIONS, _ROUTES = 40, 12


def _identity(drug: str, route: str) -> MedicationIdentity:
    order = {
        "resourceType": "MedicationRequest",
        "medicationCodeableConcept": {"text": drug},
        "dosageInstruction": [{"text": "1 tablet", "route": {"text": route}}],
    }
    return identify(msgspec.convert(order, MedicationRequest))


def _selectors() -> list[Selector]:
    return [one for rule in rule_book().rules for one in rule.trigger.selectors()]


def _ask_all(name: str, selectors: list[Selector]) -> None:
    drug = f"warfarin 5 MG Oral Tablet {name}".ljust(200, "x")
    for number in range(_ROUTES):
        identity = _identity(drug, f"oral, way {number}".ljust(250, "y"))
        for selector in selectors:
            selector.matches(identity)


@pytest.mark.slow
def test_a_medication_with_every_route_that_is_kept_and_every_selector_asked_takes_a_few_kilobytes() -> None:
    selectors, kept = _selectors(), CACHES["medications"]
    _ask_all("before", selectors)  # what is read once
    kept.clear()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(_MEDICATIONS):
            _ask_all(f"number {number}", selectors)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(kept) == _MEDICATIONS
    assert taken <= _MEDICATIONS * _MOST_BYTES_EACH
    kept.clear()


def test_a_route_of_many_words_is_read_and_not_kept() -> None:
    drug = "warfarin 5 MG Oral Tablet with a route of many words"
    assert _identity(drug, "topical " + "z" * 1000).systemic is False
    assert _identity(drug, "oral").systemic is True
    [known] = [one for key, one in CACHES["medications"].items() if key[0] == drug]
    assert len(known.by_route) == 1
