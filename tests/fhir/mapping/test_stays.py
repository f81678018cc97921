"""Whether the patient is in hospital, and what is left out of an estimate for people at home because of it."""

from math import isnan
from typing import Any

import msgspec
import pytest

from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import Missing, map_features
from fhir.mapping.stays import (
    admitted_as_emergency,
    current_stay,
    destination_in_words,
    destination_named,
    destination_of,
    discharge_destination,
    emergency_visits_before,
    is_in_intensive_care,
    is_inpatient,
    is_left_open,
    length_of_stay,
    named_units,
    stays_before,
    stays_in_hospital,
    without_stays,
)
from fhir.record.datatypes import CodeableConcept, Coding
from fhir.record.resources import Encounter
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import AS_OF, encounter, observation, record_of
from tests.fhir.builders import record_of as record_of_call


def _stay(code: str = "IMP", status: str = "in-progress", **period: str) -> dict[str, Any]:
    return encounter(code, status, id="e1", period=period)


@for_rows(
    ("stay", "inside"),
    [
        (_stay(start="2026-11-18"), True),
        (_stay("ACUTE", start="2026-11-18"), True),
        (_stay("AMB", start="2026-11-18"), False),
        (_stay("EMER", start="2026-11-18"), False),
        (_stay(start="2026-11-25"), False),
        (_stay(status="finished", start="2026-11-18"), False),
        (_stay(status="finished", start="2026-11-18", end="2026-11-20"), True),
        (_stay(status="finished", start="2026-11-18", end="2026-11-20T08:59:00Z"), False),
        (_stay(status="finished", start="2026-11-18", end="2026-11-20T09:00:00Z"), True),
        (_stay(status="finished", start="2026-11-18", end="2026-11-22T08:00:00Z"), True),
        (_stay(status="finished", end="2026-11-22"), False),
        (_stay(status="planned", start="2026-11-18"), False),
        (_stay(status="planned", start="2026-11-18", end="2026-11-25"), False),
    ],
)
def test_a_stay_covers_its_period(stay: dict[str, Any], inside: bool) -> None:
    assert is_inpatient(record_of(stay)) is inside


def test_the_units_of_visits_in_progress_have_their_name_or_their_id() -> None:
    wards = [{"location": place} for place in ({"reference": "Location/icu-2"}, {"display": "Ward 3"}, {})]
    over = encounter("IMP", "finished", id="e2", location=[{"location": {"display": "Ward 9"}}])
    assert named_units(record_of(encounter("IMP", id="e1", location=wards), over)) == ("Ward 3", "icu-2")
    assert named_units(record_of(encounter("IMP", id="e1", serviceProvider={"display": "City"}), over)) == ("City",)
    assert named_units(record_of(over)) == named_units(record_of(encounter("IMP", id="e1"))) == ()


def test_a_chart_without_encounters_is_not_in_hospital() -> None:
    assert not is_inpatient(record_of())


@for_rows(
    ("end", "is_current"),
    [("2026-11-19T09:00:00Z", True), ("2026-11-19T08:59:59Z", False), ("2026-11-19", True), ("2026-11-18", False)],
)
def test_a_stay_that_ended_within_the_last_day_is_the_current_one(end: str, is_current: bool) -> None:
    record = record_of(_stay(status="finished", start="2026-11-10", end=end))
    assert (current_stay(record) is not None) is is_current


DISPOSITION = {"dischargeDisposition": {"text": "Home"}}


@for_rows(
    ("visit", "of_call", "end"),
    [
        (_stay(start="2026-11-10"), None, None),
        # One that nobody has closed, and one that is over without an end, are open only where the call is about it.
        (_stay(start="2025-11-01"), None, "2025-11-01"),
        (_stay(start="2025-11-01"), "e1", None),
        (_stay(status="finished", start="2026-11-10"), None, "2026-11-10"),
        (_stay(status="finished", start="2026-11-10"), "e1", None),
        (_stay(status="finished", start="2026-11-10") | {"id": None}, None, "2026-11-10"),
        (_stay(start="2025-11-01", end="2025-11-05"), None, "2025-11-05"),
        # Of another class it is a stay with a disposition, after a day or more.
        (_stay("EMER", "finished", start="2026-11-10T06:00:00Z", end="2026-11-11T06:00:00Z")
         | {"hospitalization": DISPOSITION}, None, "2026-11-11T06:00:00Z"),
        (_stay("EMER", "finished", start="2026-11-10T06:00:00Z", end="2026-11-11T05:59:59Z")
         | {"hospitalization": DISPOSITION}, None, "none"),
        (_stay("EMER", "finished", start="2026-11-10", end="2026-11-13") | {"hospitalization": {}}, None, "none"),
        (_stay(status="finished", start="2026-11-10", end="2026-11-13")
         | {"class": None, "hospitalization": DISPOSITION}, None, "none"),
    ],
)  # fmt: skip
def test_when_a_stay_ended_and_what_is_none(visit: dict[str, Any], of_call: str | None, end: str | None) -> None:
    stays = stays_in_hospital(record_of(visit, encounter_id=of_call))
    ends = [stay.end.text if stay.end is not None else None for stay in stays]
    assert ends == ([] if end == "none" else [end])


