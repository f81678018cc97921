"""What an order means: code first, words second; strengths, mixtures, references and routes; nothing is guessed."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fhir.mapping.medications.identity import MedicationIdentity, identify, identify_concept, identify_medication
from fhir.record.datatypes import CodeableConcept, Coding
from fhir.record.resources import Bundle, Medication, MedicationRequest, MedicationStatement, decoder
from fhir.terminology.medication_names import no_drug_kind, read_order_name
from fhir.terminology.medication_strength import Strength
from tests.conftest import examples
from tests.each import for_rows
from tests.fhir.builders import RXNORM, coded, order, record_of, request, statement
from tests.medication_strategies import medication_requests, medications

# No time limit: the first example loads the tables, and the machine may be busy.
CALM = settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])


def _identified(resource: dict[str, Any], *others: dict[str, Any]) -> MedicationIdentity:
    record = record_of(resource, *others)
    orders: list[MedicationRequest | MedicationStatement] = [
        *record.facts(MedicationRequest),
        *record.facts(MedicationStatement),
    ]
    return identify(orders[0], record.medications)


def _referring(reference: dict[str, Any], **more: Any) -> dict[str, Any]:
    draft = request("x") | {"medicationReference": reference} | more
    del draft["medicationCodeableConcept"]
    return draft


@for_rows("medication")
def test_metformin_is_recognised_in_every_dress(medication: dict[str, Any]) -> None:
    identity = _identified(request(medication))
    assert [ingredient.rxcui for ingredient in identity.ingredients] == ["6809"]
    assert "biguanide" in identity.classes
    assert identity.recognised
    assert identity.systemic is True


def test_a_medication_in_a_resource_of_its_own_is_found_in_the_record() -> None:
    metformin = {"resourceType": "Medication", "id": "med1", "code": coded("861007")}
    assert (
        _identified(_referring({"reference": "https://ehr.example/fhir/Medication/med1"}), metformin).name
        == "metformin"
    )
    said = statement("x") | {"medicationReference": {"reference": "Medication/med1"}}
    del said["medicationCodeableConcept"]
    assert _identified(said, metformin).name == "metformin"
    itself = {"resourceType": "Medication", "id": "a", "ingredient": [{"itemReference": {"reference": "Medication/a"}}]}
    assert not _identified(_referring({"reference": "Medication/a"}), itself).recognised


@CALM
@given(medication_requests())
def test_any_order_can_be_identified(resource: dict[str, Any]) -> None:
    decoded = decoder.decode(json.dumps(resource))
    if isinstance(decoded, MedicationRequest):
        assert isinstance(identify(decoded).recognised, bool)


@CALM
@given(medications())
def test_any_medication_can_be_identified(resource: dict[str, Any]) -> None:
    decoded = decoder.decode(json.dumps(resource))
    if isinstance(decoded, Medication):
        assert identify_medication(decoded).recognised in (True, False)


@for_rows(("drug", "route", "systemic"))
def test_the_route_and_the_drug_decide_where_it_acts(drug: str, route: dict[str, Any], systemic: bool) -> None:
    assert identify(order(drug, {"route": route})).systemic is systemic


@pytest.mark.parametrize("form", ["40 mg", "40 mg tablet", "capsule", "40 mg/mL", ""])
@pytest.mark.parametrize(
    "words",
    [
        *("1 BID for acne on face", "8 daily for plaques on hands", "swelling to both knees", "1 daily, apply to rash"),
        *("200 units to thigh", "watch for bruises on arms", "apply 5 g BID", "call for any rash on the skin"),
        *("1 daily for vaginal dryness", "1 BID for vaginal infection", "prn pain after vaginal delivery"),
    ],
)
def test_a_place_of_the_body_in_the_words_is_no_route_of_what_is_taken(words: str, form: str) -> None:
    assert identify(order(f"isotretinoin {form}", {"text": words})).systemic is True
    assert identify(order("tretinoin 0.05 %", {"text": "apply 1 g to the face nightly"})).systemic is False


# How many medications of real charts are recognized, and whether their words and codes agree.
Order = MedicationRequest | MedicationStatement


def _identified_orders(data_folder: Path) -> Iterator[tuple[str, Order, MedicationIdentity]]:
    """Every order and statement of every Bundle with its source, and the medication that it means."""
    for path in sorted((data_folder / "fhir").glob("*/*.json*")):
        content = path.read_bytes()
        bundle = decoder.decode(gzip.decompress(content) if path.suffix == ".gz" else content)
        resources = [entry.resource for entry in bundle.entry] if isinstance(bundle, Bundle) else []
        medications = {f"Medication/{found.id}": found for found in resources if isinstance(found, Medication)}
        for found in resources:
            if isinstance(found, Order):
                yield f"{path.parent.name} {type(found).__name__}", found, identify(found, medications)


@pytest.mark.slow
@pytest.mark.outside_data
def test_of_a_hundred_medications_at_most_two_are_not_recognised(data_folder: Path) -> None:
    drugs: Counter[str] = Counter()
    recognised: Counter[str] = Counter()
    for source, _, identity in _identified_orders(data_folder):
        drugs[source] += identity.recognised or no_drug_kind(identity.words) is None
        recognised[source] += identity.recognised
    shares = {source: recognised[source] / number for source, number in drugs.items()}
    print(shares)
    sources = ("synthea MedicationRequest", "mimic-iv-demo MedicationRequest", "mimic-iv-demo MedicationStatement")
    assert all(shares[source] >= 0.98 for source in sources)


@pytest.mark.slow
@pytest.mark.outside_data
def test_words_and_rxnorm_code_of_an_order_mean_the_same_drug(data_folder: Path) -> None:
    compared = 0
    for _, identified, identity in _identified_orders(data_folder):
        concept = identified.medicationCodeableConcept
        if concept is None or identity.rxnorm is None or not concept.words:
            continue
        by_words = read_order_name(concept.words)
        assert set(by_words.ingredients) == set(identity.ingredients), concept.words
        assert identity.doubt is None
        compared += 1
    assert compared > 1_000


# Codes that differ.


def _coded(*codes: str, text: str = "") -> MedicationIdentity:
    return identify_concept(CodeableConcept(tuple(Coding(RXNORM, code) for code in codes), text))


def test_the_words_complete_a_code_and_do_not_replace_what_it_says() -> None:
    assert _coded("11289", text="warfarin 5 mg tab").strengths == (Strength(5.0, "mg"),)
    assert _coded("861007", text="metformin 500 mg").strengths == (Strength(500.0, "mg"),)
    assert _coded("11289", text="warfarin 5 mg tab").dose_form == "tab"
    assert _coded("11289", text="warfarin eye drops").systemic is False
    # Of words that name one more drug only the place where it acts is taken.
    more = _coded("11289", text="warfarin 5 mg and metformin 500 mg eye drops")
    assert (more.name, more.strengths, more.systemic) == ("warfarin", (None,), False)
    assert _coded("11289", text="0.4 mL warfarin syringe").millilitres == 0.4
    assert _coded("861007", text="metformin 500 mg capsule").dose_form == "Oral Tablet"
    assert _coded("854235", text="enoxaparin 60 mg/0.6 mL syringe").millilitres == 0.4
