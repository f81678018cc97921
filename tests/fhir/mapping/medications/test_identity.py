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
    resolve_medication,
)
from fhir.record.datatypes import CodeableConcept, Coding, Identifier, Quantity, Ratio, Reference
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
from tests.each import for_rows
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


@for_rows(
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


def test_an_order_without_a_medication_is_not_recognised() -> None:
    assert not identify(MedicationRequest()).recognised
    assert not identify(MedicationStatement()).recognised


def test_a_bare_code_is_shown_by_its_name() -> None:
    assert identity_of(code="861007").words == "metformin hydrochloride 500 MG Oral Tablet"
    assert identity_of(code="861004").words == "metformin hydrochloride 1000 MG Oral Tablet"
    assert identity_of(code="861004").rxnorm == "861004"


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


@for_rows(
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
        # A bare name that mostly means a local form acts on the whole body in a vein; a named form stays local.
        ("lidocaine 100 mg", {"text": "intravenous"}, True),
        ("lidocaine 5 % ointment", {"text": "intravenous"}, False),
        ("lidocaine 100 mg", {"text": "by mouth"}, False),
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
    name = {"system": f"{MIMIC}-name"}
    for codings in ([name, display], [name | {"code": "Metformin"}]):
        named = _identified(request("x") | {"medicationCodeableConcept": {"coding": codings}})
        assert (named.name, named.words[:9]) == ("metformin", "Metformin")
    identifiers = (Identifier(system=name["system"]), Identifier(system=name["system"], value="Metformin"))
    assert identify_medication(Medication(identifier=identifiers)).name == "metformin"


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


WARFARIN = CodeableConcept(text="warfarin")
METFORMIN = CodeableConcept(text="metformin")


def _near(value: float) -> Any:
    return pytest.approx(value)


def _part(item: CodeableConcept = WARFARIN, **more: Any) -> MedicationIngredient:
    return MedicationIngredient(itemCodeableConcept=item, **more)


def _ratio(top: Quantity | None, bottom: Quantity | None = None) -> Ratio:
    return Ratio(top, bottom)


@for_rows(
    ("ratio", "strength"),
    [
        (_ratio(Quantity(5, unit="mg"), Quantity(1, unit="tablet")), Strength(5.0, "mg")),
        (_ratio(Quantity(5, code="mg")), Strength(5.0, "mg")),
        (_ratio(Quantity(5, unit="MG"), Quantity(1)), Strength(5.0, "mg")),
        (_ratio(Quantity(10, unit="mg"), Quantity(2, unit="tablet")), Strength(5.0, "mg")),
        (_ratio(Quantity(5, unit="mg"), Quantity(0, unit="tablet")), Strength(5.0, "mg")),
        (_ratio(Quantity(5, unit="mg"), Quantity(unit="tablet")), Strength(5.0, "mg")),
        (_ratio(Quantity(5, unit="mg"), Quantity(1, code="{vial}")), Strength(5.0, "mg")),
        (_ratio(Quantity(5, unit="mg"), Quantity(1, code="fnord")), Strength(5.0, "mg")),
        (_ratio(Quantity(5, unit="mg"), Quantity(1, unit="patch")), Strength(5.0, "mg")),
        (_ratio(Quantity(2, unit="g"), Quantity(1, unit="tablet")), Strength(2000.0, "mg")),
        (_ratio(Quantity(250, unit="mg"), Quantity(5, unit="mL")), Strength(50.0, "mg", "mL")),
        (_ratio(Quantity(250, unit="mg"), Quantity(5, code="ML")), Strength(50.0, "mg", "mL")),
        (_ratio(Quantity(250, unit="mg"), Quantity(0.5, code="L")), Strength(_near(0.5), "mg", "mL")),
        (_ratio(Quantity(25, unit="mcg"), Quantity(1, code="h")), Strength(_near(0.025), "mg", "h")),
        (_ratio(Quantity(21, unit="mg"), Quantity(24, unit="hours")), Strength(_near(0.875), "mg", "h")),
        (_ratio(Quantity(24, unit="mg"), Quantity(1, code="d")), Strength(_near(1.0), "mg", "h")),
        (_ratio(Quantity(100, unit="ug"), Quantity(1, unit="puff")), Strength(_near(0.1), "mg", "actuation")),
        (_ratio(Quantity(10, unit="mg"), Quantity(1, code="g")), Strength(_near(0.01), "mg", "mg")),
        (_ratio(Quantity(5, unit="units"), Quantity(1, unit="mL")), None),
        (_ratio(Quantity(5)), None),
        (_ratio(Quantity(unit="mg")), None),
        (_ratio(None, Quantity(1, unit="mL")), None),
    ],
)
def test_the_strength_of_a_ratio(ratio: Ratio, strength: Strength | None) -> None:
    identity = identify_medication(Medication(ingredient=(_part(strength=ratio),)))
    assert (identity.name, identity.strengths) == ("warfarin", (strength,))


def test_a_strength_beside_a_part_of_two_drugs_is_of_neither() -> None:
    both = CodeableConcept(text="acetaminophen and oxycodone")
    ratio = _ratio(Quantity(5, unit="mg"), Quantity(1, unit="tablet"))
    identity = identify_medication(Medication(ingredient=(_part(both, strength=ratio),)))
    assert len(identity.ingredients) == 2
    assert identity.strengths == (None, None)


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


def test_a_mixture_acts_on_the_whole_body_where_a_part_of_it_does() -> None:
    drops = CodeableConcept(text="timolol ophthalmic drops")
    assert identify_medication(Medication(ingredient=(_part(drops),))).systemic is False
    assert identify_medication(Medication(ingredient=(_part(drops), _part(WARFARIN)))).systemic is True


def test_the_form_of_a_medication() -> None:
    cream = CodeableConcept(text="Cream")
    hydrocortisone = CodeableConcept(text="hydrocortisone")
    identity = identify_medication(Medication(code=hydrocortisone, form=cream))
    assert (identity.dose_form, identity.systemic) == ("Cream", False)
    tablet = identify_medication(Medication(code=hydrocortisone, form=CodeableConcept(text="Tablet")))
    assert (tablet.dose_form, tablet.systemic) == ("Tablet", True)
    worded = CodeableConcept(text="hydrocortisone 10 mg oral tablet")
    assert identify_medication(Medication(code=worded, form=CodeableConcept(text="Tabl."))).dose_form == "oral tablet"
    assert identify_medication(Medication(code=CodeableConcept(text="dew"), form=cream)).dose_form == ""
    # A tube does not say that it acts on the whole body.
    topical = CodeableConcept(text="hydrocortisone 1 % topical cream")
    assert identify_medication(Medication(code=topical, form=CodeableConcept(text="Tube"))).systemic is False


# References.

INSIDE = Medication(id="in", code=METFORMIN)
HASHED = Medication(id="#out", code=WARFARIN)


@for_rows(
    ("reference", "expected"),
    [
        ("#in", INSIDE),
        ("#out", HASHED),
        ("#other", None),
        ("Medication/7", INSIDE),
        ("https://h.example/fhir/Medication/7", INSIDE),
        ("https://h.example/fhir/Medication/7/_history/2", INSIDE),
        ("urn:uuid:9", HASHED),
        ("https://other.example/fhir/Medication/7", HASHED),
        ("Medication/8", None),
        ("7", None),
        ("", None),
    ],
)
def test_what_a_reference_points_to(reference: str, expected: Medication | None) -> None:
    medications = {"Medication/7": INSIDE, "urn:uuid:9": HASHED, "https://other.example/fhir/Medication/7": HASHED}
    assert resolve_medication(reference, medications, ("text", INSIDE, HASHED)) is expected


def _order_of(reference: str, display: str = "", *contained: Medication) -> MedicationIdentity:
    request = MedicationRequest(medicationReference=Reference(reference, display), contained=contained)
    return identify(request)


def test_the_words_of_a_reference_count_where_it_leads_to_nothing_that_is_recognised() -> None:
    assert _order_of("#in", "warfarin", INSIDE).name == "metformin"
    dew = Medication(id="in", code=CodeableConcept(text="dew"))
    assert _order_of("#in", "warfarin 5 mg tablet", dew).strengths == (Strength(5.0, "mg"),)
    assert _order_of("#in", "", dew) == MedicationIdentity(words="dew")
    assert _order_of("#no", "dew") == MedicationIdentity(words="dew")
    assert _order_of("#no") == MedicationIdentity(words="#no")
    assert _order_of("", "warfarin").name == "warfarin"
    assert _order_of("") == MedicationIdentity(words="")


# Codes that differ.


def _coded(*codes: str, text: str = "") -> MedicationIdentity:
    return identify_concept(CodeableConcept(tuple(Coding(RXNORM, code) for code in codes), text))


def test_a_doubt_is_said_in_a_sentence() -> None:
    assert _coded("6809").doubt is None
    assert _coded("6809", "861007").doubt is None
    assert _coded("6809", "11289").doubt == "One code means metformin, another warfarin."
    assert _coded("6809", "11289", text="aspirin").doubt == "The code means metformin, the words say aspirin."
    assert (
        _coded("6809", text="aspirin and warfarin").doubt
        == "The code means metformin, the words say aspirin and warfarin."
    )
    assert _coded("6809", text="dew").doubt is None
    assert _coded("0", "6809").name == "metformin"
    assert (_coded("0", "6809").rxnorm, _coded("6809", "0").rxnorm) == ("0", "6809")
    local = Coding("urn:local", "1")
    assert identify_concept(CodeableConcept((local, Coding(RXNORM, "6809")))).rxnorm == "6809"


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


def test_the_parts_of_an_identity() -> None:
    identity = _coded("6809", text="metformin <b>500 mg</b>")
    assert identity.plain_words == "metformin ‹b›500 mg‹/b›"
    assert (identity.has("6809"), identity.has("11289")) == (True, False)
    assert identity.keys[0] == "6809"
    assert set(identity.keys[1:]) == set(identity.classes)
    assert list(identity.keys[1:]) == sorted(identity.classes)
    assert MedicationIdentity(words="dew").name == "dew"
    assert MedicationIdentity(words="").recognised is False


# Routes.


@for_rows(
    ("dosages", "route", "systemic"),
    [
        ([{"text": "2 mg IV"}], "intravenous", True),
        ([{"text": "2 mg IV push"}], "intravenous push", True),
        ([{"text": "1 drop in each eye"}], "ophthalmic", False),
        ([{"text": "2 mg"}], "", True),
        ([{"text": "2 mg IV"}, {"text": "4 mg IV"}], "intravenous", True),
        ([{"text": "2 mg IV"}, {"text": "4 mg PO"}], "", True),
        ([{"text": "2 mg IV"}, {"text": "4 mg"}], "", True),
        ([{"route": {"text": "intravenous"}, "text": "2 mg IV push"}], "intravenous, intravenous push", True),
        ([{"route": {"text": "intravenous"}, "text": "2 mg"}], "intravenous", True),
        ([{"route": {"text": "intravenous"}}, {"text": "2 mg IV push"}], "intravenous, intravenous push", True),
        ([{"route": {"text": "ophthalmic"}}], "ophthalmic", False),
        ([{"route": {"text": "ophthalmic"}}, {"route": {"text": "oral"}}], "ophthalmic", True),
        ([{"route": {"text": "ophthalmic"}}, {"text": "2 mg"}], "ophthalmic", True),
        ([{"route": {"text": "ophthalmic"}}, {"route": {"text": "otic"}}], "ophthalmic", False),
        ([{"route": {"coding": [{"system": "urn:x", "code": "TP"}]}}], "TP", False),
    ],
)
def test_the_route_of_the_instructions(dosages: list[dict[str, Any]], route: str, systemic: bool) -> None:
    for _ in range(2):  # the second time it is remembered
        identity = identify(order("dexamethasone", *dosages))
        assert (identity.name, identity.route, identity.systemic) == ("dexamethasone", route, systemic)


@for_rows(
    ("words", "dosages", "route"),
    [
        ("potassium chloride 40 mEq IV push", [], "intravenous push"),
        ("lidocaine drip 2 mg/min", [], "intravenous"),
        ("methylprednisolone 80 mg IV", [{"text": "80 mg once"}], "intravenous"),
        ("methylprednisolone 80 mg IV", [{"text": "80 mg PO once"}], "by mouth"),
        ("methylprednisolone 80 mg IV", [{"text": "80 mg PO"}, {"text": "40 mg"}], ""),
        ("methylprednisolone 80 mg IM", [{"route": {"text": "intravenous"}}], "intravenous"),
        ("furosemide 10 mg/hr", [{"text": "continuous"}], "intravenous"),
        ("furosemide 10 mg/hr", [{"text": "daily"}], ""),
        ("morphine 2 mg/hr subcutaneous", [{"text": "continuous"}], "subcutaneous"),
        ("furosemide", [{"text": "continuous"}], ""),
        ("cough syrup for post nasal drip with codeine", [], ""),
        ("clotrimazole vaginal cream", [], ""),
    ],
)
def test_a_route_may_stand_beside_the_name(words: str, dosages: list[dict[str, Any]], route: str) -> None:
    assert identify(order(words, *dosages)).route == route


@for_rows(
    ("identity", "is_injected"),
    [
        (MedicationIdentity("warfarin injection", route="oral"), False),
        (MedicationIdentity("warfarin", route="intravenous"), True),
        (MedicationIdentity("warfarin injection", dose_form="tablet"), False),
        (MedicationIdentity("warfarin", dose_form="Injectable Solution"), True),
        (MedicationIdentity("warfarin inj 5 mg IV"), True),
        (MedicationIdentity("penicillin pen v"), False),
        (MedicationIdentity("insulin kwikpen"), True),
        (MedicationIdentity("warfarin"), False),
    ],
)
def test_whether_it_is_injected(identity: MedicationIdentity, is_injected: bool) -> None:
    assert identity.is_injected is is_injected