def test_of_two_stays_of_the_same_time_that_of_the_call_counts() -> None:
    twice = [_stay(start="2026-11-10") | {"id": name} for name in ("e1", "e2")]
    for of_call in ("e1", "e2"):
        (stay,) = stays_in_hospital(record_of(*twice, encounter_id=of_call))
        assert stay.encounter.id == of_call


@for_rows(
    ("hospitalization", "key"),
    [
        ({"dischargeDisposition": {"text": "Rehab"}, "destination": {"display": "Home"}}, "rehabilitation"),
        ({"dischargeDisposition": {"text": "Court"}, "destination": {"display": "Sunrise Nursing Home"}},
         "intermediate_care"),
        ({"destination": {"reference": "Location/l1"}}, None),
        ({"dischargeDisposition": {"text": "Court"}}, None),
        (None, None),
    ],
)  # fmt: skip
def test_where_the_current_stay_ends(hospitalization: dict[str, Any] | None, key: str | None) -> None:
    read = discharge_destination(record_of(_stay(start="2026-11-10") | {"hospitalization": hospitalization}))
    assert (read[0].key if read is not None else None) == key
    assert discharge_destination(record_of()) is None


@for_rows(("status", "is_there"), [("in-progress", True), ("finished", False)])
@for_rows("place", [{"type": [{"text": "Medical ICU"}]}, {"location": [{"location": {"display": "Intensive care"}}]}])
def test_intensive_care_is_of_a_visit_in_progress(status: str, is_there: bool, place: dict[str, Any]) -> None:
    assert is_in_intensive_care(record_of(_stay(status=status, start="2026-11-10") | place)) is is_there


@for_rows(
    ("visit", "left_open"),
    [
        # 20 November 2025 is 365 days before 20 November 2026, and the 13th of the month seven days.
        (_stay(start="2025-11-20"), False), (_stay(start="2025-11-19"), True),
        (_stay("AMB", start="2026-11-13"), False), (_stay("AMB", start="2026-11-12"), True),
        (_stay("AMB", start="2026-11-12", end="2026-11-12"), False), (_stay("AMB"), False),
        ({name: part for name, part in _stay(start="2026-11-12").items() if name != "class"}, True),
        (_stay() | {"period": None}, False),
    ],
)  # fmt: skip
def test_a_visit_that_nobody_closed_is_over_after_a_week_and_a_stay_after_a_year(
    visit: dict[str, Any], left_open: bool
) -> None:
    assert is_left_open(msgspec.convert(visit, Encounter), AS_OF.timestamp()) is left_open


@for_rows(
    ("start", "end", "is_one"),
    [
        ("2026-11-03", "2026-11-05", True),
        ("2026-11-09T00:00:00Z", "2026-11-11T00:00:00Z", True),  # closed a day after the whole
        ("2026-11-09T00:00:00Z", "2026-11-11T00:00:01Z", False),
        ("2026-11-10T00:00:00Z", "2026-11-10T12:00:00Z", False),  # begun when the whole ended
        ("2026-10-31T00:00:00Z", "2026-11-02T00:00:00Z", False),
    ],
)
def test_a_stay_within_a_longer_one_is_a_part_of_it(start: str, end: str, is_one: bool) -> None:
    whole = _stay(status="finished", start="2026-11-01T00:00:00Z", end="2026-11-10T00:00:00Z")
    other = _stay(status="finished", start=start, end=end) | {"id": "e2"}
    stays = stays_in_hospital(record_of(whole, other))
    assert sorted(stay.source for stay in stays) == ["Encounter/e1", *([] if is_one else ["Encounter/e2"])]


