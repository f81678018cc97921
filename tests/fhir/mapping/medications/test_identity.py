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


def test_routes_in_words_count_only_where_all_instructions_name_the_same() -> None:
    def identified(*instructions: str) -> MedicationIdentity:
        return identify(order("morphine", *({"text": text} for text in instructions)))

    assert identified("2 mg IV q3h", "4 mg IV q4h").route == identified("2 mg IV q3h").route
    assert identified("2 mg IV q3h").route
    assert not identified("2 mg IV q3h", "4 mg PO q4h").route


def test_what_nothing_matches_is_named_and_not_skipped() -> None:
    identity = _identified(request("Herbal drops no. 7"))
    assert (identity.recognised, identity.words, identity.classes) == (False, "Herbal drops no. 7", frozenset())
    assert identity.name == "Herbal drops no. 7"
    assert identity.systemic is None


def test_an_order_without_a_medication_is_not_recognised() -> None:
    assert not identify(MedicationRequest()).recognised
    assert not identify(MedicationStatement()).recognised


def test_the_code_goes_before_the_words_and_a_contradiction_is_said() -> None:
    identity = identity_of("apixaban 5 mg", "861007")
    assert identity.name == "metformin"
    assert identity.doubt == "The code means metformin, the words say apixaban."
    assert identity_of("metformin 500 mg tablet", "861007").doubt is None


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


def test_the_strength_is_taken_from_the_words_when_the_code_has_none() -> None:
    strength = identity_of("metformin 850 mg tablet", "6809").strengths[0]
    assert strength is not None
    assert strength.milligrams == 850.0


def test_a_component_code_without_a_form_has_its_strength() -> None:
    strength = identity_of("Simvistatin 10 MG", "316672").strengths[0]
    assert strength is not None
    assert strength.milligrams == 10.0


METFORMIN: dict[str, Any] = {"resourceType": "Medication", "id": "med1", "code": coded("861007")}


class TestReference:
    """A medication in a resource of its own."""

    @pytest.mark.parametrize(
        "reference", ["Medication/med1", "https://ehr.example/fhir/Medication/med1", "Medication/med1/_history/2"]
    )
    def test_it_is_found_in_the_record(self, reference: str) -> None:
        assert _identified(_referring({"reference": reference}), METFORMIN).name == "metformin"

    def test_it_is_found_among_the_contained(self) -> None:
        draft = _referring({"reference": "#m"}, contained=[METFORMIN | {"id": "m"}])
        assert _identified(draft).name == "metformin"

    def test_one_that_was_not_sent_is_read_from_the_display(self) -> None:
        assert _identified(_referring({"reference": "Medication/9", "display": "Eliquis 5 mg"})).name == "apixaban"

    def test_one_that_was_not_sent_and_has_no_words_is_not_recognised(self) -> None:
        identity = _identified(_referring({"reference": "Medication/9"}))
        assert (identity.recognised, identity.words) == (False, "Medication/9")

    def test_a_circle_of_references_ends(self) -> None:
        circle = {
            "resourceType": "Medication", "id": "a",
            "ingredient": [{"itemReference": {"reference": "Medication/a"}}],
        }  # fmt: skip
        assert not _identified(_referring({"reference": "Medication/a"}), circle).recognised

    def test_it_works_for_statements_too(self) -> None:
        said = statement("x") | {"medicationReference": {"reference": "Medication/med1"}}
        del said["medicationCodeableConcept"]
        assert _identified(said, METFORMIN).name == "metformin"


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

    def test_a_mix_is_all_its_ingredients(self) -> None:
        parts = [
            {"itemCodeableConcept": {"text": "Vancomycin"}},
            {"itemCodeableConcept": {"text": "0.9% Sodium Chloride"}},
        ]
        assert self._of(ingredient=parts).name == "vancomycin/sodium chloride"

    def test_an_inactive_ingredient_is_left_out(self) -> None:
        parts = [
            {"itemCodeableConcept": {"text": "Vancomycin"}},
            {"itemCodeableConcept": {"text": "glucose"}, "isActive": False},
        ]
        assert self._of(ingredient=parts).name == "vancomycin"

    def test_the_strength_of_an_ingredient_is_a_ratio(self) -> None:
        strength = {"numerator": {"value": 1, "code": "g"}, "denominator": {"value": 2, "unit": "tablet"}}
        identity = self._of(ingredient=[{"itemCodeableConcept": coded("6809"), "strength": strength}])
        assert identity.strengths[0] is not None
        assert (identity.strengths[0].milligrams, identity.strengths[0].per) == (500.0, "unit")

    def test_the_ingredients_complete_a_code(self) -> None:
        parts = [{"itemCodeableConcept": coded("6809")}, {"itemCodeableConcept": coded("593411")}]
        assert self._of(code=coded("6809"), ingredient=parts).rxcuis == ("6809", "593411")

    def test_a_local_form_makes_it_local(self) -> None:
        assert self._of(code={"text": "diclofenac"}, form={"text": "Topical gel"}).systemic is False

    def test_unknown_ingredients_are_named(self) -> None:
        identity = self._of(ingredient=[{"itemCodeableConcept": {"text": "Bag"}}])
        assert (identity.recognised, identity.words) == (False, "Bag")


