"""A rule about a pair and a drug of which the chart does not say whether it is taken."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from cards.rules.engine.rule_book import rule_book
from cards.rules.patient.session import PatientSession
from tests.cards.rules.cases import check, findings, texts
from tests.cards.rules.patients import PATIENT_ID, draft_of, drafts_of, record_of
from tests.fhir.builders import medication_statement

CLARITHROMYCIN = {"drug": "clarithromycin 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}


def _statement(words: str, status: str, asserted: str) -> dict[str, Any]:
    return medication_statement(words, status=status, patient=PATIENT_ID, id="s1", dateAsserted=asserted)


def _of_pair(status: str, as_of: datetime, days: int = 10) -> tuple[list[tuple[str, str, str]], str]:
    asserted = (as_of - timedelta(days=days)).date().isoformat()
    record = record_of({"more": [_statement("simvastatin 40 MG Oral Tablet", status, asserted)]}, as_of)
    outcome = check(record, drafts_of(draft_of(CLARITHROMYCIN)), signing=True)
    return [one for one in findings(outcome) if one[0] == "ddi-simvastatin-cyp3a4"], texts(outcome)


def test_an_unknown_status_lowers_what_is_found_by_a_step_and_says_so(as_of: datetime) -> None:
    ((_, band, severity),), _ = _of_pair("active", as_of)
    ((_, same_band, lower),), text = _of_pair("unknown", as_of)
    assert (severity, lower) == ("critical", "warning")
    assert same_band == band
    assert "Ask whether simvastatin is taken" in text


@pytest.mark.parametrize(("status", "days"), [("unknown", 100), ("on-hold", 10), ("not-taken", 10)])
def test_what_is_not_taken_or_was_reported_long_ago_is_no_partner(status: str, days: int, as_of: datetime) -> None:
    assert _of_pair(status, as_of, days)[0] == []


@pytest.mark.parametrize(("count", "more"), [(5, "."), (6, " and 1 more."), (8, " and 3 more.")])
def test_of_what_is_on_hold_five_have_their_names(count: int, more: str, as_of: datetime) -> None:
    drugs = ("simvastatin", "lisinopril", "metformin", "sertraline", "omeprazole", "furosemide", "digoxin", "warfarin")
    asserted = (as_of - timedelta(days=10)).date().isoformat()
    held = [
        _statement(f"{drug} 5 MG Oral Tablet", "on-hold", asserted) | {"id": f"held-{number}"}
        for number, drug in enumerate(drugs[:count])
    ]
    outcome = check(record_of({"more": held}, as_of), drafts_of(draft_of(CLARITHROMYCIN)))
    (text,) = [silence.text for silence in outcome.silences if silence.reason == "on-hold"]
    assert text.endswith(more)
    assert sum(drug in text for drug in drugs) == 5
    assert text.count(";") == 4


def test_what_was_found_has_the_names_of_rule_and_band(as_of: datetime) -> None:
    """By these a suggestion is refused after which another band or rule speaks."""
    draft = drafts_of(draft_of({"drug": "861007", "dose": "1 tablet", "times": 2}))
    session = PatientSession(record_of({"labs": [["egfr", 20]]}, as_of), draft, signing=True)
    evaluation = rule_book().evaluate(session, session.drafted[0])
    outcome = check(record_of({"labs": [["egfr", 20]]}, as_of), draft, signing=True)
    assert evaluation.finding_keys == {(rule, band) for rule, band, _ in findings(outcome)}
    assert ("renal-metformin", "lt30") in evaluation.finding_keys


def test_a_partner_of_today_is_named_before_one_of_years_ago(as_of: datetime) -> None:
    active = [{"drug": "diazepam 5 MG Oral Tablet", "days_ago": 3000}, {"drug": "lorazepam 1 MG Oral Tablet"}]
    draft = drafts_of(draft_of({"drug": "oxycodone hydrochloride 5 MG Oral Tablet", "dose": "1 tablet", "times": 2}))
    for order in (active, active[::-1]):
        card = check(record_of({"age": 50, "active": order}, as_of), draft, signing=True).cards[0]
        assert card.summary.startswith("Oxycodone with lorazepam")
