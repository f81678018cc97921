"""What the services share, each decision by itself on a chart of a line or two: on and beside its limits."""

import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from cds_hooks.services._anticoagulation import (
    Anticoagulation,
    _is_recent,
    anticoagulation,
    past_rhythm,
    reason_against,
    still_holds,
    stopped_anticoagulant,
)
from cds_hooks.services._declared import _in_words
from cds_hooks.services._equation import (
    find_named_in_chart,
    is_moment_for_reminder,
    is_moment_for_review,
    is_moment_for_talk,
    is_visit,
    kept_for_worklist,
    limited_outlook,
    named_by_problem,
    reason_not_to_advise,
    today,
)
from cds_hooks.services._follow_up import (
    _gave_birth,
    _is_before,
    _outside_scores,
    booked_follow_up,
)
from cds_hooks.services._service import ServiceInput
from cds_hooks.services.anticoagulation_discussion import EQUATION, _for_any_rhythm
from cds_hooks.services.nephrology_referral import _has_albuminuria, _is_low
from fhir.mapping.conditions import ConditionHit
from fhir.mapping.stays import current_stay
from fhir.record.datatypes import parse_time
from fhir.record.record import PatientRecord
from fhir.record.refusals import WhyNot
from models_onnx.equations.calculate import inputs_from_record
from models_onnx.equations.declaration import get_equation
from tests.each import for_rows
from tests.fhir import builders
from tests.fhir.builders import (
    AS_OF,
    ICD10,
    MAN,
    SUBJECT,
    WOMAN,
    coded,
    condition,
    observation,
    procedure,
    record_of,
    request,
    service_request,
)

Json = dict[str, Any]


def days_ago(days: float) -> str:
    return (AS_OF - timedelta(days=days)).isoformat()


def problem(words: str, when: str | None = None, **more: Any) -> Json:
    made: Json = {"resourceType": "Condition", "id": "c1", "code": {"text": words}, "subject": SUBJECT}
    onset = {"onsetDateTime": when} if when is not None else {}
    return made | {"clinicalStatus": {"coding": [{"code": "active"}]}} | onset | more


def operation(words: str, when: str | None = None, status: str = "completed", **more: Any) -> Json:
    performed = {"performedDateTime": when} if when is not None else {}
    return procedure(words, status=status, id="p1") | performed | more


def referral(words: str, when: str = "2026-11-01", **more: Any) -> Json:
    return service_request(words, id="s1", authoredOn=when) | more


def visit(kind: str = "AMB", status: str = "in-progress", identifier: str = "e1", **more: Any) -> Json:
    return builders.encounter(kind, status, id=identifier, period={"start": AS_OF.date().isoformat()}) | more


def call(*resources: Json, user: str | None = "Practitioner/1", encounter: str | None = None) -> ServiceInput:
    """As much of a call as these decisions read."""
    context = SimpleNamespace(user_id=user, encounter_id=encounter)
    made = SimpleNamespace(record=record_of(*resources), request=SimpleNamespace(context=context))
    return cast("ServiceInput", made)


# Anticoagulants


EXPECTING = condition("77386006", onsetDateTime=days_ago(60))
YOUNG = WOMAN | {"birthDate": "1996-11-20"}


def blood(code: str, value: float, unit: str, days: float = 1) -> Json:
    return observation(code, value, unit, days_ago(days), id="o1")