@for_rows(
    ("start", "end", "fact"),
    [
        ("2026-11-18", "2026-11-19", (1.0, "day", "Encounter/e1")),
        ("2026-11-18", "2026-11-18", (0.0, "days", "Encounter/e1")),
        ("2026-11-18T23:00:00Z", "2026-11-20T01:00:00Z", (2.0, "days", "Encounter/e1")),
        # By the calendar of the place: 23:30 there and half past midnight of the next day.
        ("2026-11-18T23:30:00-05:00", "2026-11-19T00:30:00-05:00", (1.0, "day", "Encounter/e1")),
        ("2026-11-19T19:00:00-05:00", "2026-11-19T23:00:00-05:00", (0.0, "days", "Encounter/e1")),
    ],
)
def test_the_length_of_a_stay_is_counted_in_nights(start: str, end: str, fact: tuple[float, str, str]) -> None:
    record = record_of(_stay(status="finished", start=start, end=end), as_of=AS_OF)
    (stay,) = stays_in_hospital(record)
    assert length_of_stay(record, stay) == fact


@for_rows(
    ("more", "fact"),
    [
        ({}, (0.0, "not charted as an emergency")),
        ({"priority": {"coding": [{"code": "EM"}]}}, (1.0, "urgent")),
        ({"priority": {"text": "Urgent"}}, (1.0, "urgent")),
        ({"priority": {"text": "Non-urgent"}}, (0.0, "not charted as an emergency")),
        ({"priority": {"coding": [{"code": "R"}]}}, (0.0, "not charted as an emergency")),
        ({"hospitalization": {"admitSource": {"coding": [{"code": "emd"}]}}}, (1.0, "from the emergency department")),
        ({"hospitalization": {"admitSource": {"coding": [{"code": "EMERGENCY ROOM"}]}}},
         (1.0, "from the emergency department")),
        ({"hospitalization": {"admitSource": {"text": "Home"}}}, (0.0, "not charted as an emergency")),
        ({"hospitalization": {}, "priority": {"text": "Elective"}}, (0.0, "not charted as an emergency")),
    ],
)  # fmt: skip
def test_a_stay_began_as_an_emergency_or_not(more: dict[str, Any], fact: tuple[float, str]) -> None:
    record = record_of(_stay(start="2026-11-18") | more)
    (stay,) = stays_in_hospital(record)
    assert admitted_as_emergency(record, stay) == (*fact, "Encounter/e1")


@for_rows(
    ("start", "end", "led"),
    [
        ("2026-11-17T20:00:00Z", "2026-11-18T02:00:00Z", True),
        ("2026-11-17T01:00:00Z", "2026-11-17T06:00:00Z", True),  # ended the day before
        ("2026-11-17T01:00:00Z", "2026-11-17T05:59:59Z", False),
        ("2026-11-18T06:00:00Z", "2026-11-18T09:00:00Z", True),  # begun with the stay
        ("2026-11-18T06:00:01Z", "2026-11-18T09:00:00Z", False),
        ("2026-11-16", "2026-11-16", False),
        ("2026-11-16", "2026-11-17", True),
    ],
)
def test_an_emergency_visit_led_to_a_stay_that_began_within_a_day_of_it(start: str, end: str, led: bool) -> None:
    visit = _stay("EMER", "finished", start=start, end=end) | {"id": "ed"}
    record = record_of(_stay(start="2026-11-18T06:00:00Z"), visit)
    (stay,) = stays_in_hospital(record)
    assert admitted_as_emergency(record, stay) == (
        (1.0, "through the emergency department", "Encounter/ed")
        if led
        else (0.0, "not charted as an emergency", "Encounter/e1")
    )


@pytest.mark.parametrize(
    ("start", "end", "counts"),
    [
        # A year is 365.25 days: from 3 o'clock on 20 November 2025 to 9 o'clock on 20 November 2026.
        ("2025-11-20T03:00:00Z", "2025-11-22T00:00:00Z", True),
        ("2025-11-20T02:59:59Z", "2025-11-22T00:00:00Z", False),
        ("2026-06-01T00:00:00Z", "2026-06-05T00:00:00Z", True),
    ],
)
def test_stays_of_the_year_before_are_counted_with_the_newest_as_their_source(
    start: str, end: str, counts: bool
) -> None:
    record = record_of(_stay(status="finished", start=start, end=end))
    expected = (1.0, "stay", "Encounter/e1") if counts else (0.0, "stays", "Patient/p1")
    assert stays_before(record, None) == expected