@pytest.mark.parametrize(
    ("route", "systemic"),
    [
        ({"coding": [{"system": "http://snomed.info/sct", "code": "54485002"}]}, False),
        ({"coding": [{"system": "http://snomed.info/sct", "code": "26643006"}]}, True),
        ({"text": "both eyes"}, False),
        ({"text": "by mouth"}, True),
        ({"text": "topical"}, False),
        ({"coding": [{"system": f"{MIMIC}-route", "code": "RIGHT EAR"}]}, False),
        ({"coding": [{"system": f"{MIMIC}-route", "code": "PR"}]}, True),
    ],
)
def test_the_route_decides_where_a_drug_acts(route: dict[str, Any], systemic: bool) -> None:
    assert identify(order("diclofenac", {"route": route})).systemic is systemic


def test_one_systemic_instruction_makes_the_order_systemic() -> None:
    both = order("diclofenac", {"route": {"text": "topical"}}, {"route": {"text": "oral"}})
    assert identify(both).systemic is True
    assert identify(both).route == "topical"


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
    ("drug", "route"),
    [
        ("sevoflurane", {"text": "Inhalation"}),
        ("sevoflurane", {"coding": [{"system": "http://snomed.info/sct", "code": "447694001"}]}),
        ("Ultane inhalation liquid", {"text": "Respiratory tract route"}),
        ("fentanyl", {"text": "intranasal"}),
        ("testosterone 1 % gel", {"text": "Topical"}),
        ("etonogestrel / ethinyl estradiol vaginal ring", {"text": "Vaginal route"}),
    ],
)
def test_a_local_looking_route_does_not_make_a_drug_local_that_acts_on_the_whole_body(
    drug: str, route: dict[str, Any]
) -> None:
    assert identify(order(drug, {"route": route})).systemic is True


@pytest.mark.parametrize(
    ("drug", "route"),
    [
        ("budesonide", {"text": "Inhalation"}),
        ("fluticasone", {"text": "intranasal"}),
        ("estradiol vaginal cream", {"text": "Vaginal route"}),
        ("fentanyl", {"text": "epidural"}),
    ],
)
def test_other_drugs_act_where_they_are_put(drug: str, route: dict[str, Any]) -> None:
    assert identify(order(drug, {"route": route})).systemic is False


def test_the_name_of_a_group_of_drugs_is_not_the_name_of_a_drug() -> None:
    display = {"code": "1", "display": "Metformin 500 mg tablet"}
    for system, is_known in ((f"{MIMIC}-etc", False), ("urn:site", True)):
        order_of_group = request("x") | {"medicationCodeableConcept": {"coding": [display | {"system": system}]}}
        assert bool(_identified(order_of_group).ingredients) is is_known


@pytest.mark.parametrize(
    "words", ["bupropion XL 150 mg", "12 hr guaifenesin 600 mg", "24 hour loratadine", "Extended Release tablet"]
)
def test_words_that_say_that_it_releases_slowly(words: str) -> None:
    assert identity_of(words).is_slow_release


@pytest.mark.parametrize("words", ["metoprolol 25 mg tablet", "xlomycin", "metoprolol 24 mg"])
def test_words_that_do_not_say_that_it_releases_slowly(words: str) -> None:
    assert not identity_of(words).is_slow_release


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