@for_rows(
    ("resource", "begins"),
    [
        (blood("718-7", 7.9, "g/dL"), "Haemoglobin 7.9 g/dL (2026-11-19) is under 8 g/dL (CTCAE 5.0, grade 3): no"),
        (blood("718-7", 8.0, "g/dL"), None),
        (blood("718-7", 7.9, "g/dL", 89), "Haemoglobin"),
        (blood("718-7", 7.9, "g/dL", 92), None),
        (blood("777-3", 49, "10*3/uL"), "Platelets 49 ×10³/µL (2026-11-19) is under 50"),
        (blood("777-3", 50, "10*3/uL"), None),
        (problem("Intracranial hemorrhage", "2019-01-01"),
         "Bleeding inside the skull is on record (Intracranial hemorrhage, 2019-01-01): whether to anticoagulate after "
         "it is a decision of its own, so no score is shown."),
        (problem("Upper gastrointestinal hemorrhage", days_ago(365)),
         "Major bleeding of the last year is on record (Upper gastrointestinal hemorrhage, 2025-11-20): no talk"),
        (problem("Upper gastrointestinal hemorrhage", days_ago(367)), None),
        (operation("Watchman implant"), "The left atrial appendage is closed (Procedure/p1)"),
        (operation("LAA clip (AtriClip)"), "The left atrial appendage is closed (Procedure/p1)"),
        (operation("Watchman", status="not-done"), None),
        (referral("Watchman"), None),
        (problem("Presence of Watchman device"), "The left atrial appendage is closed (Condition/c1)"),
        (problem("Presence of Watchman device", verificationStatus={"coding": [{"code": "provisional"}]}), None),
        (problem("Presence of Watchman device", clinicalStatus={"coding": [{"code": "resolved"}]}), None),
        (problem("Family history of Watchman device"), None),
        (EXPECTING, "A pregnancy is on record: CHA2DS2-VASc was not made for it, and warfarin may"),
        (problem("Hypertension"), None),
    ],
)  # fmt: skip
def test_what_is_against_a_talk_about_an_anticoagulant(resource: Json, begins: str | None) -> None:
    silence = reason_against(record_of(resource, patient=YOUNG), "af")
    if begins is None or silence is None:
        assert (silence, begins) == (None, None)
        return
    assert silence.text.startswith(begins)
    assert silence.reason == ("already-done" if "is closed" in begins else "contraindicated")


@for_rows(
    ("when", "status", "is_recent"),
    [(None, "active", True), (None, "past", False), (days_ago(365), "past", True), (days_ago(367), "active", False)],
)
def test_a_bleeding_is_recent_by_its_date_else_by_its_state(when: str | None, status: Any, *, is_recent: bool) -> None:
    time = parse_time(when) if when is not None else None
    hit = ConditionHit("bleeding_major", "x", "", "Condition/1", time, status)
    assert _is_recent(hit, record_of()) is is_recent


WARFARIN = "warfarin 5 MG Oral Tablet"


def taken_until(words: str, days: float) -> Json:
    return builders.statement(words, effectivePeriod={"start": days_ago(500), "end": days_ago(days)})


@for_rows(
    ("orders", "text"),
    [
        ([request(WARFARIN, status="stopped", authoredOn=days_ago(365))], "stopped (ordered 2025-11-20)"),
        ([request(WARFARIN, status="stopped", authoredOn=days_ago(367))], None),
        ([request(WARFARIN, status="on-hold", authoredOn=days_ago(10))], "on hold (ordered 2026-11-10)"),
        ([request("metformin 500 MG Oral Tablet", status="stopped", authoredOn=days_ago(10))], None),
        ([request(WARFARIN, status="stopped", authoredOn=None)], None),
        ([request(WARFARIN)], None),
        ([request(WARFARIN, status="stopped", authoredOn=days_ago(10)), request("apixaban 5 mg", "m2")], None),
        ([taken_until(WARFARIN, 20)], "ended 2026-10-31"),
        ([taken_until(WARFARIN, 400)], None),
        ([taken_until("metformin 500 MG Oral Tablet", 20)], None),
        ([taken_until("heparin sodium 5000 UNT/ML Injection", 20)], None),  # in a vein, not by mouth
    ],
)
def test_an_anticoagulant_that_was_stopped_in_the_last_year_is_named(orders: list[Json], text: str | None) -> None:
    stopped = stopped_anticoagulant(record_of(*orders))
    assert (stopped is None) if text is None else (stopped or "").endswith(text)


