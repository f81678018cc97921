"""The card of the vaccines due as a clinician reads it: ages, dates of a risk, each line, what was not looked at."""

from datetime import date, datetime
from typing import Any

import pytest

from cards.card import Card, CardIdentity
from cards.compose.vaccines import vaccines_card
from cards.vaccines.due import VaccinesDue, vaccines_due
from cards.vaccines.knowledge import (
    AntigenAtAge,
    Schedule,
    Vaccine,
    VaccineGroup,
    VaccineKnowledge,
    load_knowledge,
)
from cards.vaccines.patient import ChartedPerson, Person, read_person
from fhir.mapping.immunizations import VaccineDose, VaccineHistory
from fhir.record.record import read_record
from tests.cards.vaccines.small_series import BORN
from tests.each import for_rows, rows_of
from tests.fhir import builders
from tests.fhir.builders import bundle, concept, lean, made, medication_order, subject_of

CVX, SNOMED, ICD10 = "http://hl7.org/fhir/sid/cvx", "http://snomed.info/sct", "http://hl7.org/fhir/sid/icd-10-cm"
Json = dict[str, Any]
KNOWLEDGE = load_knowledge()


def doses(cvx: str, *days: str) -> list[Json]:
    dose = {"status": "completed", "vaccineCode": concept(code=cvx, system=CVX), "patient": subject_of("p")}
    return [made("Immunization", id=f"dose-{cvx}-{day}", occurrenceDateTime=day, **dose) for day in days]


def problem(system: str, code: str, since: str, words: str, **more: Any) -> Json:
    return builders.problem(words, code, system, patient="p", id=f"problem-{code}", onsetDateTime=since) | more


def _found(as_of: datetime, born: str, resources: list[Json]) -> tuple[VaccinesDue, ChartedPerson]:
    person: Json = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": born}
    charted = read_person(read_record({"all": lean(bundle(person, *resources))}, "p", as_of))
    assert charted is not None
    return vaccines_due(charted, as_of.date(), KNOWLEDGE), charted


def card_of(as_of: datetime, born: str, *resources: Json) -> Card:
    found, charted = _found(as_of, born, list(resources))
    identity = CardIdentity("uuid", lambda number: f"suggestion-{number}", "https://cds.example/explain")
    return vaccines_card(found, charted, "p", identity, KNOWLEDGE)


def test_an_adult_whose_last_tetanus_dose_is_ten_years_old_is_due(as_of: datetime) -> None:
    assert "Tdap/Td, dose 2" in str(card_of(as_of, "1976-01-10", *doses("115", "2016-11-19")).detail)
    assert "Tdap/Td, dose 2" not in str(card_of(as_of, "1976-01-10", *doses("115", "2016-11-21")).detail)


def test_what_may_be_on_record_elsewhere_is_not_preselected(as_of: datetime) -> None:
    card = card_of(as_of, "1996-03-01")
    assert card.summary.startswith("4 to catch up")
    assert not any(one.is_recommended for one in card.suggestions)


@pytest.mark.parametrize(("drug", "is_due"), [("Soliris 300 mg", True), ("Zilbrysq 32.4 mg", True), ("Humira", False)])
def test_a_complement_inhibitor_makes_the_meningococcal_vaccines_due(as_of: datetime, drug: str, is_due: bool) -> None:
    detail = card_of(as_of, "1990-03-01", medication_order(drug, patient="p", authoredOn="2026-11-01")).detail or ""
    assert ("**Meningococcal ACWY, dose 1**" in detail and "**Meningococcal B, dose 1**" in detail) == is_due


def test_a_history_of_intussusception_forbids_rotavirus_though_it_is_over(as_of: datetime) -> None:
    over = problem(SNOMED, "49723003", "2026-09-30", "Intussusception", abatementDateTime="2026-10-02")
    card = card_of(as_of, "2026-08-10", over)
    assert "Contraindicated: Rotavirus (Intussusception (2026-09-30))" in (card.detail or "")
    assert "Order Rotavirus dose 1" not in [one.label for one in card.suggestions]


def test_tdap_in_pregnancy_is_one_dose_whatever_was_given_before(as_of: datetime) -> None:
    weeks = problem(ICD10, "Z3A.30", "2026-11-19", "30 weeks gestation")
    pregnant = problem(SNOMED, "77386006", "2026-04-24", "Pregnancy")
    card = card_of(as_of, "1998-02-01", weeks, pregnant, *doses("115", "2019-04-01"))
    assert "Tdap (in pregnancy)" in card.summary
    assert "One dose in each pregnancy, whatever was given before it (last 2019-04-01)" in (card.detail or "")
    assert card.suggestions[0].label == "Order Tdap"


@for_rows(
    ("week", "given", "waits", "labels"),
    rows_of(__file__, "a_first_dose_or_a_booster_against_tetanus_waits_for_tdap_in_week_27"),
)
def test_a_first_dose_or_a_booster_against_tetanus_waits_for_tdap_in_week_27(
    as_of: datetime, week: int, given: tuple[str, ...], *, waits: bool, labels: list[str]
) -> None:
    """MMWR Recomm Rep 2018;67(RR-2): Tdap in weeks 27 to 36, preferred for a booster; a primary series is not late."""
    weeks = problem(ICD10, f"Z3A.{week}", "2026-11-20", f"{week} weeks gestation")
    pregnant = problem(SNOMED, "77386006", "2026-10-24", "Pregnancy")
    card = card_of(as_of, "1998-02-01", weeks, pregnant, *doses("09", *given))
    assert ("Tdap in weeks 27 to 36 of this pregnancy" in (card.detail or "")) is waits
    assert [offer.label for offer in card.suggestions if "Tdap" in offer.label] == labels


IDENTITY = CardIdentity("uuid", lambda number: f"suggestion-{number}", "https://cds.example/explain")
MADE_KNOWLEDGE = VaccineKnowledge(
    Schedule(
        "source",
        "4.64",
        date(2025, 11, 1),
        groups={"A": VaccineGroup(("A",)), "B": VaccineGroup(("B",))},
        vaccines={
            "10": Vaccine("ten", (AntigenAtAge("A"),)),
            "89": Vaccine("A, unspecified formulation", (AntigenAtAge("A"),)),
        },
        conflicts=(),
        observations={},
    ),
    {},
)


def person(*doses: VaccineDose) -> ChartedPerson:
    return ChartedPerson(Person(BORN, "Female"), VaccineHistory(doses, ()))


def summary(found: VaccinesDue) -> str:
    return vaccines_card(found, person(), "p1", IDENTITY, MADE_KNOWLEDGE).summary
