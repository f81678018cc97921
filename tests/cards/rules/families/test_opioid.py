"""Opioids: what is taken, corrections, conditions and words of the cards, by doses worked out by hand."""

from datetime import datetime, timedelta
from typing import Any

from cards.rules.families.opioid.family import FAMILY
from cards.rules.families.opioid.view import OpioidView
from cards.rules.patient.session import PatientSession
from tests.cards.rules.contexts import answer, context_of
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir.builders import medication_statement

Json = dict[str, Any]
OXYCODONE: Json = {"drug": "1049621", "dose": "2 tablet", "times": 4}
MORPHINE: Json = {"drug": "morphine sulfate 15 MG Oral Tablet", "dose": "1 tablet", "times": 2}


def _view(patient: Json, as_of: datetime, draft: Json = MORPHINE, **more: Any) -> OpioidView:
    session = PatientSession(record_of(patient, as_of), drafts_of(draft_of({**draft, "more": more})))
    return OpioidView(session, session.drafted[0])


def _statement(as_of: datetime, kind: str = "MedicationStatement", days_ago: int = 20, **more: Any) -> Json:
    when = (as_of - timedelta(days=days_ago)).date().isoformat()
    dosage = [{"text": "2 tablets four times a day"}]
    resource: Json = {
        "resourceType": kind,
        "id": "elsewhere",
        "status": "active",
        "medicationCodeableConcept": {"text": "oxycodone hydrochloride 5 MG Oral Tablet"},
        "subject": {"reference": "Patient/case"},
    }
    if kind == "MedicationDispense":
        supply = {"value": 30, "unit": "days", "code": "d"}
        return resource | {"status": "completed", "whenHandedOver": when, "daysSupply": supply} | {
            "dosageInstruction": dosage, "authorizingPrescription": [], **more}  # fmt: skip
    return resource | {"effectiveDateTime": when, "dosage": dosage} | more


@for_rows(
    "named",
    [
        {"priorPrescription": {"reference": "MedicationRequest/active-0"}},
        {"basedOn": [{"reference": "MedicationRequest/active-0"}]},
        {"priorPrescription": {"reference": "https://ehr.example/fhir/MedicationRequest/active-0"}},
        {"basedOn": [{"reference": "MedicationRequest/active-0/_history/1"}, {"display": "by fax"}, "by fax"]},
    ],
)
def test_an_order_that_the_draft_names_as_its_forerunner_is_not_added(named: Json, as_of: datetime) -> None:
    view = _view({"active": [OXYCODONE]}, as_of, **named)
    assert view.total == (30.0, True)
    assert view.is_not_raised is True


def test_a_dispense_counts_like_an_order(as_of: datetime) -> None:
    assert _view({"more": [_statement(as_of, "MedicationDispense")]}, as_of).total == (90.0, True)


def test_a_dispense_from_elsewhere_makes_tolerant(as_of: datetime) -> None:
    patient = {"more": [_statement(as_of, "MedicationDispense")]}
    assert _view(patient, as_of, {"drug": "245134"}).is_tolerant is True


OXYCODONE_5 = "oxycodone hydrochloride 5 MG Oral Tablet"
OXYCODONE_10: Json = {"drug": OXYCODONE_5, "dose": "2 tablet", "times": 4}  # 60 MME
HYDROCODONE: Json = {"drug": "hydrocodone 5 MG / acetaminophen 325 MG Oral Tablet"}
LORAZEPAM: Json = {"drug": "lorazepam 1 MG Oral Tablet", "dose": "1 tablet", "times": 3}


BEFORE_30: Json = {**OXYCODONE_10, "status": "completed", "days_ago": 30}