LISTED = ConditionHit("anticoagulant_long_term", "x", "", "Condition/1", None, "active")


@for_rows(
    ("listed", "stopped", "holds"),
    [
        (None, None, True),
        (None, 10, False),
        (365, None, True),
        (367, None, False),
        (100, 90, True),
        (100, 86, True),
        (100, 85, False),
        (100, 110, True),
    ],
)
def test_long_term_use_holds_for_a_year_unless_it_was_stopped_after_the_stay(
    listed: int | None, stopped: int | None, *, holds: bool
) -> None:
    orders = [request(WARFARIN, status="stopped", authoredOn=days_ago(stopped))] if stopped is not None else []
    time = parse_time(days_ago(listed)) if listed is not None else None
    assert still_holds(replace(LISTED, time=time), record_of(*orders)) is holds


@for_rows(
    ("order", "holds"),
    [
        (request(WARFARIN, status="stopped", authoredOn=None), True),
        (request("metformin 500 MG Oral Tablet", status="stopped", authoredOn=days_ago(10)), True),
        (taken_until("metformin 500 MG Oral Tablet", 10), True),
        (taken_until(WARFARIN, 10), False),
    ],
)
def test_what_ends_long_term_use_is_an_anticoagulant_by_mouth_with_a_date(order: Json, *, holds: bool) -> None:
    listed = replace(LISTED, time=parse_time(days_ago(100)))
    assert still_holds(listed, record_of(order)) is holds


@for_rows(
    ("orders", "expected"),
    [
        ([], Anticoagulation(None, None)),
        ([request("enoxaparin")], Anticoagulation("enoxaparin", None)),
        ([request("heparin 1000 UNT/GM Topical Gel")], Anticoagulation(None, None)),
        ([request("enoxaparin prophylaxis", "a"), request("dalteparin prophylaxis", "b")],
         Anticoagulation(None, "enoxaparin")),
        ([request("apixaban 5 MG Oral Tablet")], Anticoagulation("apixaban", None)),
        ([request("enoxaparin prophylaxis")], Anticoagulation(None, "enoxaparin")),
        # a dose or a drug that treats does so whatever its words say of what it prevents
        ([request("warfarin 5 mg stroke prophylaxis")], Anticoagulation("warfarin", None)),
        ([request("enoxaparin 80 mg SC twice daily, stroke prophylaxis")], Anticoagulation("enoxaparin", None)),
        ([request("metformin 500 MG Oral Tablet")], Anticoagulation(None, None)),
        (
            [request("warfarin 5 mg", "a"), request("apixaban 5 mg", "b"), request("enoxaparin prophylaxis", "c")],
            Anticoagulation("warfarin", "enoxaparin"),
        ),
    ],
)  # fmt: skip
def test_an_anticoagulant_treats_unless_its_dose_or_words_are_of_prophylaxis(
    orders: list[Json], expected: Anticoagulation
) -> None:
    assert anticoagulation(record_of(*orders)) == expected


@pytest.mark.parametrize(("daily_mg", "treats"), [(2.5, False), (10.0, True)])
def test_two_small_doses_of_rivaroxaban_a_day_are_for_the_arteries(daily_mg: float, *, treats: bool) -> None:
    dosage = {
        "doseAndRate": [{"doseQuantity": {"value": daily_mg, "unit": "mg", "code": "mg"}}],
        "timing": {"repeat": {"frequency": 2, "period": 1, "periodUnit": "d"}},
    }
    order = request(
        coded("1114195", "rivaroxaban"),
        dosageInstruction=[dosage],
    )  # fmt: skip
    found = anticoagulation(record_of(order))
    assert (found.treating is not None, found.preventing is not None) == (treats, not treats)


