"""Who is followed up after discharge: whom it is not for, which score is shown, and the card of each as a whole."""

from typing import Any

import pytest

from cds_hooks.services._follow_up import advise_by_scores, reason_for_no_follow_up
from cds_hooks.services._service import Advice
from fhir.record.refusals import WhyNot
from tests.cds_hooks.services.deciding import call_about
from tests.cds_hooks.services.test_decisions_by_themselves import (
    Json,
    booking,
    days_ago,
    referral,
    stay,
    visit,
)
from tests.each import for_rows
from tests.fhir.builders import ICD10, WOMAN, condition, observation, record_of

NOT_FOR = "outside-population"


def leaving_for(code: str, **more: Any) -> Json:
    coding = {"system": "http://terminology.hl7.org/CodeSystem/discharge-disposition", "code": code}
    emergency = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/admit-source", "code": "emd"}]}
    return stay(hospitalization={"dischargeDisposition": {"coding": [coding]}, "admitSource": emergency}, **more)


@for_rows(
    ("resources", "patient", "reason"),
    [
        ([stay()], WOMAN, None),
        ([leaving_for("home")], WOMAN, None),
        ([leaving_for("snf")], WOMAN, None),
        ([stay()], WOMAN | {"deceasedBoolean": True}, ("deceased", "The patient has died.")),
        ([], WOMAN, (NOT_FOR, "No stay in hospital is on the chart that could end.")),
        ([leaving_for("exp")], WOMAN, (NOT_FOR, "The stay ends in hospice care or with death.")),
        ([leaving_for("hosp")], WOMAN, (NOT_FOR, "The stay ends in hospice care or with death.")),
        ([leaving_for("psy")], WOMAN,
         (NOT_FOR, "The patient goes to a psychiatric hospital: who follows up is decided there.")),
        ([leaving_for("other-hcf")], WOMAN,
         (NOT_FOR, "The patient goes to another inpatient institution: who follows up is decided there.")),
        ([stay(), referral("Clinic follow-up", days_ago(5))], WOMAN,
         ("already-done", "A follow-up is arranged (ServiceRequest/s1).")),
        ([stay(), referral("Clinic follow-up", days_ago(7))], WOMAN, None),
        ([stay(), referral("Follow-up CT chest", days_ago(1))], WOMAN, None),
        ([stay(), referral("Follow-up visit in 8 weeks", days_ago(1))], WOMAN, None),
        ([stay(), referral("Follow-up", days_ago(1), occurrenceDateTime=days_ago(-14))], WOMAN,
         ("already-done", "A follow-up is arranged (ServiceRequest/s1).")),
        ([stay(), referral("Follow-up", days_ago(1), occurrenceDateTime=days_ago(-14.1))], WOMAN, None),
        ([stay(), booking(3)], WOMAN, ("already-done", "A follow-up is arranged (Appointment/a1).")),
        ([stay(), referral("Clinic follow-up", days_ago(1)), booking(3)], WOMAN,
         ("already-done", "A follow-up is arranged (ServiceRequest/s1).")),
    ],
)  # fmt: skip
def test_whom_a_follow_up_is_not_proposed_for(
    resources: list[Json], patient: Json, reason: tuple[str, str] | None
) -> None:
    advice = reason_for_no_follow_up(record_of(*resources, patient=patient), "s")
    assert advice == (Advice(silences=[WhyNot("s", *reason)]) if reason is not None else None)


def hemoglobin(value: float, days: float = 1) -> Json:
    return observation("718-7", value, "g/dL", days_ago(days))


def sodium(value: float, days: float = 1) -> Json:
    return observation("2951-2", value, "mmol/L", days_ago(days))


HOME = leaving_for("home")
ILL = (condition("I50.9", ICD10), condition("J44.9", ICD10))
"""Heart failure and chronic lung disease: 2 + 2 points of comorbidity, which are 5 of LACE."""
VISITS = tuple(
    visit("EMER", "finished", identifier=f"er{at}", period={"start": days_ago(40 + at), "end": days_ago(39.9 + at)})
    for at in (0, 20)
)
# HOSPITAL: 5 days 2, emergency 1, haemoglobin under 12 1, sodium under 135 1; with two stays in the year 2 more.
FIVE = (HOME, hemoglobin(11.9), sodium(134))
# LACE: 4 days or more 4, emergency 3, comorbidity 5, two emergency visits 2.
FOURTEEN = (*ILL, *VISITS)


@pytest.mark.parametrize(("days", "is_read"), [(6, True), (6.1, False)])
def test_a_value_from_before_the_stay_is_none(days: float, *, is_read: bool) -> None:
    advice = advise_by_scores(call_about(HOME, hemoglobin(11.9, days), sodium(134), *FOURTEEN))
    (card,) = advice.cards
    assert ("**HOSPITAL score 5**" in (card.detail or "")) is is_read
    first = advise_by_scores(call_about(HOME, hemoglobin(11.9, days), sodium(134))).silences[0]
    assert first.reason == ("below-threshold" if is_read else "input-missing")
    if not is_read:
        assert first.text == "HOSPITAL score: Hemoglobin is from before this stay (2026-11-14)."


def test_where_the_stay_ends_is_said_to_be_unknown() -> None:
    unknown = stay(hospitalization={"admitSource": HOME["hospitalization"]["admitSource"]})
    (card,) = advise_by_scores(call_about(unknown, *FOURTEEN)).cards
    words = "Where the stay ends is not charted; the score is for people who go home. A chart of one site counts"
    assert words in (card.detail or "")
