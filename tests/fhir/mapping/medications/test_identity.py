"""What an order means: code first, words second; strengths, mixtures, references and routes; nothing is guessed."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from fhir.mapping.medications.identity import (
    MedicationIdentity,
    identify,
    identify_concept,
    identify_medication,
)
from fhir.record.datatypes import CodeableConcept, Coding, Identifier, Quantity, Ratio
from fhir.record.resources import (
    Bundle,
    Medication,
    MedicationIngredient,
    MedicationRequest,
    MedicationStatement,
    decoder,
)
from fhir.terminology.medication_names import no_drug_kind, read_order_name
from fhir.terminology.medication_strength import Strength
from tests.conftest import examples
from tests.each import for_rows, rows_of
from tests.fhir.builders import RXNORM, coded, lean, order, record_of, request, statement
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


@for_rows(
    "medication",
    rows_of(__file__, "metformin_is_recognised_in_every_dress"),
)
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

    def test_the_code_can_stand_among_the_identifiers(self) -> None:
        rxnorm = coded("6809")["coding"][0]
        identifiers = [{"system": system, "value": rxnorm["code"]} for system in ("urn:local", rxnorm["system"])]
        assert self._of(identifier=identifiers).name == "metformin"
        assert not self._of(identifier=identifiers[:1]).recognised

    def test_a_name_of_the_flush_makes_it_local(self) -> None:
        ndc = {"coding": [{"system": f"{MIMIC}-ndc", "code": "64253033335"}]}
        name = {"system": f"{MIMIC}-name", "value": "Heparin Flush (10 units/ml)"}
        assert self._of(code=ndc, identifier=[name]).systemic is False

    def test_the_ingredients_complete_a_code(self) -> None:
        parts = [{"itemCodeableConcept": coded("6809")}, {"itemCodeableConcept": coded("593411")}]
        assert self._of(code=coded("6809"), ingredient=parts).rxcuis == ("6809", "593411")


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


@for_rows(
    ("drug", "route", "systemic"),
    rows_of(__file__, "the_route_and_the_drug_decide_where_it_acts"),
)
def test_the_route_and_the_drug_decide_where_it_acts(drug: str, route: dict[str, Any], systemic: bool) -> None:
    assert identify(order(drug, {"route": route})).systemic is systemic


def test_the_name_of_a_group_of_drugs_is_not_the_name_of_a_drug() -> None:
    display = {"code": "1", "display": "Metformin 500 mg tablet"}
    for system, is_known in ((f"{MIMIC}-etc", False), ("urn:site", True)):
        order_of_group = request("x") | {"medicationCodeableConcept": {"coding": [display | {"system": system}]}}
        assert bool(_identified(order_of_group).ingredients) is is_known
    name = {"system": f"{MIMIC}-name"}
    for codings in ([name, display], [name | {"code": "Metformin"}]):
        named = _identified(request("x") | {"medicationCodeableConcept": {"coding": codings}})
        assert (named.name, named.words[:9]) == ("metformin", "Metformin")
    identifiers = (Identifier(system=name["system"]), Identifier(system=name["system"], value="Metformin"))
    assert identify_medication(Medication(identifier=identifiers)).name == "metformin"


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


WARFARIN = CodeableConcept(text="warfarin")
METFORMIN = CodeableConcept(text="metformin")


def _part(item: CodeableConcept = WARFARIN, **more: Any) -> MedicationIngredient:
    return MedicationIngredient(itemCodeableConcept=item, **more)


def _ratio(top: Quantity | None, bottom: Quantity | None = None) -> Ratio:
    return Ratio(top, bottom)


def test_the_parts_of_a_mixture() -> None:
    five = _ratio(Quantity(5, unit="mg"))
    mixture = Medication(
        ingredient=(
            _part(strength=five),
            _part(METFORMIN, isActive=True),
            _part(CodeableConcept(text="aspirin"), isActive=False),
            MedicationIngredient(),
        )
    )
    identity = identify_medication(mixture)
    assert [ingredient.name for ingredient in identity.ingredients] == ["warfarin", "metformin"]
    assert identity.strengths == (Strength(5.0, "mg"), None)
    assert (identity.words, identity.systemic) == ("warfarin; metformin; ", True)
    # The code has the strength already; that of the part does not replace it.
    ten = Medication(code=CodeableConcept(text="warfarin 10 mg tablet"), ingredient=(_part(strength=five),))
    assert identify_medication(ten).strengths == (Strength(10.0, "mg"),)
    assert identify_medication(ten).words == "warfarin 10 mg tablet"
    bare = Medication(code=WARFARIN, ingredient=(_part(strength=five),))
    assert identify_medication(bare).strengths == (Strength(5.0, "mg"),)
    named = Medication(ingredient=(_part(CodeableConcept(text="warfarin 5 mg tablet")),))
    assert identify_medication(named).strengths == (Strength(5.0, "mg"),)
    unknown = Medication(ingredient=(_part(CodeableConcept(text="green drops")), _part(CodeableConcept(text="dew"))))
    assert identify_medication(unknown) == MedicationIdentity(words="green drops; dew")


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
