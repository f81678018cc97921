"""What an order means: code first, words second, references resolved, nothing guessed and nothing skipped."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fhir.mapping.medications.identity import MedicationIdentity, identify, identify_medication
from fhir.record.resources import Bundle, Medication, MedicationRequest, MedicationStatement, decoder
from fhir.terminology.medication_names import no_drug_kind, read_order_name
from tests.conftest import examples
from tests.fhir.builders import RXNORM, coded, identity_of, lean, order, record_of, request, statement
from tests.medication_strategies import medication_requests, medications

# No time limit: the first example loads the tables, and the machine may be busy.
CALM = settings(deadline=None, max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow])

MIMIC = "http://mimic.mit.edu/fhir/mimic/CodeSystem/mimic-medication"


def _identified(resource: dict[str, Any], *others: dict[str, Any]) -> MedicationIdentity:
    record = record_of(resource, *others)
    orders: list[MedicationRequest | MedicationStatement] = [*record.medication_requests, *record.medication_statements]
    return identify(orders[0], record.medications)


def _referring(reference: dict[str, Any], **more: Any) -> dict[str, Any]:
    draft = request("x") | {"medicationReference": reference} | more
    del draft["medicationCodeableConcept"]
    return draft


@pytest.mark.parametrize(
    "medication",
    [
        coded("861007"),
        coded("861007", "metformin hydrochloride 500 MG Oral Tablet"),
        coded("6809"),
        coded("860975", "nonsense"),
        coded("235743"),
        {"text": "metFORMIN 500 mg tab"},
        {"coding": [{"display": "Metformin hydrochloride 500 MG"}]},
        {"coding": [{"system": "urn:local", "code": "MET500", "display": "Metformin 500mg Tab"}]},
        {"coding": [{"system": "urn:local", "code": "1"}, {"system": RXNORM, "code": "6809"}]},
        {"coding": [{"system": f"{MIMIC}-name", "code": "MetFORMIN (Glucophage)"}]},
        {"coding": [{"system": "http://hl7.org/fhir/sid/ndc", "code": "00904584961"}], "text": "Metformin"},
    ],
)
def test_metformin_is_recognised_in_every_dress(medication: dict[str, Any]) -> None:
    identity = _identified(request(medication))
    assert [ingredient.rxcui for ingredient in identity.ingredients] == ["6809"]
    assert "biguanide" in identity.classes
    assert identity.recognised
    assert identity.systemic is True


def test_what_nothing_matches_is_named_and_not_skipped() -> None:
    identity = _identified(request("Herbal drops no. 7"))
    assert (identity.recognised, identity.words, identity.classes) == (False, "Herbal drops no. 7", frozenset())
    assert identity.name == "Herbal drops no. 7"
    assert identity.systemic is None


def test_an_order_without_a_medication_is_not_recognised() -> None:
    assert not identify(MedicationRequest()).recognised
    assert not identify(MedicationStatement()).recognised


def test_a_bare_code_is_shown_by_its_name() -> None:
    assert identity_of(code="861007").words == "metformin hydrochloride 500 MG Oral Tablet"
    assert identity_of(code="861004").words == "metformin hydrochloride 1000 MG Oral Tablet"
    assert identity_of(code="861004").rxnorm == "861004"


def test_a_combination_is_all_its_ingredients_with_their_strengths() -> None:
    identity = identity_of(code="1049221")
    strengths = [one.milligrams if one else None for one in identity.strengths]
    assert list(zip(identity.rxcuis, strengths, strict=True)) == [("161", 325.0), ("7804", 5.0)]
    assert identity.has("7804")
    assert not identity.has("6809")


def test_a_component_code_without_a_form_has_its_strength() -> None:
    strength = identity_of("Simvistatin 10 MG", "316672").strengths[0]
    assert strength is not None
    assert strength.milligrams == 10.0


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


class TestMedicationResource:
    """Code, identifiers, form and ingredients of a Medication."""

    def _of(self, **elements: Any) -> MedicationIdentity:
        medication: Medication = lean({"resourceType": "Medication", "id": "m"} | elements)
        return identify_medication(medication)

    def test_the_name_can_stand_among_the_identifiers(self) -> None:
        name = {"system": f"{MIMIC}-name", "value": "Docusate Sodium (Liquid)"}
        local = {"coding": [{"system": f"{MIMIC}-formulary-drug-cd", "code": "DOCU100L"}]}
        identity = self._of(code=local, identifier=[name])
        assert (identity.name, identity.words) == ("docusate", "Docusate Sodium (Liquid)")

    def test_a_name_of_the_flush_makes_it_local(self) -> None:
        ndc = {"coding": [{"system": f"{MIMIC}-ndc", "code": "64253033335"}]}
        name = {"system": f"{MIMIC}-name", "value": "Heparin Flush (10 units/ml)"}
        assert self._of(code=ndc, identifier=[name]).systemic is False

    def test_the_ingredients_complete_a_code(self) -> None:
        parts = [{"itemCodeableConcept": coded("6809")}, {"itemCodeableConcept": coded("593411")}]
        assert self._of(code=coded("6809"), ingredient=parts).rxcuis == ("6809", "593411")


def test_an_intravenous_flush_stays_a_flush() -> None:
    assert identify(order("Heparin Flush (10 units/ml)", {"route": {"text": "intravenous"}})).systemic is False


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


@pytest.mark.parametrize(
    ("drug", "route", "systemic"),
    [
        ("diclofenac", {"coding": [{"system": "http://snomed.info/sct", "code": "54485002"}]}, False),
        ("diclofenac", {"coding": [{"system": "http://snomed.info/sct", "code": "26643006"}]}, True),
        ("diclofenac", {"text": "both eyes"}, False),
        ("diclofenac", {"text": "by mouth"}, True),
        ("diclofenac", {"text": "topical"}, False),
        ("diclofenac", {"coding": [{"system": f"{MIMIC}-route", "code": "RIGHT EAR"}]}, False),
        ("diclofenac", {"coding": [{"system": f"{MIMIC}-route", "code": "PR"}]}, True),
        ("budesonide", {"text": "Inhalation"}, False),
        ("fluticasone", {"text": "intranasal"}, False),
        ("estradiol vaginal cream", {"text": "Vaginal route"}, False),
        ("fentanyl", {"text": "epidural"}, False),
        # A route that looks local does not make a drug local that acts on the whole body.
        ("sevoflurane", {"text": "Inhalation"}, True),
        ("sevoflurane", {"coding": [{"system": "http://snomed.info/sct", "code": "447694001"}]}, True),
        ("Ultane inhalation liquid", {"text": "Respiratory tract route"}, True),
        ("fentanyl", {"text": "intranasal"}, True),
        ("testosterone 1 % gel", {"text": "Topical"}, True),
        ("etonogestrel / ethinyl estradiol vaginal ring", {"text": "Vaginal route"}, True),
    ],
)
def test_the_route_and_the_drug_decide_where_it_acts(drug: str, route: dict[str, Any], systemic: bool) -> None:
    assert identify(order(drug, {"route": route})).systemic is systemic


def test_the_name_of_a_group_of_drugs_is_not_the_name_of_a_drug() -> None:
    display = {"code": "1", "display": "Metformin 500 mg tablet"}
    for system, is_known in ((f"{MIMIC}-etc", False), ("urn:site", True)):
        order_of_group = request("x") | {"medicationCodeableConcept": {"coding": [display | {"system": system}]}}
        assert bool(_identified(order_of_group).ingredients) is is_known


def test_words_that_say_that_it_releases_slowly() -> None:
    slow = ["bupropion XL 150 mg", "12 hr guaifenesin 600 mg", "24 hour loratadine", "Extended Release tablet"]
    others = ["metoprolol 25 mg tablet", "xlomycin", "metoprolol 24 mg"]
    assert [words for words in [*slow, *others] if identity_of(words).is_slow_release] == slow


# How many medications of real charts are recognised, and whether their words and codes agree.
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