@for_rows(
    ("drafts", "active", "mme"),
    [
        # A draft takes the place of what is taken of the same drug and release; two drafts add up.
        ([MORPHINE], [{**MORPHINE, "times": 4}], "30"),
        ([MORPHINE, MORPHINE], [], "60"),
        ([MORPHINE, OXYCODONE_10], [{**OXYCODONE_10, "times": 6}], "90"),
        ([MORPHINE], [{**MORPHINE, "drug": "morphine sulfate 15 MG Extended Release Oral Tablet"}], "60"),
        # Of what is taken every order counts, and nothing that is no opioid.
        ([MORPHINE], [OXYCODONE_10, OXYCODONE_10], "150"),
        ([MORPHINE], [LORAZEPAM], "30"),
        # What is over counts no more.
        ([MORPHINE], [BEFORE_30], "30"),
    ],
)
def test_what_adds_up_to_the_milligrams_of_morphine(drafts: list[Json], active: list[Json], mme: str) -> None:
    assert FAMILY.placeholders["mme"](context_of(*drafts, active=active)) == mme


@for_rows(
    ("active", "tolerant"),
    [
        # 30 mg of oxycodone a day for a week make tolerant.
        ([{**OXYCODONE_10, "dose": "1 tablet", "times": 6, "days_ago": 7}], True),
        ([{**OXYCODONE_10, "dose": "1 tablet", "times": 6, "days_ago": 6}], False),
        ([{**OXYCODONE_10, "dose": "1 tablet", "times": 5, "days_ago": 7}], False),
        ([{**OXYCODONE_10, "dose": "1 tablet", "days_ago": 20}], False),
        ([{**OXYCODONE_10, "status": "completed", "days_ago": 14}], True),
        ([{**OXYCODONE_10, "status": "completed", "days_ago": 15}], False),
        # 15 mg of oxycodone and 30 mg of morphine are each half of what makes tolerant; buprenorphine makes nobody so.
        ([{**OXYCODONE_10, "dose": "1 tablet", "times": 3}, MORPHINE], True),
        ([{"drug": "buprenorphine 8 MG Sublingual Tablet", "dose": "2 tablet", "times": 1}], False),
        # Since when is not known, or how much.
        ([{**OXYCODONE_10, "undated": True}], None),
        ([{**OXYCODONE_10, "as_needed": True}], None),
        # A dose that is not known may be enough, and matters no more where the rest is.
        ([HYDROCODONE], None),
        ([{**OXYCODONE_10, "dose": "1 tablet", "times": 5}, HYDROCODONE], None),
        ([OXYCODONE_10, HYDROCODONE], True),
        # One since a week is enough, whatever came later.
        ([{**OXYCODONE_10, "days_ago": 7}, {**MORPHINE, "days_ago": 1}], True),
        ([{**OXYCODONE_10, "days_ago": 3}, {**OXYCODONE_10, "undated": True}], None),
        ([LORAZEPAM], False),
    ],
)
def test_who_is_tolerant(active: list[Json], tolerant: bool | None) -> None:
    assert answer({"opioid_tolerant": True}, context_of({"drug": "245134"}, active=active), FAMILY) is tolerant


def _stated(name: str, drug: str = OXYCODONE_5) -> Json:
    dosage = [{"text": "2 tablets four times a day"}]
    return medication_statement(drug, patient="case", id=name, effectiveDateTime="2026-11-01", dosage=dosage)


@for_rows(
    ("active", "stated", "mme"),
    [
        ([], [_stated("a")], "90"),
        ([], [_stated("a"), _stated("b")], "90"),
        ([OXYCODONE_10], [_stated("a")], "90"),
        ([], [_stated("a"), _stated("b", "hydromorphone 1 MG Oral Tablet")], "130"),
    ],
)
def test_what_is_stated_twice_or_ordered_too_counts_once(active: list[Json], stated: list[Json], mme: str) -> None:
    # 30 MME of morphine, 60 of oxycodone; 8 mg of hydromorphone are 40 (CDC 2022: times 5).
    assert FAMILY.placeholders["mme"](context_of(MORPHINE, active=active, more=stated)) == mme