@for_rows(
    ("resource", "is_there"),
    [
        (problem("History of atrial fibrillation"), True),
        (problem("Postoperative atrial fibrillation", status="resolved"), False),
        (problem("Family history of atrial fibrillation"), False),
        (problem("Paroxysmal AF s/p PVI"), True),
        (problem("AF"), True),
        (problem("Atrial fibrillation", days_ago(30)), True),
        (problem("Atrial fibrillation", verificationStatus={"coding": [{"code": "provisional"}]}), False),
        (problem("Atrial fibrillation", days_ago(-30)), False),
        (problem("Hypertension"), False),
        (operation("Pulmonary vein isolation"), True),
        (operation("Pulmonary vein isolation", status="in-progress"), False),
        (operation("Pulmonary vein isolation declined"), False),
        (operation("Colonoscopy"), False),
        (procedure(code="93656", system="http://www.ama-assn.org/go/cpt", id="p1"), True),
        (procedure(id="p1") | {"code": None}, False),
    ],
)
def test_a_past_fibrillation_is_on_the_problem_list_or_was_ablated(resource: Json, *, is_there: bool) -> None:
    hit = past_rhythm(record_of(resource))
    assert (hit is not None) is is_there
    if hit is not None and resource["resourceType"] == "Procedure":
        assert (hit.source, hit.status) == ("Procedure/p1", "past")


def test_of_a_past_rhythm_only_the_lack_of_an_active_one_is_passed_over() -> None:
    charted = inputs_from_record(EQUATION, record_of())
    assert _for_any_rhythm(charted, None) is charted
    assert (charted.excluded is not None, _for_any_rhythm(charted, LISTED).excluded) == (True, None)
    other = replace(charted, excluded=WhyNot("s", "excluded", "t", ("mitral_stenosis",)))
    assert _for_any_rhythm(other, LISTED) is other


def test_a_past_rhythm_is_given_with_its_code_and_day() -> None:
    coded_one = past_rhythm(record_of(problem("Hypertension"), condition("I48.91", ICD10)))
    assert coded_one is not None
    assert coded_one.code == "I48.91"
    in_words = past_rhythm(record_of(problem("History of atrial fibrillation")))
    assert (in_words and in_words.code) == ""
    ablated = past_rhythm(record_of(operation("Pulmonary vein isolation", "2026-05-06")))
    assert ablated is not None
    assert ablated.time is not None
    assert ablated.time.date == "2026-05-06"


# Who gets no advice


@for_rows(
    ("resources", "patient", "code"),
    [
        ([], WOMAN, None),
        ([], WOMAN | {"deceasedBoolean": True}, "deceased"),
        ([problem("Palliative care")], WOMAN, "palliative"),
        ([referral("Referral to hospice")], WOMAN, "palliative"),
        ([referral("Referral to hospice", "2025-11-10")], WOMAN, None),
        ([referral("Palliative care declined")], WOMAN, None),
        ([visit("IMP")], WOMAN, "outside-population"),
        ([visit("AMB")], MAN, None),
    ],
)
def test_who_gets_no_advice_whatever_the_result(resources: list[Json], patient: Json, code: str | None) -> None:
    record = record_of(*resources, patient=patient)
    advice = reason_not_to_advise(record, "s")
    assert ([silence.reason for silence in advice.silences] if advice is not None else None) == (
        [code] if code is not None else None
    )
    if code == "outside-population":
        assert reason_not_to_advise(record, "s", at_home=False) is None


def test_words_of_a_short_life_name_no_single_disease() -> None:
    record = record_of(problem("Limited life expectancy"), problem("Metastatic breast cancer", id="c2"))
    assert named_by_problem(record_of(problem("Mother: metastatic breast cancer")), "cancer_metastatic") is None
    hit = named_by_problem(record, "cancer_metastatic")
    assert hit is not None
    assert hit.source == "Condition/c2"


