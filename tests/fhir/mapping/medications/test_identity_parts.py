"""Strengths of ratios, parts of a mixture, references and routes, worked out by hand."""

from typing import Any

import pytest

from fhir.mapping.medications.identity import (
    MedicationIdentity,
    identify,
    identify_concept,
    identify_medication,
    resolve_medication,
)
from fhir.record.datatypes import CodeableConcept, Coding, Quantity, Ratio, Reference
from fhir.record.resources import Medication, MedicationIngredient, MedicationRequest
from fhir.terminology.medication_strength import Strength
from tests.fhir.builders import RXNORM, order

WARFARIN = CodeableConcept(text="warfarin")
METFORMIN = CodeableConcept(text="metformin")


def _near(value: float) -> Any:
    return pytest.approx(value)


def _part(item: CodeableConcept = WARFARIN, **more: Any) -> MedicationIngredient:
    return MedicationIngredient(itemCodeableConcept=item, **more)


def _ratio(top: Quantity | None, bottom: Quantity | None = None) -> Ratio:
    return Ratio(top, bottom)


@pytest.mark.parametrize(
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
    assert identify_medication(Medication(code=CodeableConcept(text="dew"), form=cream)).dose_form is None


# References.

INSIDE = Medication(id="in", code=METFORMIN)
HASHED = Medication(id="#out", code=WARFARIN)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("#in", INSIDE),
        ("#out", HASHED),
        ("#other", None),
        ("Medication/7", INSIDE),
        ("https://h.example/fhir/Medication/7", INSIDE),
        ("https://h.example/fhir/Medication/7/_history/2", INSIDE),
        ("urn:uuid:9", HASHED),
        ("Medication/8", None),
        ("7", None),
        ("", None),
    ],
)
def test_what_a_reference_points_to(reference: str, expected: Medication | None) -> None:
    medications = {"Medication/7": INSIDE, "urn:uuid:9": HASHED}
    assert resolve_medication(reference, medications, ("text", INSIDE, HASHED)) is expected


def _referring(reference: str | None, display: str | None = None, *contained: Medication) -> MedicationIdentity:
    request = MedicationRequest(medicationReference=Reference(reference, display), contained=contained)
    return identify(request)


def test_the_words_of_a_reference_count_where_it_leads_to_nothing_that_is_recognised() -> None:
    assert _referring("#in", "warfarin", INSIDE).name == "metformin"
    dew = Medication(id="in", code=CodeableConcept(text="dew"))
    assert _referring("#in", "warfarin 5 mg tablet", dew).strengths == (Strength(5.0, "mg"),)
    assert _referring("#in", None, dew) == MedicationIdentity(words="dew")
    assert _referring("#no", "dew") == MedicationIdentity(words="dew")
    assert _referring("#no") == MedicationIdentity(words="#no")
    assert _referring(None, "warfarin").name == "warfarin"
    assert _referring(None) == MedicationIdentity(words="")


@pytest.mark.parametrize(("links", "is_recognised"), [(1, True), (4, True), (5, False)])
def test_a_chain_of_references_is_followed_to_the_fourth(links: int, is_recognised: bool) -> None:
    chain = [
        Medication(
            id=str(number), ingredient=(MedicationIngredient(itemReference=Reference(f"Medication/{number + 1}")),)
        )
        for number in range(1, links)
    ]
    medications = {f"Medication/{medication.id}": medication for medication in chain}
    medications[f"Medication/{links}"] = Medication(id=str(links), code=WARFARIN)
    request = MedicationRequest(medicationReference=Reference("Medication/1"))
    assert identify(request, medications).recognised is is_recognised


# Codes that differ.


def _coded(*codes: str, text: str | None = None) -> MedicationIdentity:
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


def test_the_words_complete_a_code_and_do_not_replace_what_it_says() -> None:
    assert _coded("11289", text="warfarin 5 mg tab").strengths == (Strength(5.0, "mg"),)
    assert _coded("861007", text="metformin 850 mg").strengths == (Strength(500.0, "mg"),)
    assert _coded("11289", text="warfarin 5 mg tab").dose_form == "tab"
    assert _coded("11289", text="warfarin eye drops").systemic is False
    # Of words that name one more drug only the place where it acts is taken.
    more = _coded("11289", text="warfarin 5 mg and metformin 500 mg eye drops")
    assert (more.name, more.strengths, more.systemic) == ("warfarin", (None,), False)
    assert _coded("11289", text="0.4 mL warfarin syringe").millilitres == 0.4


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


@pytest.mark.parametrize(
    ("dosages", "route", "systemic"),
    [
        ([{"text": "2 mg IV"}], "intravenous", True),
        ([{"text": "2 mg IV push"}], "intravenous push", True),
        ([{"text": "1 drop in each eye"}], "ophthalmic", False),
        ([{"text": "2 mg"}], None, True),
        ([{"text": "2 mg IV"}, {"text": "4 mg IV"}], "intravenous", True),
        ([{"text": "2 mg IV"}, {"text": "4 mg PO"}], None, True),
        ([{"text": "2 mg IV"}, {"text": "4 mg"}], None, True),
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
def test_the_route_of_the_instructions(dosages: list[dict[str, Any]], route: str | None, systemic: bool) -> None:
    for _ in range(2):  # the second time it is remembered
        identity = identify(order("dexamethasone", *dosages))
        assert (identity.name, identity.route, identity.systemic) == ("dexamethasone", route, systemic)


@pytest.mark.parametrize(
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
