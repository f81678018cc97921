"""Vaccine doses on a record: which entries are doses, and which are refused and why."""

from datetime import UTC, date, datetime
from typing import Any

from fhir.mapping.immunizations import VaccineHistory, vaccine_history
from fhir.record.record import read_record
from fhir.terminology.medications import CVX
from tests.each import for_rows
from tests.fhir.builders import bundle, concept, lean, made, subject_of

AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def history(*entries: dict[str, Any]) -> VaccineHistory:
    dose = {"status": "completed", "vaccineCode": concept(code="03", system=CVX), "patient": subject_of("p")}
    doses = [
        made("Immunization", id=f"dose-{number}", occurrenceDateTime="2021-02-03", **dose) | entry
        for number, entry in enumerate(entries)
    ]
    child = made("Patient", id="p", birthDate="2020-01-01")
    return vaccine_history(read_record({"all": lean(bundle(child, *doses))}, "p", AS_OF))


@for_rows("entry")
def test_what_was_not_given_is_no_dose_and_no_fault(entry: dict[str, Any]) -> None:
    found = history(entry)
    assert (found.doses, found.unread) == ((), ())


@for_rows(("more", "is_substandard"))
def test_a_weak_or_expired_dose_is_substandard(more: dict[str, Any], is_substandard: bool) -> None:
    assert [dose.substandard for dose in history(more).doses] == [is_substandard]


def test_doses_come_by_day_and_one_entry_of_a_vaccine_and_day_counts() -> None:
    later, earlier = {"occurrenceDateTime": "2022-01-01"}, {"occurrenceDateTime": "2021-01-01T10:00:00Z"}
    other = {"occurrenceDateTime": "2022-01-01", "vaccineCode": {"coding": [{"system": CVX, "code": "21"}]}}
    read = history(later, earlier, later, other, {"status": "not-done"})
    assert [(dose.cvx, dose.given, dose.source) for dose in read.doses] == [
        ("03", date(2021, 1, 1), "Immunization/dose-1"),
        ("03", date(2022, 1, 1), "Immunization/dose-0"),
        ("21", date(2022, 1, 1), "Immunization/dose-3"),
    ]
    assert read.days == (date(2021, 1, 1), date(2022, 1, 1))
    assert read.unread == ()
    assert history({"vaccineCode": {"coding": [{"system": CVX, "code": "998"}]}}) == VaccineHistory((), ())