@for_rows(
    ("words", "more", "text"),
    [
        ("Metastatic breast cancer", {}, "Metastatic breast cancer"),
        ("Limited life expectancy", {}, "Limited life expectancy"),
        ("Prognosis less than six months", {}, "Prognosis less than six months"),
        ("Family history: limited life expectancy", {}, None),
        ("Limited life expectancy", {"clinicalStatus": {"coding": [{"code": "resolved"}]}}, None),
        ("Hypertension", {}, None),
    ],
)
def test_a_problem_that_decides_the_outlook_is_given_in_its_words(words: str, more: Json, text: str | None) -> None:
    assert limited_outlook(record_of(problem(words, **more))) == text


@for_rows(
    ("resource", "how", "source"),
    [
        (referral("Smoking talk", days_ago(30)), {}, "ServiceRequest/s1"),
        (referral("Smoking talk", days_ago(32)), {}, None),
        (referral("Smoking talk", status="revoked"), {}, None),
        (referral("Smoking talk", intent="proposal"), {}, None),
        (referral("Smoking talk", doNotPerform=True), {}, None),
        (referral("Smoking talk"), {"only_done": True}, None),
        (referral("Smoking talk"), {"not_with": re.compile("talk")}, None),
        (referral("Smoking talk"), {"not_with": re.compile("scan")}, "ServiceRequest/s1"),
        (referral("Smoking talk", occurrenceDateTime=days_ago(-14)), {"until_days": 14.0}, "ServiceRequest/s1"),
        (referral("Smoking talk", occurrenceDateTime=days_ago(-15)), {"until_days": 14.0}, None),
        (referral("Smoking talk", occurrenceDateTime=days_ago(-15)), {}, "ServiceRequest/s1"),
        (operation("Smoking talk", days_ago(3)), {"only_done": True}, "Procedure/p1"),
        (operation("Smoking talk", days_ago(3), "in-progress"), {"only_done": True}, "Procedure/p1"),
        (operation("Smoking talk", days_ago(3), "preparation"), {"only_done": True}, None),
        (operation("Smoking talk", days_ago(3), "preparation"), {}, "Procedure/p1"),
        (operation("Smoking talk"), {}, "Procedure/p1"),
        (operation("Smoking talk", days_ago(-3)), {}, None),
        (operation("Smoking talk", None, performedPeriod={"start": days_ago(32)}), {}, None),
        (visit("AMB", "planned", type=[{"text": "Smoking talk"}], period={"start": days_ago(-90)}), {}, "Encounter/e1"),
        (visit("AMB", "planned", type=[{"text": "Smoking talk"}], period={"start": days_ago(90)}), {}, None),
        (visit("AMB", "finished", type=[{"text": "Smoking talk"}], period={"start": days_ago(-90)}), {}, None),
        (visit("AMB", "finished", serviceType={"text": "Smoking talk"}), {}, "Encounter/e1"),
        (visit("AMB", location=[{"location": {"display": "Smoking talk room"}}]), {}, "Encounter/e1"),
        (visit("AMB", location=[{"id": "l"}]), {}, None),
        (visit("AMB", location=[{"location": {"reference": "Location/1"}}]), {}, None),
        (referral("") | {"code": {"coding": [{"userSelected": True}]}}, {"names": ("none",)}, None),
        (visit("AMB"), {}, None),
    ],
)
def test_what_a_chart_has_done_or_planned_is_found_by_its_words(resource: Json, how: Any, source: str | None) -> None:
    names = how.pop("names", ("smoking talk",))
    assert find_named_in_chart(record_of(resource), names, 30.0, **how) == source


# Moments


MOMENTS = (is_visit, is_moment_for_review, is_moment_for_reminder, is_moment_for_talk)


