"""Reminders in the light of the visit: check-ups, other purposes, outlook, abnormal results, early follow-up."""

from pathlib import Path
from typing import Any

from tests.cds_hooks.services.chart_cases import (
    answers,
    operation,
    patient,
    problem,
    reasons_of,
    request,
    result,
    stay,
    text_of,
    visit,
)

Json = dict[str, Any]
CHECK_UP = visit(type=[{"text": "Encounter for check up"}])
POSITIVE_STOOL = {
    **{name: value for name, value in result("77353-1", 1, "1").items() if name != "valueQuantity"},
    "valueString": "Positive",
}
# Somebody of an age and sex with these entries: what the card says, and what it does not.
PREVENTION: list[tuple[int, str, list[Json], str, str]] = [
    (45, "male", [], "For a check-up: **Hepatitis C screening**", "Order: Hepatitis C"),
    (45, "male", [CHECK_UP], "Hepatitis C", "nothing"),
    (50, "female", [problem("Pregnancy", "Z33.1", when="2026-09-01")], "Colorectal", "Breast cancer screening**"),
    (50, "male", [problem("Family history of colon cancer", "Z80.0"), CHECK_UP], "Hepatitis C", "Colorectal cancer sc"),
    (60, "male", [problem("Chronic lymphocytic leukemia", "C91.10")], "Colorectal", "nothing"),
    (60, "male", [POSITIVE_STOOL, visit(type=[{"text": "Encounter for problem"}])], "colonoscopy within", "nothing"),
]


def test_reminders_fit_the_visit_and_the_patient(tmp_path: Path) -> None:
    charts = [[patient(age, sex), *entries] for age, sex, entries, _, _ in PREVENTION]
    for answer, (_, _, entries, words, absent) in zip(
        answers(tmp_path, "preventive-services", charts), PREVENTION, strict=True
    ):
        text = text_of(answer)
        assert words in text, (entries, text)
        assert absent not in text, (entries, text)


def test_a_visit_for_something_else_keeps_reminders_for_the_worklist(tmp_path: Path) -> None:
    visits = [
        visit(type=[{"text": words}])
        for words in (
            "Encounter for problem",
            "Prenatal visit",
            "Urgent care visit",
            "Ankle sprain",
            "Sore throat",
            "Headache",
            "Fever and cough",
        )
    ]
    for service in ("preventive-services", "vaccines-due"):
        answered = answers(tmp_path / service, service, [[patient(62, "female"), kind] for kind in visits])
        assert [answer["cards"] for answer in answered] == [[]] * len(visits)
        assert all("worklist" in reasons_of(answer) for answer in answered)


ILL = [
    stay("2026-11-14", id="stay"),
    *(stay(f"2026-0{month}-07", f"2026-0{month}-12") for month in range(1, 8)),
    result("718-7", 9.8, "g/dL", "2026-11-21"),
    result("2951-2", 131, "mmol/L", "2026-11-21"),
    problem("Heart failure", "I50.22"),
    problem("Lung cancer", "C34.90"),
]


def booked(day: str, words: str = "Post-discharge visit", status: str = "booked", of: str = "") -> Json:
    """A booked visit of somebody; without a name nothing says whose it is."""
    who = [{"actor": {"reference": f"Patient/{of}"}}] if of else []
    return {
        "resourceType": "Appointment", "status": status, "description": words, "start": f"{day}T09:00:00Z",
        "participant": who,
    }  # fmt: skip


ARRANGED: list[tuple[Json, bool]] = [
    (request("Follow-up visit in 1 week"), True),
    (request("Follow-up visit"), True),
    (request("Follow-up visit in 8 weeks with surgery"), False),
    (request("3-month follow-up, cardiology"), False),
    (request("Follow-up visit", occurrenceDateTime="2027-01-20"), False),
    (request("Follow-up visit", occurrenceDateTime="2026-11-27"), True),
    (operation("Follow-up CT chest", "2026-11-21"), False),
    (booked("2026-11-26"), True),
    (booked("2027-01-15"), False),
    (booked("2026-11-26", status="cancelled"), False),
    (booked("2026-11-26", words="CT chest"), False),
    (booked("2026-11-26", of="somebody-else"), False),
]


def test_only_an_early_follow_up_is_one(tmp_path: Path) -> None:
    charts = [[patient(74, "male"), *ILL, arranged] for arranged, _ in ARRANGED]
    for answer, (arranged, is_early) in zip(answers(tmp_path, "discharge-follow-up", charts), ARRANGED, strict=True):
        assert ("already-done" in reasons_of(answer)) is is_early, arranged
        assert bool(answer["cards"]) is not is_early, arranged