def test_the_stay_itself_and_what_went_over_into_it_are_no_earlier_stays() -> None:
    now = _stay(start="2026-11-18T12:00:00Z") | {"id": "now"}
    ward = {"hospitalization": {"admitSource": {"coding": [{"code": "hosp-trans"}]}}}
    day_before = _stay(status="finished", start="2026-11-10T00:00:00Z", end="2026-11-18T06:00:00Z") | {"id": "before"}
    summer = _stay(status="finished", start="2026-06-01T00:00:00Z", end="2026-06-05T00:00:00Z") | {"id": "summer"}
    for first, expected in ((now, (2.0, "stays", "Encounter/before")), (now | ward, (1.0, "stay", "Encounter/summer"))):
        record = record_of(first, day_before, summer)
        assert stays_before(record, current_stay(record)) == expected
    in_words = {"hospitalization": {"admitSource": {"text": "Transfer from another hospital"}}}
    for end, count in (("2026-11-17T12:00:00Z", 0.0), ("2026-11-17T11:59:59Z", 1.0)):  # within a day
        moved = day_before | {"period": {"start": "2026-11-10T00:00:00Z", "end": end}}
        record = record_of(now | in_words, moved)
        assert stays_before(record, current_stay(record))[0] == count
    # A later stay does not come in between.
    ended = {"period": {"start": "2026-11-12T12:00:00Z", "end": "2026-11-13T12:00:00Z"}}
    first = day_before | {"period": {"start": "2026-11-01T00:00:00Z", "end": "2026-11-12T06:00:00Z"}}
    later = _stay(status="finished", start="2026-11-14T12:00:00Z", end="2026-11-15T12:00:00Z") | {"id": "later"}
    record = record_of(now, later, _stay(status="finished") | in_words | ended, first, encounter_id="e1")
    assert stays_before(record, current_stay(record))[0] == 0.0
    alone = record_of(now)
    assert stays_before(alone, current_stay(alone)) == (0.0, "stays", "Encounter/now")


@for_rows(
    ("visit", "of_call", "counts"),
    [
        (_stay("EMER", "finished", start="2026-11-18", end="2026-11-19"), None, True),
        (_stay("EMER", "finished", start="2026-11-18", end="2026-11-19"), "e1", False),
        (_stay("EMER", "finished", start="2026-11-18", end="2026-11-19"), "e2", True),
        (_stay("EMER", "finished", start="2026-11-20", end="2026-11-20T08:59:59Z"), None, True),
        (_stay("EMER", "finished", start="2026-11-20", end="2026-11-20T09:00:00Z"), None, False),
        (_stay("EMER", start="2026-11-18"), None, False),
        (_stay("EMER", start="2026-11-01"), None, True),  # nobody closed it
    ],
)
def test_the_visit_at_hand_is_none_before_now(visit: dict[str, Any], of_call: str | None, counts: bool) -> None:
    record = record_of_call(visit, encounter_id=of_call)
    assert emergency_visits_before(record, None)[0] == (1.0 if counts else 0.0)


CREATININE, AGE = FEATURES = features_named(("creatinine_mg_dl", "age_years"))


def visit(code: str, start: str, end: str | None) -> dict[str, Any]:
    period = {"start": start} | ({"end": end} if end else {})
    return builders.encounter(code, "finished" if end else "in-progress", id=code, period=period)


STAY = visit("IMP", "2026-09-10T08:00:00Z", "2026-09-15T08:00:00Z")
EMERGENCY = visit("EMER", "2026-09-10T08:00:00Z", "2026-09-10T12:00:00Z")