@for_rows(
    ("made", "moments"),
    [
        (call(visit()), (True, True, True, True)),
        (call(visit(), user="Patient/1"), (False, False, False, False)),
        (call(visit(), user=None), (False, False, False, False)),
        (call(visit(), user="PractitionerRole/1"), (True, True, True, True)),
        (call(), (False, True, True, True)),
        (call(visit("IMP")), (False, False, False, False)),
        (call(visit("EMER")), (False, False, False, False)),
        (call(visit("VR")), (True, True, True, True)),
        (call(visit(status="finished")), (False, True, False, False)),
        (call(visit(status="finished"), encounter="e1"), (True, True, True, True)),
        (call(visit(), encounter="another"), (False, True, True, True)),
        (call(visit(status="finished"), encounter="another"), (False, True, True, True)),
        (call(visit() | {"class": None}), (False, True, True, True)),
        (call(visit("IMP", identifier="e2"), visit(), encounter="e1"), (True, True, True, True)),
        (call(visit(type=[{"text": "Urgent care"}])), (True, True, False, True)),
        (call(visit(type=[{"text": "Annual physical for dialysis"}])), (True, True, True, True)),
        (call(visit(reasonCode=[{"text": "Sick visit"}])), (True, True, False, True)),
        (call(visit(serviceType={"text": "Surgery"})), (True, True, False, True)),
        (call(visit(type=[{"text": "Annual wellness visit"}])), (True, True, True, True)),
    ],
)
def test_each_moment_has_the_visits_that_it_is_for(made: ServiceInput, moments: tuple[bool, ...]) -> None:
    assert tuple(moment(made) for moment in MOMENTS) == moments


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (call(visit("IMP")), "this call is not of a practitioner within an ambulatory visit that goes on"),
        (call(visit()), "this visit is for another purpose"),
    ],
)
def test_a_reminder_without_its_place_says_why_it_is_kept(made: ServiceInput, why: str) -> None:
    silence = kept_for_worklist(made, "s")
    assert (silence.subject, silence.reason) == ("s", "worklist")
    assert silence.text == f"Kept for the worklist, because {why}."
    assert today(made) == "2026-11-20"


# Follow-up after a stay


def booking(days: float, status: str = "booked", who: str | None = "Patient/p1", words: str = "Visit") -> Json:
    actor = [{"actor": {"reference": who}, "status": "accepted"}] if who is not None else []
    return {
        "resourceType": "Appointment", "id": "a1", "status": status, "start": days_ago(-days),
        "participant": actor, "description": words,
    }  # fmt: skip


@for_rows(
    ("made", "is_booked"),
    [
        (booking(14), True),
        (booking(15), False),
        (booking(-0.9), True),
        (booking(-1), False),
        (booking(3, "cancelled"), False),
        (booking(3, "pending"), True),
        (booking(3, who=None), True),
        (booking(3, who="Patient/p2"), False),
        (booking(3, who="https://ehr.example/Patient/p1"), True),
        (booking(3) | {"participant": [{"status": "accepted"}, {"actor": {"display": "Dr Ann"}}]}, True),
        (booking(3, who="Practitioner/1"), True),
        (booking(3) | {"participant": [{"actor": {"reference": who}} for who in ("Practitioner/1", "Patient/p2")]},
         False),
        (booking(3, words="CT of the chest"), False),
        (booking(3, words="Clinic visit after CT"), True),
        (booking(3, words="") | {"appointmentType": {"text": "MRI"}}, False),
        (booking(3, words="") | {"serviceType": [{"text": "Colonoscopy"}]}, False),
        (booking(3) | {"start": None}, False),
        (booking(3) | {"description": None}, True),
    ],
)  # fmt: skip
def test_a_booked_visit_of_the_next_two_weeks_is_a_follow_up(made: Json, *, is_booked: bool) -> None:
    made = {name: value for name, value in made.items() if value is not None}
    assert booked_follow_up(record_of(made)) == ("Appointment/a1" if is_booked else None)


def stay(**more: Any) -> Json:
    return visit("IMP", period={"start": days_ago(5)}, **more)