@for_rows(
    ("encounter", "emergencies", "when", "occasion"),
    [
        (STAY, False, "2026-09-09T07:59:00Z", None),
        (STAY, False, "2026-09-09T08:00:00Z", "a stay in hospital or the two weeks after it"),
        (STAY, False, "2026-09-29T08:00:00Z", "a stay in hospital or the two weeks after it"),
        (STAY, False, "2026-09-29T08:01:00Z", None),
        (visit("IMP", "2026-11-18T08:00:00Z", None), False, "2026-11-19",
         "a stay in hospital or the two weeks after it"),
        (EMERGENCY, False, "2026-09-10T09:00:00Z", None),
        (EMERGENCY, True, "2026-09-10T07:59:00Z", None),
        (EMERGENCY, True, "2026-09-10T08:00:00Z", "an emergency visit"),
        (EMERGENCY, True, "2026-09-11T12:00:00Z", "an emergency visit"),
        (EMERGENCY, True, "2026-09-11T12:01:00Z", None),
        (visit("EMER", "2026-11-19T08:00:00Z", None), True, "2026-11-20T08:00:00Z", "an emergency visit"),
        (visit("AMB", "2026-09-10", "2026-09-10"), True, "2026-09-10", None),
    ],
)  # fmt: skip
def test_a_value_of_a_stay_is_refused_with_the_occasion(
    encounter: dict[str, Any], emergencies: bool, when: str, occasion: str | None
) -> None:
    record = record_of(encounter, observation("2160-0", 1.2, "mg/dL", when))
    vector = map_features(record, FEATURES)
    read = without_stays(record, vector, emergencies=emergencies)
    assert read.features == FEATURES
    assert (read.values[1], read.evidence[1]) == (70.0, vector.evidence[1])
    if occasion is None:
        assert (read.values[0], read.evidence[0], read.missing) == (1.2, vector.evidence[0], [])
    else:
        assert isnan(read.values[0])
        assert read.evidence[0] is None
        text = f"Creatinine of {when[:10]} is of {occasion}."
        assert read.missing == [Missing(CREATININE, "refused", text)]
    assert vector.values[0] == 1.2


def test_without_a_stay_the_vector_is_the_same() -> None:
    record = record_of(observation("2160-0", 1.2, "mg/dL"))
    vector = map_features(record, FEATURES)
    assert without_stays(record, vector, emergencies=True) is vector
    in_stay = record_of(STAY)
    without = map_features(in_stay, FEATURES)
    assert without_stays(in_stay, without).missing == without.missing


NUBC, OTHER = "https://www.nubc.org/CodeSystem/PatDischargeStatus", "urn:oid:1.2.840.114350.1.13"


def key(destination: object) -> str | None:
    return getattr(destination, "key", None)


@for_rows(
    ("code", "expected"),
    [("01", "home"), ("1", "home"), (" snf ", "skilled_nursing"), ("SNF", "skilled_nursing"), ("", None), (None, None),
     ("0", None), ("20", "died"), ("exp", "died"), ("hosp", "hospice"), ("50", "hospice"), ("30", None)],
)  # fmt: skip
def test_a_code_is_read_however_it_is_written(code: str | None, expected: str | None) -> None:
    assert key(destination_of(code)) == expected


@for_rows(
    ("words", "expected"),
    [
        ("Hospice at home", "hospice"),
        ("Long-term acute care", "long_term_hospital"),
        ("Psychiatric unit", "psychiatric"),
        ("Patient expired", "died"),
        ("Nursing facility", "skilled_nursing"),
        ("Nursing home", "intermediate_care"),
        ("Rehab", "rehabilitation"),
        ("Home health service", "home_health"),
        ("HOME", "home"),
        ("Acute care hospital", "hospital"),
        ("Court", None),
    ],
)
def test_words_name_a_destination(words: str, expected: str | None) -> None:
    assert key(destination_in_words(words)) == expected


@for_rows(
    ("codings", "text", "expected"),
    [
        (((NUBC, "06", None),), None, "home_health"),
        (((OTHER, "06", None),), None, None),
        (((None, "06", None),), None, "home_health"),
        (((OTHER, "06", "Hospice"),), None, "hospice"),
        (((OTHER, "06", "Hospice"), (NUBC, "01", None)), "Rehab", "home"),
        (((OTHER, "06", "Hospice"),), "Rehab", "rehabilitation"),
        (((NUBC, "30", "Hospice"),), "Still here", "hospice"),
        ((("urn:oid:2.16.840.1.113883.12.112", "03", None),), None, "skilled_nursing"),
        ((("urn:oid:2.16.840.1.113883.12.1121", "03", None),), None, None),
        ((), None, None),
    ],
)
def test_codes_go_before_words_and_the_text_before_a_display(
    codings: tuple[tuple[str | None, str, str], ...], text: str, expected: str | None
) -> None:
    concept = CodeableConcept(tuple(Coding(*coding) for coding in codings), text)
    assert key(destination_named(concept)) == expected
    assert destination_named(None) is None