@for_rows(
    ("record", "begins"),
    [
        (record_of(stay()), None),
        (record_of(), None),
        (record_of(patient={"resourceType": "Patient", "id": "p1"}), "Age is not known"),
        (record_of(stay(), patient=WOMAN | {"birthDate": "2008-11-21"}), "The scores are for adults; the patient is"),
        (record_of(stay(), patient=WOMAN | {"birthDate": "2008-11-20"}), None),
        (record_of(stay(type=[{"text": "Psychiatry"}])), "The scores are for medical and surgical stays"),
        (record_of(stay(serviceType={"text": "Obstetrics"})), "The scores are for medical and surgical stays"),
        (record_of(stay(serviceProvider={"display": "Maternity"})), "The scores are for medical and surgical stays"),
        (record_of(stay(location=[{"location": {"display": "Labor and delivery"}}])), "The scores are for medical"),
        (record_of(stay(location=[{"location": {"display": "Ward 3"}}])), None),
        (record_of(stay(location=[{"location": {"reference": "Location/1"}}])), None),
        (record_of(stay(), EXPECTING, patient=YOUNG), "The scores are not for obstetric stays"),
        (record_of(stay(), condition("O80", ICD10, onsetDateTime=days_ago(2)), patient=YOUNG), "The scores are"),
    ],
)  # fmt: skip
def test_the_scores_are_for_adults_in_medical_and_surgical_stays(record: PatientRecord, begins: str | None) -> None:
    text = _outside_scores(record)
    assert (text is None) if begins is None else (text or "").startswith(begins)


@for_rows(("days", "in_stay"), [(5, True), (6, True), (6.1, False), (20, False), (1, True)])
def test_what_is_of_the_day_before_the_stay_is_of_the_stay(days: float, *, in_stay: bool) -> None:
    birth = condition("O80", ICD10, onsetDateTime=days_ago(days))
    del birth["code"]["coding"][0]["display"]
    record = record_of(stay(), birth)
    current = current_stay(record)
    assert current is not None
    assert _gave_birth(record, current) is in_stay
    assert _is_before(days_ago(days), current) is not in_stay
    assert not _is_before("no date", current)


# The kidneys


@for_rows(
    ("results", "is_there"),
    [
        ([(30, 365), (30, 3 * 365)], True),
        ([(29.9, 365), (30, 3 * 365)], False),
        ([(30, 366), (30, 3 * 365)], False),
        ([(30, 365), (29.9, 3 * 365)], False),
        ([(30, 365), (30, 3 * 365 + 1)], False),
        ([(30, 10), (30, 100)], False),
        ([(30, 10), (30, 101)], True),
        ([(30, 10)], False),
    ],
)
def test_albuminuria_is_two_results_of_three_years_more_than_three_months_apart(
    results: list[tuple[float, float]], *, is_there: bool
) -> None:
    values = (observation("9318-7", value, "mg/g", days_ago(days)) for value, days in results)
    assert _has_albuminuria(record_of(*values)) is is_there


@for_rows(
    ("patient", "creatinine", "is_low"),
    [(MAN, 1.0, False), (MAN, 2.0, True), (MAN | {"birthDate": "2016-11-20"}, 2.0, False),
     ({"resourceType": "Patient", "id": "p1", "gender": "male"}, 2.0, False)],
)  # fmt: skip
def test_a_low_egfr_is_that_of_an_adult_whose_age_is_known(patient: Json, creatinine: float, *, is_low: bool) -> None:
    record = record_of(observation("2160-0", creatinine, "mg/dL", days_ago(100)), patient=patient)
    (measurement,) = record.measurements("creatinine")
    assert _is_low(record, measurement) is is_low


# Words


def test_a_result_is_written_as_people_in_a_hundred_or_with_its_unit() -> None:
    kinds = {output.kind: output for name in ("lace", "kfre_4") for output in get_equation(name).outputs}
    words = {kind: _in_words(output, 0.126) for kind, output in kinds.items()}
    assert words["probability"] == "13 in 100"
    (unit,) = get_equation("ckd_epi_2021_creatinine").outputs
    assert _in_words(unit, 59.6) == "60 mL/min/1.73 m²"
    assert _in_words(replace(unit, unit="1"), 59.6) == "60"
